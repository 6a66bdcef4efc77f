"""Which measured candidates differ from a parent in constants only: what a search over its constants learns from.

It reads the journal and git and decides nothing. The journal says who may be such a relative; the proposer, which
compares the sources, has the last word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from evolve.model import Candidate, Operator
from evolve.propose.operators import Relative
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.reader import Reader

MOST = 100  # relatives in a brief, the newest
_TURNED = 2  # a mutation with so many changes or more is constants that were turned together
# What went wrong with its constants; a lost training or a broken rule says nothing about them.
_SPOILT = frozenset({Outcome.CRASH, Outcome.OOM, Outcome.NAN, Outcome.TIMEOUT})


def relatives(context: Context, parent: int, means: Mapping[int, float]) -> tuple[Relative, ...]:
    """Those of `parent`, itself among them, oldest first; `means` are believed scores by candidate."""
    found: list[Candidate] = []
    for number in context.kin().of(parent):
        one = context.journal.candidate(number)
        if (number in means or one.outcome in _SPOILT) and not one.voided:
            found.append(one)
            if len(found) == MOST:
                break
    return tuple(
        Relative(c.id, context.lineage.source(c.commit), means.get(c.id)) for c in reversed(found)
    )


class Kin:
    """Who is joined to whom by tunings only, up and down the family tree: sets that only ever grow together."""

    def __init__(self) -> None:
        """Nobody yet."""
        self._run = 0
        self._head: list[int] = [0]  # towards whoever stands for its set, by number
        self._members: dict[int, list[int]] = {}  # of the sets of more than one, ascending

    def update(self, journal: Reader) -> None:
        """Take in who is new."""
        if journal.run_id() != self._run:
            self._run, self._head, self._members = journal.run_id(), [0], {}
        for number, operator, parents, changes in journal.turned_constants(len(self._head) - 1):
            self._head.append(number)
            if only_constants(Operator(operator), changes):
                for parent in json.loads(parents):
                    self._join(parent, number)

    def of(self, number: int) -> Iterator[int]:
        """`number` and all who are joined to it, youngest first."""
        return reversed(self._members.get(self._standing_for(number), [number]))

    def _standing_for(self, number: int) -> int:
        head = self._head
        while head[number] != number:
            head[number] = head[head[number]]
            number = head[number]
        return number

    def _join(self, one: int, other: int) -> None:
        """The smaller set goes over to the larger one."""
        ours, theirs = self._standing_for(one), self._standing_for(other)
        if ours == theirs:
            return
        mine, its = self._members.pop(ours, [ours]), self._members.pop(theirs, [theirs])
        if len(mine) < len(its):
            ours, theirs, mine, its = theirs, ours, its, mine
        self._head[theirs] = ours
        if its[0] > mine[-1]:
            mine += its
        else:
            mine = sorted(mine + its)  # two ascending runs, which it merges
        self._members[ours] = mine


def only_constants(operator: Operator, changes: int) -> bool:
    """May a child differ from its parents in constants only? `changes`: how many things it names. The sources tell for sure."""
    if operator in {Operator.TUNE, Operator.CROSSOVER}:
        return True
    return operator is Operator.MUTATE and changes >= _TURNED
