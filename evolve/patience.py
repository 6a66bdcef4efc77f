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

# Believed leads in sigmas, chosen by simulation: between finding small gains and having trainings left for new ideas.
CLEAR = 6.0  # that a few trainings of both sides confirm: no reason to wait
WORTH = (
    -0.4
)  # from which a lead is looked into once it has lasted; what is believed of a child is cautious
SOON = 0.2  # … and when the run ends, where little is left for repeats
AS_GOOD = -1.0  # of a child that is simpler than main
LASTED = 16  # trainings of others after which a lead that nothing has overtaken is looked into
CLOSING = 14  # trainings left in the run, from which on a lead is looked into whether it has lasted or not


@dataclass(frozen=True, slots=True)
class Promising:
    """A living child that was trained once."""

    id: int
    lead: float  # believed, over main, in sigmas of one training; positive is better
    waited: int  # trainings of others since its own
    simpler: bool = False  # fewer lines than main: to be as good is enough


def to_confirm(
    promising: Sequence[Promising], *, left: float = math.inf, idle: bool = False
) -> Promising | None:
    """The child to be measured again now, or None when new ideas are the better use of the slot.

    `left`: trainings that the stop rules leave, infinity without any; `idle`: nothing else is left to train.
    """
    ending = idle or left <= CLOSING
    least = SOON if ending else WORTH
    worth = [p for p in promising if p.lead > (AS_GOOD if p.simpler else least)]
    if not worth:
        return None
    leader = min(worth, key=lambda p: (-p.lead, p.id))
    due = ending or leader.lead >= CLEAR or leader.waited >= LASTED
    return leader if due else None
