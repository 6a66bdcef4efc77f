"""Whether the machine still trains as fast as when the run began: a score under a budget of seconds means that speed.

Pure. It reads the speeds of trainings in their order and says what they mean; it never decides what is trained
or promoted, and it never looks at a clock, a GPU or the journal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from evolve.model import Purpose

LIMIT = 0.03  # share of its speed by which a repeat may differ from the same candidate's trainings before
EVERY = 5  # trainings after which the baseline is measured again while the machine drifts


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast one scored training was."""

    experiment: int
    candidate: int
    purpose: Purpose
    tokens_per_second: float  # on the trusted clock


@dataclass(frozen=True, slots=True)
class Drift:
    """What the speeds of a run say about its machine."""

    suspected: bool = False  # a repeat was off, and the baseline has not been measured since
    drifting: bool = False  # the baseline, too, trains at another speed than at the start
    start: float = 0.0  # tokens a second of the baseline's first measurements
    now: float = 0.0  # of its latest one
    trained: int = 0  # since that one
    checks: int = 0  # measurements of the baseline in a row that were off
    incomparable: tuple[
        int, ...
    ] = ()  # repeats that were made at another speed: their scores cannot count

    @property
    def due(self) -> bool:
        """Is the baseline to be measured now?"""
        return self.suspected or (self.drifting and self.trained >= EVERY)

    @property
    def change(self) -> str:
        """`4.1 % fewer tokens a second than at the start (1,125,000 -> 1,079,000)`."""
        share = self.now / self.start - 1
        more = "more" if share > 0 else "fewer"
        figures = f"{self.start:,.0f} -> {self.now:,.0f}"
        return f"{abs(share):.1%} {more} tokens a second than at the start ({figures})".replace(
            "%", " %", 1
        )


@dataclass
class _Story:
    """The walk through the trainings, as far as it has come."""

    start: float
    known: dict[int, list[float]]  # candidate to the speeds of its trainings that compare
    now: float
    suspects: list[Speed] = field(default_factory=list)
    drifting: bool = False
    trained: int = 0
    checks: int = 0
    incomparable: list[int] = field(default_factory=list)

    def baseline(self, speed: Speed) -> None:
        """The baseline was measured again: it clears or confirms a suspicion."""
        self.now = speed.tokens_per_second
        self.drifting = off(self.now, self.start)
        self.trained, self.checks = 0, self.checks + 1 if self.drifting else 0
        if self.drifting:
            self.incomparable += [s.experiment for s in (*self.suspects, speed)]
        else:
            for clean in (*self.suspects, speed):
                self.known.setdefault(clean.candidate, []).append(clean.tokens_per_second)
        self.suspects = []

    def other(self, speed: Speed) -> None:
        """Anything else was trained."""
        if self.drifting:
            self.trained += 1
            return
        before = self.known.get(speed.candidate, [])
        repeat = speed.purpose is not Purpose.SCREEN
        if repeat and before and off(speed.tokens_per_second, median(before)):
            self.suspects.append(speed)
        else:
            self.known.setdefault(speed.candidate, []).append(speed.tokens_per_second)


def off(now: float, before: float) -> bool:
    """Do two speeds differ by more than LIMIT?"""
    return abs(now / before - 1) > LIMIT


def assess(speeds: Iterable[Speed]) -> Drift:
    """What the speeds of a run's scored trainings, oldest first, say about its machine.

    The run's first trainings are the baseline's: their median is what every later one of it is held against. A
    repeat of any candidate that differs by more than LIMIT from the median of that candidate's trainings before
    raises a suspicion, which only a measurement of the baseline clears or confirms.
    """
    remaining = list(speeds)
    first: list[Speed] = []
    while remaining and remaining[0].purpose is Purpose.BASELINE:
        first.append(remaining.pop(0))
    if not first:
        return Drift()
    start = median(s.tokens_per_second for s in first)
    story = _Story(start, {first[0].candidate: [s.tokens_per_second for s in first]}, start)
    for speed in remaining:
        if speed.purpose is Purpose.BASELINE:
            story.baseline(speed)
        else:
            story.other(speed)
    return Drift(
        suspected=bool(story.suspects),
        drifting=story.drifting,
        start=story.start,
        now=story.now,
        trained=story.trained,
        checks=story.checks,
        incomparable=tuple(story.incomparable),
    )
