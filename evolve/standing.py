"""How the living stand: turns journal rows into the snapshots that the pure policies decide on.

Everything here goes by fitness, which is val_bpb unless [metric] says more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evolve.beliefs import posteriors
from evolve.model import CandidateState, Operator
from evolve.population import Member
from evolve.propose.vetting import normalise
from evolve.seeds import measured

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate


def members(context: Context) -> tuple[Member, ...]:
    """The living population as the policies see it; empty before the baseline is measured."""
    everybody = context.journal.candidates()
    believed = posteriors(everybody, context.noise, context.journal.fitness_tables())
    tuned, tuning = _tunings(everybody)
    return tuple(
        Member(
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
        for c in context.journal.living()
        if c.id in believed
    )


def _tunings(everybody: Sequence[Candidate]) -> tuple[Counter[int], Counter[int]]:
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

    # Nearly a line in the score, and rising: two points near the answer tell the rest.
    near = believed(mean)
    far = believed(mean + (step := 4 * context.noise.sigma))
    return mean + (mean - near) * step / (far - near)
