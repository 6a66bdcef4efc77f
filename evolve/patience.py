"""When a promising child is worth more trainings: at once where its lead is clear, else when its lead has lasted.

A repeat costs as much as a new idea. A small lead takes a dozen of them to be confirmed, and most small leads are
soon overtaken by a child of the leader; so a child that may be better than main first lives and breeds on what is
believed of it, and only the one that leads is repeated: when few repeats will do, when nothing has overtaken it for a
while, or when the run is about to end. With the same trainings that brings main further than repeating every
contender at once (tests/evolve/test_patience.py). Pure: it looks at no clock and no journal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CLEAR = 4.0  # sigmas of believed lead that a few trainings of both sides confirm: no reason to wait
LASTED = 20  # trainings of others after which a lead that nothing has overtaken is looked into
CLOSING = 10  # trainings left in the run, from which on a lead is looked into whether it has lasted or not
WORTH = 0.5  # sigmas of believed lead below which a child is not worth a repeat


@dataclass(frozen=True, slots=True)
class Promising:
    """A living child that was trained once."""

    id: int
    lead: float  # believed, over main, in sigmas of one training; positive is better
    waited: int  # trainings of others since its own


def to_confirm(
    promising: Sequence[Promising], *, left: float = math.inf, idle: bool = False
) -> Promising | None:
    """The child to be measured again now, or None when new ideas are the better use of the slot.

    `left`: trainings that the stop rules leave, infinity without any; `idle`: nothing else is left to train.
    """
    if not promising:
        return None
    leader = min(promising, key=lambda p: (-p.lead, p.id))
    if leader.lead < WORTH:
        return None
    due = idle or left <= CLOSING or leader.lead >= CLEAR or leader.waited >= LASTED
    return leader if due else None
