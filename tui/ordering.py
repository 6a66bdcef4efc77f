"""In which order the population view shows 100,000 candidates, kept up to date by what is new. Pure.

Sorting by what is believed would need the posterior of everybody at every look, and believing is a pass over the whole
tree. So the population, whose order matters, stands first in the order of its corrected scores, which every snapshot
brings; all others follow by the mean that they measured. Luck moves them by a few places and decides nothing there.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

from evolve.roster import OPERATORS, STATES, VERDICTS, Roster
from tui.state import ViewState, candidate_of

if TYPE_CHECKING:
    from evolve.model import Candidate

FEW = 200  # changes that are put in their places one by one; more of them sort anew
_LAST = math.inf


@dataclass(frozen=True, slots=True)
class Column:
    """Something to sort by."""

    name: str
    words: str  # for the title
    keys: Callable[[Roster], Sequence[float]]  # by number - 1; nan = has none, and comes last
    descending: bool = False  # the more useful direction


def _words(places: Sequence[int], names: Sequence[str]) -> list[float]:
    """Names as numbers that sort as they do."""
    rank = {
        place: float(i) for i, place in enumerate(sorted(range(len(names)), key=names.__getitem__))
    }
    return [rank[place] for place in places]


def _verdicts(roster: Roster) -> list[float]:
    names = [str(word or "") for word in VERDICTS]
    states = [str(state) for state in STATES]
    table = _words(range(len(names)), names)
    waiting = _words(range(len(states)), states)
    # Whoever has no verdict yet comes before all verdicts, by its state.
    return [
        table[verdict] if verdict else waiting[state] - len(states)
        for verdict, state in zip(roster.verdict, roster.state, strict=True)
    ]


COLUMNS = (
    Column("living", "the living first", lambda roster: roster.fitness),
    Column("score", "by score as measured", lambda roster: roster.mean),
    Column("newest", "by age", lambda roster: range(1, len(roster) + 1), descending=True),
    Column("runs", "by trainings", lambda roster: roster.runs, descending=True),
    Column("kids", "by children", lambda roster: roster.children, descending=True),
    Column("gen", "by generation", lambda roster: roster.generation, descending=True),
    Column("operator", "by operator",
           lambda roster: _words(roster.operator, [str(word) for word in OPERATORS])),
    Column("category", "by category", lambda roster: _words(roster.category, roster.names)),
    Column("by", "by maker", lambda roster: _words(roster.maker, roster.names)),
    Column("became", "by verdict", _verdicts),
)  # fmt: skip
_CYCLE = ("living", "score", "newest")  # what `s` goes through


@dataclass(frozen=True, slots=True)
class Sort:
    """A column and a direction."""

    column: Column = COLUMNS[0]
    descending: bool = False

    def next(self) -> Sort:
        """The next of the three orders that are wanted most."""
        name = self.column.name
        place = _CYCLE.index(name) + 1 if name in _CYCLE else 0
        return Sort.by(_CYCLE[place % len(_CYCLE)])

    def beside(self, by: int) -> Sort:
        """The column `by` places further on, around the end."""
        place = (COLUMNS.index(self.column) + by) % len(COLUMNS)
        return Sort(COLUMNS[place], COLUMNS[place].descending)

    def turned(self) -> Sort:
        """The other direction."""
        return replace(self, descending=not self.descending)

    @classmethod
    def by(cls, name: str) -> Sort:
        """By the column of this name; raises KeyError when there is none."""
        column = {column.name: column for column in COLUMNS}[name]
        return cls(column, column.descending)


class Order:
    """Every number in the order of a sort: first those at the front, then the others; newer ones first among equals."""

    def __init__(self, sort: Sort) -> None:
        """Nobody yet."""
        self.sort = sort
        self.numbers = array("i")  # arrays, because a list of numbers takes ten times the memory
        self._front: tuple[int, ...] = ()
        self._rest = array("i")
        self._roster = Roster()
        self._keys = array("d")  # by number - 1

    def update(self, roster: Roster, front: tuple[int, ...]) -> bool:
        """Take in what is new since the last time; True when the order may have changed.

        `front`: who comes first, in that order, whatever their keys. Costs O(n) moves in memory for a few changes and a
        sort for many.
        """
        if roster is self._roster and front == self._front:
            return False
        same_run = roster.run == self._roster.run and roster.names == self._roster.names
        changed = roster.since(self._roster.version) if same_run else None
        moved = set(front) ^ set(self._front)
        if changed is None or len(changed) + len(moved) > FEW:
            self._sort(roster, front)
        else:
            self._move(roster, front, {*changed, *moved})
        self._roster, self._front = roster, front
        self.numbers = array("i", front) + self._rest
        return True

    def _sort(self, roster: Roster, front: Collection[int]) -> None:
        self._keys = self._keys_of(roster)
        keys = array("d", [0.0]) + self._keys
        everybody = range(len(roster), 0, -1)  # among equals the newest first, as sorting is stable
        first = set(front)
        others = (number for number in everybody if number not in first)
        self._rest = array("i", sorted(others, key=keys.__getitem__))

    def _move(self, roster: Roster, front: Collection[int], changed: Collection[int]) -> None:
        first = set(front)
        for number in changed:
            if number <= len(self._keys):
                self._take_out(number)
        self._keys = self._keys_of(roster)
        for number in changed:
            if number not in first and number <= len(roster):
                insort(self._rest, number, key=self._place)

    def _take_out(self, number: int) -> None:
        place = bisect_left(self._rest, self._place(number), key=self._place)
        if place < len(self._rest) and self._rest[place] == number:
            del self._rest[place]

    def _place(self, number: int) -> tuple[float, int]:
        return self._keys[number - 1], -number

    def _keys_of(self, roster: Roster) -> array[float]:
        """One number each, ascending in the order that is wanted; whoever has none comes last."""
        sign = -1.0 if self.sort.descending else 1.0
        keys = self.sort.column.keys(roster)
        return array(
            "d", (sign * key if key == key else _LAST for key in keys)
        )  # nan is not itself


class Rows(Sequence["Candidate"]):
    """Candidates in an order, made when they are looked at."""

    def __init__(self, state: ViewState, numbers: Sequence[int]) -> None:
        """`numbers` are of candidates that the state knows."""
        self._state = state
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Candidate: ...
    @overload
    def __getitem__(self, place: slice) -> list[Candidate]: ...
    def __getitem__(self, place: int | slice) -> Candidate | list[Candidate]:
        if isinstance(place, slice):
            return [candidate_of(self._state, number) for number in self.numbers[place]]
        return candidate_of(self._state, self.numbers[place])

    def place(self, number: int) -> int | None:
        """Where a candidate is, or None."""
        try:
            return self.numbers.index(number)
        except ValueError:
            return None
