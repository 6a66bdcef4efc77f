"""Figures with a name, one a line, and which of them a small pane keeps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.widgets.ink import Glyphs, Ink, Line, cut

NAME = 12  # columns of a name, its margins included


@dataclass(frozen=True, slots=True)
class Fact:
    """A figure. The highest `rank` is left out first; one without a value is not shown at all."""

    rank: int
    name: str
    value: str
    ink: Ink = Ink.PLAIN


def fact_lines(facts: Sequence[Fact], columns: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """The most important facts, in their order, in at most `rows` lines."""
    kept = [fact for fact in facts if fact.value]
    while len(kept) > max(0, rows):
        kept.remove(max(reversed(kept), key=lambda fact: fact.rank))
    room = max(0, columns - NAME - 1)
    return [
        ((f" {fact.name:{NAME - 2}} ", Ink.DIM), (cut(fact.value, room, glyphs), fact.ink))
        for fact in kept
    ]
