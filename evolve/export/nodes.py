"""The lineage as nodes and edges: what every graph says of a candidate and of its parents. Pure.

A node has the columns of the results table, and those that only a lineage needs. An edge leads from a parent to its child;
a crossover has two, and its first parent is the one of the tree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evolve.export.columns import Column
from evolve.export.results import COLUMNS, records
from evolve.model import CandidateState

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.model import Candidate

_ENDINGS = ("verdict", "population", "dropped")  # kinds of events with which a candidate may leave

EXTRA: tuple[Column, ...] = (
    Column("val_bpb_sd", "float", "spread of its trainings, where there are two or more", "bpb"),
    Column("main_step", "int", "its place on main's way, 0 for the baseline"),
    Column("ended", "time", "when it left the population or was turned away", "s"),
    Column("hypothesis", "text", "why its proposer thinks that it helps"),
)
FIELDS: tuple[Column, ...] = (*(column for column, _ in COLUMNS), *EXTRA)


@dataclass(frozen=True, slots=True)
class Edge:
    """From a parent to its child."""

    parent: int
    child: int
    kind: str  # "first": the one whose script was changed, of the tree; "second": of a crossover

    @property
    def id(self) -> str:
        """`3-17`."""
        return f"{self.parent}-{self.child}"


def edges(gathered: Gathered) -> Iterator[Edge]:
    """All edges, by child, the first parent's first; a crossover of one with itself has one."""
    for candidate in gathered.everybody:
        for place, parent in enumerate(dict.fromkeys(candidate.parents)):
            yield Edge(parent, candidate.id, "second" if place else "first")


def nodes(gathered: Gathered) -> Iterator[dict[str, Any]]:
    """Of every candidate, by number, what `FIELDS` names; None where there is nothing to say."""
    steps = {number: place for place, number in enumerate(gathered.main)}
    ended = endings(gathered)
    for candidate, record in zip(gathered.candidates, records(gathered), strict=True):
        extra = {
            "val_bpb_sd": spread(candidate),
            "main_step": steps.get(candidate.id),
            "ended": ended.get(candidate.id),
            "hypothesis": candidate.hypothesis,
        }
        yield {name: _finite(value) for name, value in (record | extra).items()}


def about(gathered: Gathered) -> dict[str, Any]:
    """What a graph says of itself: the run, its main, the noise of one training, and the instant."""
    return {
        "run": gathered.run.name,
        "main": gathered.run.incumbent,
        "sigma": gathered.noise.sigma,
        "unit": "bpb",
        "policy": gathered.policy,
        "branch": gathered.run.branch,
        "base": gathered.run.base_commit,
        "at": gathered.at,
    }


def endings(gathered: Gathered) -> dict[int, float]:
    """When each candidate left that is neither alive nor still waits or trains, unix seconds."""
    gone = {
        c.id: c.created
        for c in gathered.everybody
        if not c.alive and c.state in (CandidateState.JUDGED, CandidateState.DROPPED)
    }
    for event in gathered.events():
        if event.candidate in gone and event.kind in _ENDINGS:
            gone[event.candidate] = max(gone[event.candidate], event.time)
    return gone


def ancestors(gathered: Gathered) -> set[int]:
    """Whom main's candidate comes of, by any parent, and itself."""
    found = set[int]()
    waiting = [gathered.run.incumbent] if gathered.run.incumbent is not None else []
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += gathered.candidate(number).parents
    return found


def spread(candidate: Candidate) -> float | None:
    """The standard deviation of its raw scores, bpb; None below two."""
    return statistics.stdev(candidate.scores) if len(candidate.scores) > 1 else None


def figure(candidate: Candidate, gathered: Gathered) -> str:
    """Its score as a person reads it: `0.9812 ± 0.0004` as believed; what became of it where there is none."""
    belief = gathered.beliefs.get(candidate.id)
    if belief is not None:
        return f"{belief.mean:.4f} ± {belief.sd:.4f}"
    return str(candidate.outcome or candidate.state)


def standing(candidate: Candidate) -> str:
    """Its verdict in a word; before there is one, its state."""
    return str(candidate.verdict or candidate.state)


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
