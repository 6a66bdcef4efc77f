"""The last gates before main: audited, and better on the sealed rows too. Joins the pure rules to the journal.

It turns a promotion that the policy wants into a promotion with its figures, one more training, or a refusal in
words. It writes nothing and never makes a refusal into a promotion.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evolve import audits, fitness, sealing
from evolve.acceptance import Action, Judgement
from evolve.model import Candidate, Purpose
from evolve.sealing import Sides

if TYPE_CHECKING:
    from evolve.context import Context

TRIES = 2  # repeats that may come back without a sealed score before it is given up


def last(
    context: Context, contender: Candidate, incumbent: Candidate, judgement: Judgement
) -> Judgement:
    """What becomes of a promotion that the policy wants."""
    if why := audits.unproven(context, contender):
        return replace(judgement, action=Action.REJECT, reason=f"{judgement.reason} {why}")
    if not context.sealed:
        return judgement
    ours, theirs = _sides(context, contender), _sides(context, incumbent)
    if not ours.sealed and not _in_vain(context, contender):
        return replace(
            judgement,
            action=Action.REPEAT_CHALLENGER,
            reason="It is measured once more, on the sealed rows too, before main may move.",
        )
    for seed in sealing.missing(ours, theirs):
        if not _in_vain(context, incumbent, seed):
            return replace(
                judgement,
                action=Action.REPEAT_INCUMBENT,
                seed=seed,
                reason=f"Main is measured on the sealed rows at seed {seed} before it may move.",
            )
    priced = fitness.gain_beside_score(context, contender, incumbent)
    margin = max(judgement.margin, priced / context.weights.val_bpb)
    return _compare(replace(judgement, margin=margin), sealing.gain(ours, theirs))


def _compare(judgement: Judgement, found: sealing.SealedGain | None) -> Judgement:
    if found is None:
        return replace(
            judgement,
            action=Action.REJECT,
            reason=f"{judgement.reason} Main does not move, because the sealed rows could not be scored.",
        )
    if why := sealing.refusal(found, judgement.margin):
        return replace(judgement, action=Action.REJECT, reason=why, sealed=found)
    words = f"{judgement.reason} {sealing.in_words(found)}"
    return replace(judgement, reason=words, sealed=found)


def _sides(context: Context, candidate: Candidate) -> Sides:
    journal = context.journal
    return Sides(journal.scores_by_seed(candidate.id), journal.sealed_by_seed(candidate.id))


def _in_vain(context: Context, candidate: Candidate, seed: int | None = None) -> bool:
    """Has it been repeated (at a seed) as often as makes sense, and never got a sealed score?"""
    bare = [
        e
        for e in context.journal.experiments(candidate.id)
        if e.purpose in (Purpose.CONFIRM, Purpose.INCUMBENT)
        and e.val_bpb is not None
        and e.sealed_bpb is None
        and seed in (None, e.seed)
    ]
    return len(bare) >= (
        TRIES if seed is not None else TRIES + context.settings.acceptance.max_repeats
    )
