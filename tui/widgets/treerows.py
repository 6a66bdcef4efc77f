"""Other rows of the same tree: those of a filter, and those of a narrow screen. Pure; what is open is `tree`'s to know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.widgets.tree import Forest


def narrowed(forest: Forest, matches: Iterable[int]) -> list[int]:
    """The rows of a filter: the matches with all their ancestors, whatever is folded."""
    kept: set[int] = set()
    for number in matches:
        at = number
        while at and at not in kept:
            kept.add(at)
            at = forest.parent(at)
    under: dict[int, list[int]] = {}
    for number in sorted(kept, reverse=True):
        under.setdefault(forest.parent(number), []).append(number)
    found: list[int] = []
    todo = under.get(0, [])
    while todo:
        found.append(number := todo.pop())
        todo += under.get(number, [])
    return found


@dataclass(frozen=True, slots=True)
class Chains:
    """Rows in which every line of single children is drawn together into its last one."""

    rows: list[int]  # that remain
    depths: list[int]  # how deep each of them then stands
    heads: dict[int, int]  # from the last of a line to its first
    next: dict[int, int]  # from one that is not shown to the one below it


def chains(forest: Forest, rows: Iterable[int]) -> Chains:
    """Draw lines of single children together: for narrow screens."""
    found = Chains([], [], {}, {})
    shown: dict[int, int] = {0: -1}  # how deep each row came to stand
    for row in rows:
        above = forest.holder(row)
        depth = shown.get(above, -1) + 1
        before = found.rows[-1] if found.rows else 0
        if row > 0 and before > 0 and above == before and _single(forest, before):
            found.heads[row] = found.heads.pop(before, before)
            found.next[before] = row
            found.rows[-1], depth = row, found.depths[-1]
        else:
            found.rows.append(row)
            found.depths.append(depth)
        shown[row] = depth
    return found


def _single(forest: Forest, number: int) -> bool:
    """Has a candidate just one row below it?"""
    return forest.size(number) > 0 and len(forest.level(number)) == 1
