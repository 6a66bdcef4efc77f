"""Approve before run: which children wait for a person's word before anything of theirs is run.

The baseline, what a person injected, and repeats need none. With the mode off nobody waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evolve.model import Operator

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate

KEY = "approval.required"  # the setting


def waiting(queue: Iterable[Candidate], *, required: bool) -> tuple[Candidate, ...]:
    """Those of the queue that may not train yet. Pure."""
    return tuple(c for c in queue if required and _needs_word(c))


def released(context: Context) -> tuple[Candidate, ...]:
    """The queue without those that wait for approval, next first."""
    required = context.settings.approval.required
    return tuple(c for c in context.journal.queue() if not (required and _needs_word(c)))


def held(context: Context) -> bool:
    """Is all that could be trained waiting for a person? Tells of it once each time that comes about."""
    queue = context.journal.queue()
    waits = waiting(queue, required=context.settings.approval.required)
    before = context.held
    context.held = bool(waits) and len(waits) == len(queue)
    if context.held and not before:
        first = waits[0].id
        context.journal.record_event(
            "approval",
            f"The slot is idle: {in_words(len(waits))} (`autoresearch approve {first}`, `autoresearch reject {first}`).",
            first,
            {"waiting": [c.id for c in waits]},
        )
    return context.held


def in_words(count: int) -> str:
    """`3 children wait for your approval`."""
    return f"{'1 child waits' if count == 1 else f'{count} children wait'} for your approval"


def _needs_word(candidate: Candidate) -> bool:
    made = candidate.operator not in (Operator.SEED, Operator.HUMAN)
    return made and not candidate.approved
