"""The whole history as a tree that folds: who stands under whom, what is open, and which rows that makes. No widget.

Each candidate stands under its first parent, so it appears once. Failures that led to nothing share one row under their
parent, which opens like a branch. A branch begins open where somebody lives, waits, trains or has been main below it;
from then on only a person closes it. All of it is integers in arrays: 100,000 candidates take 4 MB, a new one a few
steps up its ancestors and one move in memory.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from evolve.model import Verdict
from evolve.roster import VERDICTS, Roster

FEW = 200  # changes that are put in their places one by one; more of them build the rows anew
_CROWNED = frozenset({VERDICTS.index(Verdict.PROMOTED), VERDICTS.index(Verdict.BASELINE)})


class Forest:
    """Candidates by number; a row is a number, or minus the number of the parent whose failures it gathers.

    Number 0 is the ground that the roots stand on.
    """

    def __init__(self) -> None:
        """Nobody yet."""
        self._begin()
        self._opened: set[int] = set()  # by a person
        self._closed: set[int] = set()

    def _begin(self) -> None:
        self.roster = Roster()
        self.rows: list[int] = []
        self.trunk: frozenset[int] = frozenset()  # the ancestors of main, and main
        self._incumbent = 0
        self._first = array("i", [0])  # first child
        self._last = array("i", [0])  # last child
        self._next = array("i", [0])  # next sibling
        self._depth = array("i", [-1])
        self._size = array("i", [0])  # descendants
        self._quiet = array("b", [0])  # 1: failed, and led to nothing
        self._failures = array("i", [0])  # quiet children
        self._open: set[int] = set()

    # ---- questions ---------------------------------------------------------------------------------------

    def parent(self, number: int) -> int:
        """The first parent of a candidate, or the one whose failures a row gathers; 0 = the ground."""
        return -number if number < 0 else self.roster.parent[number - 1]

    def depth(self, row: int) -> int:
        """How deep a row stands; roots stand at 0."""
        if row < 0:
            return self._depth[-row] + 1
        return self._depth[row] + self._quiet[row]

    def size(self, row: int) -> int:
        """How many candidates there are below a row."""
        return self._failures[-row] if row < 0 else self._size[row]

    def is_open(self, row: int) -> bool:
        """Are the children of a row shown?"""
        return row in self._open

    def children(self, number: int) -> Iterator[int]:
        """The candidates whose first parent is `number`, in the order of their numbers."""
        child = self._first[number]
        while child:
            yield child
            child = self._next[child]

    def level(self, row: int) -> list[int]:
        """The rows right under a row, when it is open."""
        if row < 0:
            return [child for child in self.children(-row) if self._quiet[child]]
        found = [child for child in self.children(row) if not self._quiet[child]]
        return [*found, -row] if row and self._failures[row] else found

    def holder(self, number: int) -> int:
        """The row that must be open for a candidate to be seen: its parent, or the row of that one's failures."""
        parent = self.parent(number)
        return -parent if number > 0 and self._quiet[number] and parent else parent

    def ancestors(self, row: int) -> Iterator[int]:
        """The rows above a row, nearest first."""
        above = self.holder(row)
        while above:
            yield above
            above = self.holder(above)

    def visible(self, row: int) -> bool:
        """Is a row in `rows`?"""
        return all(above in self._open for above in self.ancestors(row))

    def crowned(self, number: int) -> bool:
        """Is or was the candidate main?"""
        return self.roster.verdict[number - 1] in _CROWNED

    def crosses(self, number: int) -> tuple[int, ...]:
        """The crossovers whose second parent is `number`, oldest first."""
        other = self.roster.other
        return tuple(place + 1 for place in range(number, len(other)) if other[place] == number)

    # ---- folding -------------------------------------------------------------------------------------------

    def open(self, row: int) -> bool:
        """Show the children of a row; False when it has none or they are shown."""
        if row in self._open or not self.size(row):
            return False
        self._opened.add(row)
        self._closed.discard(row)
        self._unfold(row)
        return True

    def open_all(self, row: int) -> None:
        """Show everything below a row."""
        todo = [row]
        while todo:
            at = todo.pop()
            if self.size(at):
                self._open.add(at)
                self._opened.add(at)
                self._closed.discard(at)
                todo += self.level(at)
        self._rebuild()

    def close(self, row: int) -> bool:
        """Hide what is below a row; False when nothing of it is shown."""
        if row not in self._open:
            return False
        if self.visible(row):
            place = self.rows.index(row)
            del self.rows[place + 1 : self._end_of(row, place)]
        self._open.discard(row)
        self._opened.discard(row)
        self._closed.add(row)
        return True

    def reveal(self, number: int) -> bool:
        """Open whatever hides a candidate; True when something was opened."""
        hidden = [above for above in self.ancestors(number) if above not in self._open]
        for above in reversed(hidden):
            self.open(above)
        return bool(hidden)

    def fold_to_default(self) -> None:
        """Forget what a person opened and closed."""
        self._opened.clear()
        self._closed.clear()
        self._open = self._worth_seeing()
        self._rebuild()

    # ---- growing -------------------------------------------------------------------------------------------

    def update(self, roster: Roster, incumbent: int) -> bool:
        """Take in a newer roster and who is main; True when rows or what they show may have changed."""
        if roster is self.roster and incumbent == self._incumbent:
            return False
        if roster.run != self.roster.run:
            self._begin()
            self._opened.clear()
            self._closed.clear()
        changed = roster.since(self.roster.version) if len(self.roster) else None
        self.roster = roster
        if changed is None or len(changed) > FEW:
            self._build()
        else:
            for number in changed:
                self._change(number)
        self._crown(incumbent)
        for number in changed or ():
            if roster.active(number):
                self._show_path(number)
        return True

    def _build(self) -> None:
        """Everything from the roster."""
        roster, count = self.roster, len(self.roster)
        blank = [0] * (count + 1)
        self._first, self._last, self._next = (array("i", blank) for _ in range(3))
        self._size, self._failures, self._depth = (array("i", blank) for _ in range(3))
        self._quiet = array("b", blank)
        self._depth[0] = -1
        for number, parent in enumerate(roster.parent, 1):
            self._link(number, parent)
        for number in range(count, 0, -1):
            self._size[roster.parent[number - 1]] += self._size[number] + 1
        for number, parent in enumerate(roster.parent, 1):
            if self._is_quiet(number):
                self._quiet[number] = 1
                self._failures[parent] += 1
        self._open = self._worth_seeing()
        self._rebuild()

    def _link(self, number: int, parent: int) -> None:
        self._depth[number] = self._depth[parent] + 1
        if last := self._last[parent]:
            self._next[last] = number
        else:
            self._first[parent] = number
        self._last[parent] = number

    def _is_quiet(self, number: int) -> bool:
        return self.roster.failed(number) and not self._first[number] and bool(self.parent(number))

    def _worth_seeing(self) -> set[int]:
        """The branches with somebody below who lives, waits, trains or was main, and what a person opened."""
        roster, parent = self.roster, self.roster.parent
        warm = bytearray(len(roster) + 1)
        for number in range(len(roster), 0, -1):
            above = parent[number - 1]
            if (
                warm[number]
                or roster.alive(number)
                or roster.active(number)
                or self.crowned(number)
            ):
                warm[above] = 1
        found = {number for number, is_warm in enumerate(warm) if is_warm}
        return ((found | self._opened) - self._closed) | {0}

    def _rebuild(self) -> None:
        self.rows = self._below(0)

    def _below(self, row: int) -> list[int]:
        found: list[int] = []
        todo = self.level(row)[::-1]
        while todo:
            at = todo.pop()
            found.append(at)
            if at in self._open:
                todo += reversed(self.level(at))
        return found

    def _change(self, number: int) -> None:
        """One candidate is new, or another than it was."""
        if number == len(self._first):
            self._append(number)
        elif self._is_quiet(number) != bool(self._quiet[number]):
            self._take_away(number)
            self._put(number)

    def _append(self, number: int) -> None:
        parent = self.parent(number)
        for column in (
            self._first,
            self._last,
            self._next,
            self._size,
            self._failures,
            self._depth,
        ):
            column.append(0)
        self._quiet.append(0)
        self._link(number, parent)
        above = parent
        while above:
            self._size[above] += 1
            above = self.parent(above)
        self._size[0] += 1
        if self._quiet[parent]:  # a failure that is being repaired stands by itself again
            self._take_away(parent)
            self._put(parent)
        self._put(number)

    def _take_away(self, number: int) -> None:
        """Out of the rows, and no longer among the failures; it has no children in the rows."""
        if self.visible(number):
            self.rows.remove(number)
        if self._quiet[number]:
            parent = self.parent(number)
            self._failures[parent] -= 1
            if not self._failures[parent] and self.visible(-parent):
                self.rows.remove(-parent)
            self._quiet[number] = 0

    def _put(self, number: int) -> None:
        """Into the rows where it can be seen, and among the failures if it is one."""
        if self._is_quiet(number):
            parent = self.parent(number)
            self._quiet[number] = 1
            self._failures[parent] += 1
            if self._failures[parent] == 1 and self.visible(-parent):
                self.rows.insert(self._place_of(-parent), -parent)
        if self.visible(number):
            self.rows.insert(self._place_of(number), number)

    def _place_of(self, row: int) -> int:
        """Where a row that is not in the rows yet belongs: before the row that follows it."""
        after = self._after(row)
        return len(self.rows) if after == 0 else self.rows.index(after)

    def _end_of(self, row: int, place: int) -> int:
        """Where the rows below a visible row end."""
        after = self._after(row)
        return len(self.rows) if after == 0 else self.rows.index(after, place)

    def _after(self, row: int) -> int:
        """The next row that is not below `row`; 0 = it is the last one."""
        while row:
            if row > 0:
                quiet, sibling = self._quiet[row], self._next[row]
                while sibling and self._quiet[sibling] != quiet:
                    sibling = self._next[sibling]
                if sibling:
                    return sibling
                parent = self.parent(row)
                if not quiet and parent and self._failures[parent]:
                    return -parent
            row = self.parent(row) if row < 0 else self.holder(row)
        return 0

    # ---- main ----------------------------------------------------------------------------------------------

    def _crown(self, incumbent: int) -> None:
        if incumbent == self._incumbent and (not incumbent or incumbent in self.trunk):
            return
        self._incumbent = incumbent
        if 0 < incumbent <= len(self.roster):
            path = [row for row in self.ancestors(incumbent) if row > 0]
            self.trunk = frozenset([incumbent, *path])
            self._show_path(incumbent)
        else:
            self.trunk = frozenset()

    def _show_path(self, number: int) -> None:
        """Open what hides a candidate, unless a person closed it."""
        path = tuple(self.ancestors(number))
        if not self._closed.intersection(path):
            for above in reversed(path):
                if above not in self._open:
                    self._unfold(above)

    def _unfold(self, row: int) -> None:
        self._open.add(row)
        if self.visible(row):
            place = self.rows.index(row)
            self.rows[place + 1 : place + 1] = self._below(row)
