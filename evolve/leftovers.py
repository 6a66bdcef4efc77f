"""Answers that were paid for before the engine ended: they become children now, and are not bought again.

Reads the journal and git, and writes down which answers are of no use any more. One whose edits do not fit is put right
by the model that gave it, as it would have been. Adopting a child is the nursery's; a text that is no child belongs to
whoever asked for it (`scratchpad`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from evolve.model import Operator
from evolve.propose.edits import EditError
from evolve.propose.operators import (
    LanguageModel,
    Paid,
    Proposal,
    ProposalFailed,
    ProposerUnavailable,
)
from evolve.propose.stored import child_of

if TYPE_CHECKING:
    from evolve.context import Context


async def proposals(
    context: Context, models: Mapping[str, LanguageModel]
) -> AsyncIterator[Proposal]:
    """The children of answers that an earlier engine stored and never used, where their parents still live.

    `models`: who may be asked to put an answer right, by name.
    """
    journal = context.journal
    for paid in journal.unused_answers():
        if not paid.asked.parents:
            continue
        proposal, why = None, _orphaned(context, paid)
        if not why:
            proposal, why = await _child(context, models, paid)
        if proposal is None:
            journal.dismiss_answers(_calls(paid), why)
            journal.record_event("proposal", f"No child of call {paid.call}: {why}")
            continue
        journal.record_event(
            "proposal",
            f"An answer of {paid.model}, paid for before the engine ended, is used now: “{proposal.title}”.",
            data={"call": paid.call},
        )
        yield proposal


async def _child(
    context: Context, models: Mapping[str, LanguageModel], paid: Paid
) -> tuple[Proposal | None, str]:
    """The child of a stored answer, or why there is none: a sentence."""
    first = context.journal.candidate(paid.asked.parents[0])
    source = context.lineage.source(first.commit)
    try:
        child = child_of(paid.response, source, paid.asked, model=paid.model, calls=_calls(paid))
    except EditError as error:
        why = f"the answer of {paid.model}, found again after a restart, does not fit: {error}."
    else:
        return child, ""
    model = models.get(paid.model) or next(iter(models.values()), None)
    if model is None or paid.asked.corrects:  # an answer is put right once
        return None, why
    context.proposer_doing = f"has an answer put right that was paid for as call {paid.call}"
    try:
        return await model.correct(paid, source), ""
    except (ProposalFailed, ProposerUnavailable) as error:
        return None, str(error)
    except ValueError:  # a request that an older version sent
        return None, why


def _calls(paid: Paid) -> tuple[int, ...]:
    """The calls that the child of an answer is made of, oldest first."""
    return (paid.asked.corrects, paid.call) if paid.asked.corrects else (paid.call,)


def _orphaned(context: Context, paid: Paid) -> str:
    """Why a child of these parents is not wanted any more; "" when it is. What is repaired never lived."""
    if paid.asked.purpose == Operator.REPAIR:
        return ""
    gone = [n for n in paid.asked.parents if not context.journal.candidate(n).alive]
    return f"its parent #{gone[0]} has left the population." if gone else ""
