"""What the Diff view reads: scripts made ready to be painted, two of them compared, and the papers of a candidate.

All of it is made in the feed's thread, once for each candidate: lexing seven hundred lines takes as long as several
frames. A shelf keeps the last ones. Nothing here touches a widget.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.widgets.diffing import Alignment, align, visible_lines
from tui.widgets.ink import Line
from tui.widgets.syntax import coloured

if TYPE_CHECKING:
    from evolve.model import Candidate
    from evolve.provenance import Asking, LogText
    from tui.feed import Source

KEPT = 16  # scripts; about a megabyte each

Pair = tuple[int | None, int]  # left and right; left None = the right one's first parent


@dataclass(frozen=True, slots=True)
class Code:
    """A script that can be painted: the exact text, its lines as they are shown, and those with their inks."""

    text: str
    lines: tuple[str, ...]
    painted: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two candidates beside each other. Without a left one the right one has no parent."""

    left: Candidate | None
    right: Candidate
    old: Code
    new: Code
    alignment: Alignment

    @property
    def pair(self) -> Pair:
        """The numbers of both."""
        return (None if self.left is None else self.left.id), self.right.id


class Shelf:
    """Scripts and comparisons, the last ones kept. Use it from one thread."""

    def __init__(self, *, ascii_only: bool) -> None:
        """`ascii_only`: what is not ASCII is shown as its number."""
        self._ascii_only = ascii_only
        self._codes: OrderedDict[str, Code] = OrderedDict()  # by commit

    def code(self, source: Source, candidate: Candidate) -> Code:
        """The script of a candidate; raises what `source.source` raises."""
        known = self._codes.get(candidate.commit)
        if known is not None:
            self._codes.move_to_end(candidate.commit)
            return known
        text = source.source(candidate.id)
        lines = visible_lines(text, ascii_only=self._ascii_only)
        made = self._codes[candidate.commit] = Code(text, lines, coloured(lines))
        while len(self._codes) > KEPT:
            self._codes.popitem(last=False)
        return made

    def compare(self, source: Source, pair: Pair) -> Comparison:
        """Two candidates beside each other, or one beside its first parent."""
        left, number = pair
        right = source.candidate(number)
        if left is None and right.parents:
            left = right.parents[0]
        other = None if left is None else source.candidate(left)
        new = self.code(source, right)
        old = new if other is None else self.code(source, other)
        return Comparison(other, right, old, new, align(old.lines, new.lines))


@dataclass(frozen=True, slots=True)
class Conversation:
    """The calls that a candidate came of."""

    candidate: Candidate
    askings: tuple[Asking, ...]


@dataclass(frozen=True, slots=True)
class Printed:
    """What a candidate printed."""

    candidate: Candidate
    log: LogText | None


def conversation(source: Source, number: int) -> Conversation:
    """The calls that a candidate came of, with the candidate."""
    return Conversation(source.candidate(number), tuple(source.calls_of(number)))


def printed(source: Source, number: int) -> Printed:
    """The end of a candidate's log, with the candidate."""
    return Printed(source.candidate(number), source.log_of(number))
