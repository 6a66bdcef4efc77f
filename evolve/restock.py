"""When main moves, the children that wait were made for yesterday: which of them go, and who trains first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.model import Operator
from evolve.propose.novelty import holds

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate


@dataclass(frozen=True, slots=True)
class Waiting:
    """A child that is ready, as far as it matters here."""

    id: int
    parents: tuple[int, ...]  # the edited one first
    wished: bool = False  # a person injected or pinned it
    repairs: bool = False  # its parent crashed, and never lived
    in_main: bool = False  # main does already all that it changes in its parent


@dataclass(frozen=True, slots=True)
class Restocked:
    """What becomes of the queue."""

    order: tuple[int, ...]  # of those that stay, next first
    dropped: tuple[tuple[int, str], ...]  # with the reason, a sentence


def restock(queue: Sequence[Waiting], main: int, living: frozenset[int]) -> Restocked:
    """Sort out `queue`, next first, now that `main` holds another candidate and `living` are the population.

    A child whose edited parent lives no longer would start from where the search has left, and one whose idea is in
    main already would find nothing. What a person wished for stays, and first; then main's own children, then the
    others as they were.
    """
    dropped: list[tuple[int, str]] = []
    staying: list[Waiting] = []
    for child in queue:
        if child.wished:
            staying.append(child)
        elif child.in_main:
            dropped.append((child.id, f"Main is #{main} now, which does all of it already."))
        elif not child.repairs and child.parents[0] not in living | {main}:
            why = f"Its parent #{child.parents[0]} left the population when #{main} became main."
            dropped.append((child.id, why))
        else:
            staying.append(child)
    staying.sort(key=lambda child: (not child.wished, main not in child.parents))
    return Restocked(tuple(child.id for child in staying), tuple(dropped))


def after_promotion(context: Context) -> None:
    """Carry it out: drop what is stale, let the others train in their new order, and tell of it."""
    journal = context.journal
    incumbent = context.incumbent()
    queue = journal.queue()
    if incumbent is None or not queue:
        return
    living = frozenset(c.id for c in journal.living())
    waiting = [_waiting(context, child, incumbent) for child in queue]
    found = restock(waiting, incumbent.id, living)
    for number, reason in found.dropped:
        journal.drop_candidate(number, reason)
    gone = {number for number, _ in found.dropped}
    if found.order != tuple(child.id for child in queue if child.id not in gone):
        journal.order_queue(found.order)
        row = ", ".join(f"#{number}" for number in found.order)
        journal.record_event("queue", f"Main's children go first; the queue is now {row}.")
    context.wake()


def _waiting(context: Context, child: Candidate, incumbent: Candidate) -> Waiting:
    """A child with what the sources say: is all that it changes in main?"""
    lineage = context.lineage
    edited = context.journal.candidate(child.parents[0])
    return Waiting(
        id=child.id,
        parents=child.parents,
        wished=child.operator is Operator.HUMAN or child.pinned,
        repairs=child.operator is Operator.REPAIR,
        in_main=edited.id != incumbent.id
        and holds(
            lineage.source(incumbent.commit),
            lineage.source(edited.commit),
            lineage.source(child.commit),
        ),
    )
