"""Score over time, as plain data: every measured candidate, failures, and the main that was *confirmed* at each moment.

Never the running minimum: the best of many noisy scores flatters itself. `progress_svg` draws it without any library,
`evolve.export.picture` as the PNG that the ancestor's notebook made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.model import Candidate, Verdict
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_KEPT = (Verdict.BASELINE, Verdict.PROMOTED, Verdict.KEPT)
_ROOM = 0.12  # of the range of levels, above and below


@dataclass(frozen=True, slots=True)
class Dot:
    """One candidate that was measured, or that failed."""

    number: int
    trainings: int  # of the whole run that had ended when its first one did
    hours: float  # since the run began
    level: float | None  # the believed score, lower is better; None = it has none
    word: str  # "main", "kept", "rejected", or how it failed: "crash", "oom" …
    title: str


@dataclass(frozen=True, slots=True)
class Rung:
    """From when on a candidate was main, and what is believed of its score now."""

    number: int
    trainings: int
    hours: float
    level: float
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """All that a figure of the progress needs."""

    name: str  # of the run
    dots: tuple[Dot, ...]
    rungs: tuple[Rung, ...]  # main's way, the baseline first
    sigma: float  # noise of one training, in the unit of the levels
    low: float  # of the levels shown; what lies above `high` is drawn at its edge
    high: float
    trainings: int
    hours: float
    unit: str
    kept: int  # improvements that main moved to
    measured: int  # candidates with a score

    @property
    def empty(self) -> bool:
        """Is there no score at all?"""
        return not any(dot.level is not None for dot in self.dots)


def plot(gathered: Gathered) -> Plot:
    """The progress of one run."""
    first: dict[int, tuple[int, float]] = {}
    ended = 0
    ends: list[float] = []
    for one in gathered.experiments():
        if one.finished is not None:
            ended += 1
            ends.append(one.finished)
            first.setdefault(one.candidate, (ended, one.finished))
    begun = gathered.run.created
    main = set(gathered.main)
    dots = [
        _dot(gathered, gathered.candidate(number), ended_by, (moment - begun) / 3600, main)
        for number, (ended_by, moment) in first.items()
    ]
    rungs = tuple(
        Rung(s.candidate, s.trainings, max(0.0, (s.time - begun) / 3600), belief.mean, _title(gathered, s.candidate))
        for s in gathered.path
        if (belief := gathered.beliefs.get(s.candidate)) is not None
    )  # fmt: skip
    levels = [dot.level for dot in dots if dot.level is not None]
    low, high = _range(levels, [r.level for r in rungs], gathered.noise.sigma)
    last = max(ends, default=begun)
    return Plot(
        name=gathered.run.name,
        dots=tuple(dots),
        rungs=rungs,
        sigma=gathered.noise.sigma,
        low=low,
        high=high,
        trainings=max(1, ended),
        hours=max(1 / 60, (last - begun) / 3600),
        unit="bpb" if gathered.run.fingerprint.get("metric", "val_bpb") == "val_bpb" else "fitness",
        kept=max(0, len(gathered.path) - 1),
        measured=len(levels),
    )


def level_at(rungs: Sequence[Rung], trainings: int) -> float | None:
    """The level of the main that stood after so many trainings; None before the first."""
    place = bisect_right([rung.trainings for rung in rungs], trainings)
    return rungs[place - 1].level if place else None


# ---- private ---------------------------------------------------------------------------------------------


def _title(gathered: Gathered, number: int) -> str:
    return one_line(gathered.candidate(number).title, 80)


def _dot(
    gathered: Gathered, candidate: Candidate, trainings: int, hours: float, main: set[int]
) -> Dot:
    belief = gathered.beliefs.get(candidate.id)
    if candidate.id in main:
        word = "main"
    elif belief is None:
        word = str(candidate.outcome or "running")
    else:
        word = "kept" if candidate.verdict in _KEPT else "rejected"
    level = None if belief is None else belief.mean
    return Dot(candidate.id, trainings, max(0.0, hours), level, word, one_line(candidate.title, 80))


def _range(levels: list[float], path: list[float], sigma: float) -> tuple[float, float]:
    """From below the best to where nine in ten of the levels are in sight, and main's whole way with its band."""
    if not levels:
        return 0.0, 1.0
    ordered = sorted(levels)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(0.92 * len(ordered)))]
    if path:
        low, high = min(low, min(path) - 2 * sigma), max(high, max(path) + 2 * sigma)
    room = _ROOM * (high - low) or 0.01 * abs(high) or 1.0
    return low - room, high + room
