"""How the living stand: turns journal rows into the snapshots that the pure policies decide on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evolve.noise import Noise, Posterior, child_spread, paired, pooled, posterior
from evolve.population import Member
from evolve.propose.vetting import normalise

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate


def members(context: Context) -> tuple[Member, ...]:
    """The living population as the policies see it; empty before the baseline is measured."""
    everybody = {c.id: c for c in context.journal.candidates()}
    spread = _spread(context, everybody)
    return tuple(
        Member(
            id=c.id,
            posterior=_posterior(context, everybody, c, spread),
            parents=c.parents,
            children=c.children,
            category=c.category,
            changes=c.changes,
            code=normalise(context.lineage.source(c.commit)),
            age=len(everybody) - c.id,
            pinned=c.pinned,
            banned=c.banned,
        )
        for c in context.journal.living()
        if c.scores
    )


def refresh_noise(context: Context) -> None:
    """Pool the repeats of every candidate into the run's noise, and write it down when it changed."""
    noise = pooled(c.scores for c in context.journal.candidates())
    if noise != context.noise:
        context.noise = noise
        context.journal.set_sigma(noise.sigma if noise.n else None)


def paired_noise(context: Context) -> Noise:
    """The noise between two candidates at the same seeds, as far as the run has shown it."""
    journal = context.journal
    repeated = [c.id for c in journal.candidates() if len(c.scores) > 1]
    if len(repeated) < 2:
        return context.noise
    base, *others = (journal.scores_by_seed(number) for number in repeated)
    return paired(base, others, context.noise)


def score_for(context: Context, candidate: Candidate, mean: float) -> float:
    """The score in one training that would give an unmeasured candidate this posterior mean, bits per byte."""
    everybody = {c.id: c for c in context.journal.candidates()}
    spread = _spread(context, everybody)
    # The posterior mean is a line in the score, so two points of it tell the rest.
    at_zero, at_one = (
        _posterior(context, everybody, replace(candidate, scores=(score,)), spread).mean
        for score in (0.0, 1.0)
    )
    return (mean - at_zero) / (at_one - at_zero)


def _spread(context: Context, everybody: dict[int, Candidate]) -> float:
    """How far children lie from their parents in this run."""
    deltas = []
    for child in everybody.values():
        if child.parents and child.mean is not None:
            parent = everybody[child.parents[0]].mean
            if parent is not None:
                deltas.append(child.mean - parent)
    return child_spread(deltas, context.noise)


def _posterior(
    context: Context, everybody: dict[int, Candidate], candidate: Candidate, spread: float
) -> Posterior:
    """The candidate's own scores, shrunk towards its parents' mean."""
    means = [m for p in candidate.parents if (m := everybody[p].mean) is not None]
    if not means:
        return posterior(candidate.scores, context.noise)
    return posterior(candidate.scores, context.noise, sum(means) / len(means), spread)
