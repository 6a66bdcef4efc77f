"""Walks family trees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.roster import Roster


class Line(Mapping[int, tuple[int, ...]]):
    """Everybody's parents, by number, as a roster has them."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def __getitem__(self, number: int) -> tuple[int, ...]:
        if not 0 < number <= len(self._roster):
            raise KeyError(number)
        return self._roster.parents(number)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, len(self._roster) + 1))

    def __len__(self) -> int:
        return len(self._roster)


def reached(start: Iterable[int], joined: Mapping[int, Collection[int]]) -> set[int]:
    """`start` and everything that can be reached from it; with each child joined to its parents, their whole line."""
    found: set[int] = set()
    open_ = list(start)
    while open_:
        current = open_.pop()
        if current not in found:
            found.add(current)
            open_.extend(joined.get(current, ()))
    return found
