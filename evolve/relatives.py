"""Which measured candidates differ from a parent in constants only: what a search over its constants learns from.

It reads the journal and git and decides nothing. The journal says who may be such a relative; the proposer, which
compares the sources, has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evolve.kinship import reached
from evolve.model import Candidate, Operator
from evolve.propose.operators import Relative
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.context import Context

MOST = 100  # relatives in a brief, the newest
_TURNED = 2  # a mutation with so many changes or more is constants that were turned together
# What went wrong with its constants; a lost training or a broken rule says nothing about them.
_SPOILT = frozenset({Outcome.CRASH, Outcome.OOM, Outcome.NAN, Outcome.TIMEOUT})


def relatives(context: Context, parent: int, means: Mapping[int, float]) -> tuple[Relative, ...]:
    """Those of `parent`, itself among them, oldest first; `means` are believed scores by candidate."""
    everybody = context.journal.candidates()
    near = kin(everybody, parent)
    found = [
        Relative(c.id, context.lineage.source(c.commit), means.get(c.id))
        for c in everybody
        if c.id in near and (c.id in means or c.outcome in _SPOILT) and not c.voided
    ]
    return tuple(found[-MOST:])


def kin(everybody: Sequence[Candidate], number: int) -> set[int]:
    """`number` and everybody who is joined to it by tunings only, up and down the family tree."""
    joined: dict[int, set[int]] = {}
    for child in everybody:
        if child.parents and _only_constants(child):
            for parent in child.parents:
                joined.setdefault(child.id, set()).add(parent)
                joined.setdefault(parent, set()).add(child.id)
    return reached([number], joined)


def _only_constants(child: Candidate) -> bool:
    """May a child differ from its parents in constants only? The sources tell for sure."""
    if child.operator in {Operator.TUNE, Operator.CROSSOVER}:
        return True
    return child.operator is Operator.MUTATE and len(child.changes) >= _TURNED
