"""How the living stand: turns journal rows into the snapshots that the pure policies decide on.

Everything here goes by fitness, which is val_bpb unless [metric] says more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from evolve.beliefs import posteriors
from evolve.islands import home, with_founders
from evolve.model import CandidateState, Operator
from evolve.population import Member
from evolve.propose.vetting import normalise
from evolve.rows import as_json
from evolve.seeds import measured

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate

BASELINE = 1  # the seed is candidate #1
SECANTS = 4  # steps towards the score that gives a posterior mean


def members(context: Context) -> tuple[Member, ...]:
    """The living population as the policies see it, with the founders of islands that are still nearly empty.

    Nobody before the baseline is measured.
    """
    everybody = {c.id: c for c in context.journal.candidates()}
    believed = posteriors(
        tuple(everybody.values()), context.noise, context.journal.fitness_tables()
    )
    tuned, tuning = _tunings(everybody.values())

    def member(c: Candidate) -> Member:
        return Member(
            id=c.id,
            posterior=believed[c.id],
            parents=c.parents,
            children=c.children,
            category=c.category,
            changes=c.changes,
            code=normalise(context.lineage.source(c.commit)),
            age=len(everybody) - c.id,
            tuned=tuned[c.id],
            tuning=tuning[c.id],
            island=c.island,
            pinned=c.pinned,
            banned=c.banned,
        )

    living = [member(c) for c in context.journal.living() if c.id in believed]
    count = context.settings.population.islands
    if count == 1 or not living:
        return with_founders(living, 1, {})
    founders = founded(context).founders
    chosen = {island: founders.get(island, BASELINE) for island in range(count)}
    # A founder whose score was voided since founds nothing.
    chosen = {island: n if n in believed else living[0].id for island, n in chosen.items()}
    return with_founders(
        living, count, {island: member(everybody[number]) for island, number in chosen.items()}
    )


@dataclass(frozen=True, slots=True)
class Founded:
    """How the islands of a run came to be what they are."""

    founders: dict[int, int] = field(default_factory=dict)  # island to candidate; else the baseline
    settled: int = 0  # children with a verdict at the last reset

    def as_text(self) -> str:
        """For the journal."""
        return as_json({"founders": self.founders, "settled": self.settled})


def founded(context: Context) -> Founded:
    """The founders of the run's islands."""
    stored = context.journal.meta(founders_key(context))
    if not stored:
        return Founded()
    known = json.loads(stored)
    return Founded({int(k): v for k, v in known["founders"].items()}, known["settled"])


def founders_key(context: Context) -> str:
    """Where the journal keeps them."""
    return f"islands of {context.journal.run().name}"


def island_of_child(context: Context, parents: Sequence[int]) -> int:
    """Where a child of these parents is to live."""
    count = context.settings.population.islands
    if count == 1 or not parents:
        return 0
    journal = context.journal
    waiting = (CandidateState.READY, CandidateState.TRAINING, CandidateState.CONTENDER)
    crowd = Counter(c.island % count for c in journal.candidates() if c.alive or c.state in waiting)
    own = journal.candidate(parents[0]).island % count
    return home(parents[0], members(context), crowd, own)


def _tunings(everybody: Iterable[Candidate]) -> tuple[Counter[int], Counter[int]]:
    """Candidate to its children with other constants: those measured, and those that wait or train."""
    tuned: Counter[int] = Counter()
    tuning: Counter[int] = Counter()
    for child in everybody:
        if child.operator is Operator.TUNE and child.parents:
            if child.outcome is not None:
                tuned[child.parents[0]] += 1
            elif child.state in (CandidateState.READY, CandidateState.TRAINING):
                tuning[child.parents[0]] += 1
    return tuned, tuning


def refresh_noise(context: Context) -> None:
    """Read the run's noise off the repeats of every candidate, and write it down when it changed."""
    noise = measured(context.journal.fitness_tables().values())
    if noise != context.noise:
        context.noise = noise
        context.journal.set_sigma(noise.sigma if noise.n else None)


def score_for(context: Context, candidate: Candidate, mean: float) -> float:
    """The fitness in one training, its first, that would give an unmeasured candidate this posterior mean."""
    others = [c for c in context.journal.candidates() if c.id != candidate.id]
    tables = context.journal.fitness_tables()

    def believed(score: float) -> float:
        measured_so = replace(candidate, fitness=(score,))
        seeds = {**tables, candidate.id: {0: score}}
        return posteriors([*others, measured_so], context.noise, seeds)[candidate.id].mean

    # It rises with the score, nearly as a line does: secants find the answer in a few steps.
    here, step = mean, 4 * context.noise.sigma
    slope = (believed(here + step) - believed(here)) / step
    for _ in range(SECANTS):
        here += (mean - believed(here)) / slope
    return here
