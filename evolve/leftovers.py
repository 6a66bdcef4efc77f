"""Answers that were paid for before the engine was killed: they become children now, and are not bought again.

Reads the journal and git, and writes down which answers are of no use any more. Adopting a child is the nursery's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evolve.callbook import StoredAnswer
from evolve.model import Operator
from evolve.propose.edits import EditError
from evolve.propose.operators import Proposal
from evolve.propose.stored import child_of

if TYPE_CHECKING:
    from evolve.context import Context


def proposals(context: Context) -> Iterator[Proposal]:
    """The children of answers that an earlier engine stored and never used, where their parents still live."""
    journal = context.journal
    for answer in journal.unused_answers():
        if not answer.asked.parents:
            continue  # a text, such as a scratchpad: whoever asked asks anew when it is due
        try:
            proposal = _rebuilt(context, answer)
        except EditError as error:
            why = (
                f"the answer of {answer.model}, found again after a restart, does not fit: {error}"
            )
        else:
            why = _orphaned(context, answer)
            if not why:
                journal.record_event(
                    "proposal",
                    f"An answer of {answer.model}, paid for before the engine ended, is used now: "
                    f"“{proposal.title}”.",
                    data={"call": answer.call},
                )
                yield proposal
                continue
        journal.dismiss_answers((answer.call,), why)
        journal.record_event("proposal", f"No child of call {answer.call}: {why}.")


def _rebuilt(context: Context, answer: StoredAnswer) -> Proposal:
    first = context.journal.candidate(answer.asked.parents[0])
    source = context.lineage.source(first.commit)
    return child_of(answer.response, source, answer.asked, model=answer.model, calls=(answer.call,))


def _orphaned(context: Context, answer: StoredAnswer) -> str:
    """Why a child of these parents is not wanted any more; "" when it is. What is repaired never lived."""
    if answer.asked.purpose == Operator.REPAIR:
        return ""
    gone = [n for n in answer.asked.parents if not context.journal.candidate(n).alive]
    return f"its parent #{gone[0]} has left the population" if gone else ""
