"""Where figures and times lie on a picture, and which of them its axes name. Pure; lengths are in pixels of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_PAUSE_SHARE = 0.02  # of the axis, that a pause takes which was cut short
_STEPS = tuple(
    step * unit
    for unit, steps in (
        (1, (1, 2, 5, 10, 15, 30)), (60, (1, 2, 5, 10, 15, 30)), (3600, (1, 2, 3, 6, 12)), (86400, (1, 2, 4, 7, 14, 28)),
    )
    for step in steps
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tick:
    """One figure that an axis names."""

    at: float  # pixels
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """Figures on a straight axis: `low` lies at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Pixels of a figure; beyond the ends it is beyond the axis."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int) -> list[Tick]:
        """Round figures inside of the axis, about so many."""
        step = nice((self.high - self.low) / max(1, about))
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [Tick(self(n * step), f"{n * step:.{decimals}f}") for n in range(first, last + 1)]


def nice(step: float) -> float:
    """The next of 1, 2, 5, 10, 20 … and their tenths."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 5, 10) if step <= power * m * (1 + 1e-9))


@dataclass(frozen=True, slots=True)
class Clock:
    """Times on an axis on which long pauses, in which a run stood still, are cut short."""

    times: tuple[float, ...]  # unix seconds, ascending: ends of pieces
    places: tuple[float, ...]  # pixels of the same
    pauses: tuple[tuple[float, float], ...]  # pixels in the middle of each, and its seconds

    @classmethod
    def over(cls, moments: Sequence[float], start: float, end: float) -> Clock:
        """An axis for these times from `start` to `end` pixels. A pause is more than an hour in which nothing came, that
        takes a tenth of all time, and twenty times as long as the usual one between two."""
        times = sorted(set(moments)) or [0.0]
        times = times if len(times) > 1 else [times[0], times[0] + 60]
        gaps = [b - a for a, b in pairwise(times)]
        least = max(3600.0, (times[-1] - times[0]) / 10, 20 * sorted(gaps)[len(gaps) // 2])
        long = [place for place, gap in enumerate(gaps) if gap > least]
        active = sum(gap for place, gap in enumerate(gaps) if place not in long)
        short = (end - start) * _PAUSE_SHARE
        rate = (end - start - short * len(long)) / max(active, 1e-9)
        ends, places, pauses = [times[0]], [start], list[tuple[float, float]]()
        for place in long:
            ends += [times[place], times[place + 1]]
            before = places[-1] + (times[place] - ends[-3]) * rate
            places += [before, before + short]
            pauses.append((before + short / 2, gaps[place]))
        ends.append(times[-1])
        places.append(end)
        return cls(tuple(ends), tuple(places), tuple(pauses))

    def __call__(self, time: float) -> float:
        """Pixels of a time; beyond the ends it is at an end."""
        pieces = zip(self.times, self.places, self.times[1:], self.places[1:], strict=False)
        if time <= self.times[0]:
            return self.places[0]
        for from_time, from_place, to_time, to_place in pieces:
            if time <= to_time and to_time > from_time:
                return from_place + (time - from_time) / (to_time - from_time) * (to_place - from_place)  # fmt: skip
        return self.places[-1]

    def ticks(self, apart: float) -> list[Tick]:
        """Round times since the first one, `apart` pixels or more from each other."""
        whole = self.times[-1] - self.times[0] - sum(seconds for _, seconds in self.pauses)
        room = max(1.0, (self.places[-1] - self.places[0]) / apart)
        step = next((s for s in _STEPS if whole / s <= room), max(86400.0, whole / room))
        ticks = list[Tick]()
        passed = 0.0
        while passed <= self.times[-1] - self.times[0] + 1e-6:
            place = self(self.times[0] + passed)
            if not self._is_pause(self.times[0] + passed) and (
                not ticks or place - ticks[-1].at >= apart * 0.7
            ):
                ticks.append(Tick(place, duration(passed)))
            passed = self._next(passed, step)
        return ticks

    def _is_pause(self, time: float) -> bool:
        inner = self.times[1:-1]
        return any(a < time < b for a, b in zip(inner[::2], inner[1::2], strict=True))

    def _next(self, passed: float, step: float) -> float:
        """The next round time that is in no pause, so that a pause of a month is not walked through."""
        time = self.times[0] + passed + step
        inner = self.times[1:-1]
        for begin, end in zip(inner[::2], inner[1::2], strict=True):
            if begin < time < end:
                return math.ceil((end - self.times[0]) / step) * step
        return passed + step


def duration(seconds: float) -> str:
    """`45 s`, `30 min`, `2 h`, `1.5 h`, `3 d`."""
    for unit, name, least in ((86400, "d", 3 * 86400), (3600, "h", 3600), (60, "min", 60)):
        if seconds >= least:
            return f"{seconds / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds:.0f} s" if seconds else "0"


def quantile(ordered: Sequence[float], share: float) -> float:
    """Of an ascending list that is not empty, without interpolation."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
