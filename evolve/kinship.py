"""Walks family trees. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping


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
