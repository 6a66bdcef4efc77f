"""Where everything of a lineage stands on its picture: time or generation across, score down, failures on rails. Pure.

The axis of scores is cut above those of main's way and of the living where a few bad ones would press all others flat; who
is worse stands on a rail of its own above the plot.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from evolve.export.labels import Box
from evolve.export.nodes import ancestors
from evolve.export.scales import Clock, Line, Tick, quantile
from evolve.model import CandidateState

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.model import Candidate

By = Literal["time", "generation"]
OVER = "worse"  # the rail of scores beyond the axis
WAITING, DROPPED = "waiting", "dropped"
HEADER, RAIL = 76.0, 17.0
LEFT, RIGHT = 74.0, 26.0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one candidate stands."""

    candidate: Candidate
    x: float
    y: float
    rail: str = ""  # "" = at its score; else the name of its rail


@dataclass(frozen=True, slots=True)
class Rail:
    """A row of marks without a score."""

    name: str
    y: float
    count: int


@dataclass(frozen=True)
class Layout:
    """The whole picture's geometry, in pixels."""

    width: float
    plot: Box
    by: By
    scores: Line  # a better score lies further down
    clock: Clock | None  # of the axis across, if that is time
    across: tuple[Tick, ...]
    rails: tuple[Rail, ...]
    spots: dict[int, Spot]

    @cached_property
    def count(self) -> int:
        """Candidates on it."""
        return len(self.spots)


def rail_of(candidate: Candidate, *, scored: bool) -> str:
    """The rail on which a candidate without a score stands; "" for one that has a score."""
    if scored:
        return ""
    if candidate.state == CandidateState.DROPPED:
        return DROPPED
    if candidate.state != CandidateState.JUDGED:
        return WAITING
    return str(candidate.outcome or DROPPED)


def lay_out(gathered: Gathered, width: float, by: By) -> Layout:
    """Of everybody in a run."""
    people, beliefs = gathered.everybody, gathered.beliefs
    rails = {c.id: rail_of(c, scored=c.id in beliefs) for c in people}
    counts = Counter(name for name in rails.values() if name)
    low, high = _range(gathered)
    over = sum(belief.mean > high for belief in beliefs.values())
    top = HEADER + (RAIL + 4 if over else 0)
    plot = Box(LEFT, top, width - RIGHT, top + min(600.0, max(300.0, width * 0.46)))
    scores = Line(
        low, high, plot.bottom, plot.top
    )  # y grows downwards, so the low one is at the bottom
    order = sorted(counts, key=lambda name: (name in (DROPPED, WAITING), -counts[name], name))
    below = [Rail(name, plot.bottom + 14 + RAIL * place, counts[name]) for place, name in enumerate(order)]  # fmt: skip
    above = [Rail(OVER, plot.top - RAIL * 0.7, over)] if over else []
    clock, xs, across = _across(gathered, plot, by)
    heights = {rail.name: rail.y for rail in (*below, *above)}
    spots = dict[int, Spot]()
    for c in people:
        rail = rails[c.id]
        if not rail and beliefs[c.id].mean > high:
            rail = OVER
        y = heights[rail] if rail else scores(beliefs[c.id].mean)
        spots[c.id] = Spot(c, xs[c.id], y, rail)
    return Layout(width, plot, by, scores, clock, across, (*below, *above), spots)


def _range(gathered: Gathered) -> tuple[float, float]:
    """The lowest and the highest score that the axis has, with some room below for labels."""
    ordered = sorted(belief.mean for belief in gathered.beliefs.values())
    if not ordered:
        return 0.0, 1.0
    alive = (c.id for c in gathered.everybody if c.alive)
    kept = {*gathered.main, *ancestors(gathered), *alive}
    dear = [gathered.beliefs[number].mean for number in kept if number in gathered.beliefs]
    dear = dear or ordered
    span = max(max(dear) - min(dear), 6 * gathered.noise.sigma, 1e-6)
    high = max(max(dear), min(quantile(ordered, 0.95), max(dear) + 1.2 * span))
    if ordered[-1] <= high + 0.25 * span:
        high = ordered[-1]  # nobody is cut off for so little
    low = ordered[0]
    whole = max(high - low, 4 * gathered.noise.sigma, 1e-6)
    return low - 0.16 * whole, high + 0.04 * whole


def _across(
    gathered: Gathered, plot: Box, by: By
) -> tuple[Clock | None, dict[int, float], tuple[Tick, ...]]:
    people = gathered.everybody
    start, end = plot.left + 16, plot.right - 16
    if by == "time":
        clock = Clock.over([c.created for c in people], start, end)
        return clock, {c.id: clock(c.created) for c in people}, tuple(clock.ticks(90))
    members: dict[int, list[int]] = {}
    for c in people:
        members.setdefault(c.generation, []).append(c.id)
    last = max(members, default=0)
    line = Line(-0.5, last + 0.5, start, end)
    column = (end - start) / (last + 1)
    xs = {
        number: line(generation) + ((place + 0.5) / len(those) - 0.5) * column * 0.78
        for generation, those in members.items()
        for place, number in enumerate(those)
    }
    every = max(1, round(44 / column))
    ticks = [Tick(line(n), str(n)) for n in range(0, last + 1, every)]
    return None, xs, tuple(ticks)
