"""How two scripts look beside each other: as one column with signs, or as two. Pure.

A sign in front of a line and reverse words in it say what changed, so it can be read without colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tui.comparing import Code, Comparison
from tui.widgets.diffing import Fold, Kind, Row, folded
from tui.widgets.ink import Glyphs, Ink, Line, fit, rule, times
from tui.widgets.syntax import marked, wrapped
from tui.widgets.tables import pad

CONTEXT = 3  # lines around a change that stay when the rest is folded
SPLIT_FROM = 140  # columns from which two scripts fit side by side

_INKS = {"-": (Ink.REMOVED, Ink.REMOVED_WORD), "+": (Ink.ADDED, Ink.ADDED_WORD)}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A text that was painted: its lines, and the places in it that n and N jump to."""

    lines: tuple[Line, ...]
    stops: tuple[int, ...] = ()


def diff_sheet(
    comparison: Comparison, columns: int, glyphs: Glyphs, *, split: bool, fold: bool
) -> Sheet:
    """The comparison in so many columns; `fold` hides what is the same beyond a few lines."""
    alignment = comparison.alignment
    shown = folded(alignment, CONTEXT) if fold else alignment.rows
    body = _Body(comparison, columns, glyphs, split=split)
    starts = frozenset(alignment.rows[first] for first, _ in alignment.hunks)
    lines: list[Line] = []
    stops: list[int] = []
    for block in _runs(shown):
        if isinstance(block[0], Row) and block[0] in starts:
            stops.append(len(lines))
        lines += body.lines(block)
    if not alignment.hunks:
        lines.insert(0, ((" Their scripts are the same, line by line.", Ink.BOLD),))
    return Sheet(tuple(lines), tuple(stops))


def numbered(code: Code, columns: int) -> Sheet:
    """A script with line numbers; stops at what is defined at its top level."""
    digits = len(str(len(code.lines)))
    lines: list[Line] = []
    stops: list[int] = []
    for place, painted in enumerate(code.painted):
        if code.lines[place].startswith(("def ", "class ", "async def ", "@", "if __name__")):
            stops.append(len(lines))
        head: Line = ((f" {place + 1:{digits}} ", Ink.COMMENT),)
        for part in wrapped(painted, max(8, columns - digits - 2)):
            lines.append((*head, *part))
            head = ((" " * (digits + 2), Ink.COMMENT),)
    return Sheet(tuple(lines), tuple(stops))


def statistics(comparison: Comparison, glyphs: Glyphs) -> str:
    """`+12 −4 in 3 places`; nothing where there is no other side."""
    if comparison.left is None:
        return "no parent"
    alignment = comparison.alignment
    minus = "−" if glyphs.braille else "-"
    places = times(len(alignment.hunks), "place")
    return f"+{alignment.added} {minus}{alignment.removed} in {places}"


def _runs(shown: Sequence[Row | Fold]) -> Iterator[list[Row | Fold]]:
    """Blocks that are painted together: a changed run, or one line that is the same, or a fold."""
    block: list[Row | Fold] = []
    for entry in shown:
        if isinstance(entry, Row) and entry.kind is not Kind.SAME:
            block.append(entry)
            continue
        if block:
            yield block
            block = []
        yield [entry]
    if block:
        yield block


class _Body:
    """Paints the rows of one comparison."""

    def __init__(
        self, comparison: Comparison, columns: int, glyphs: Glyphs, *, split: bool
    ) -> None:
        self._old, self._new = comparison.old, comparison.new
        self._rows = comparison.alignment.rows
        self._glyphs, self._columns, self._split = glyphs, columns, split
        self._digits = len(str(max(len(self._old.lines), len(self._new.lines))))
        gutter = self._digits + 4 if split else 2 * self._digits + 5
        self._half = (columns - 1) // 2
        self._room = max(8, (self._half if split else columns) - gutter)

    def lines(self, block: Sequence[Row | Fold]) -> Iterator[Line]:
        """The lines of one block."""
        for entry in block:
            if isinstance(entry, Fold):
                yield self._fold(entry)
        rows = [entry for entry in block if isinstance(entry, Row)]
        if self._split:
            for row in rows:
                yield from self._beside(row)
        elif rows and rows[0].kind is Kind.SAME:
            yield from self._single(rows[0], " ")
        else:
            for row in (row for row in rows if row.left is not None):
                yield from self._single(row, "-")
            for row in (row for row in rows if row.right is not None):
                yield from self._single(row, "+")

    def _fold(self, entry: Fold) -> Line:
        """`─ 120 lines are the same ─ def forward ─────`."""
        name = ""
        if entry.end < len(self._rows):
            after = self._rows[entry.end].right
            name = "" if after is None else _enclosing(self._new.lines, after)
        told: Line = ((f"{times(entry.end - entry.start, 'line')} the same", Ink.DIM),)
        if name:
            told += ((f"  {name}", Ink.COMMENT),)
        return rule(told, (), self._columns, self._glyphs)

    def _single(self, row: Row, sign: str) -> Iterator[Line]:
        """One side of a row in the unified form."""
        ours, theirs = row.left if sign != "+" else None, row.right if sign != "-" else None
        painted = self._side(row, sign)
        head = f" {self._number(ours)} {self._number(theirs)} "
        for part in wrapped(painted, self._room):
            yield ((head, Ink.COMMENT), *self._signed(sign), *part)
            head = " " * len(head)

    def _beside(self, row: Row) -> Iterator[Line]:
        """Both sides of a row."""
        same = row.kind is Kind.SAME
        left = self._column(row, row.left, " " if same else "-")
        right = self._column(row, row.right, " " if same else "+")
        for place in range(max(len(left), len(right))):
            ours = left[place] if place < len(left) else ()
            theirs = right[place] if place < len(right) else ()
            yield (*fit(ours, self._half), (self._glyphs.side, Ink.RULE), *theirs)

    def _column(self, row: Row, number: int | None, sign: str) -> list[Line]:
        if number is None:
            return []
        head = f" {self._number(number)} "
        lines: list[Line] = []
        for part in wrapped(self._side(row, sign, right=number is row.right), self._room):
            lines.append(((head, Ink.COMMENT), *self._signed(sign), *part))
            head = " " * len(head)
        return lines

    def _side(self, row: Row, sign: str, *, right: bool = True) -> Line:
        """The painted text of one side."""
        if sign == " ":
            code, number = (self._new, row.right) if right else (self._old, row.left)
            return code.painted[number] if number is not None else ()
        code, number, marks = (
            (self._old, row.left, row.left_marks)
            if sign == "-"
            else (self._new, row.right, row.right_marks)
        )
        return marked(code.painted[number], marks, *_INKS[sign]) if number is not None else ()

    def _signed(self, sign: str) -> Line:
        return (("  ", Ink.PLAIN),) if sign == " " else ((f"{sign} ", _INKS[sign][0]),)

    def _number(self, place: int | None) -> str:
        return pad("" if place is None else str(place + 1), self._digits, right=True)


def _enclosing(lines: Sequence[str], place: int) -> str:
    """The nearest `def` or `class` above a line that contains it, as git shows it; "" at the top level."""
    limit = next((_indent(line) for line in lines[place:] if line.strip()), 0)
    for line in reversed(lines[:place]):
        if line.strip() and _indent(line) < limit:
            limit = _indent(line)
            if line.lstrip().startswith(("def ", "class ", "async def ")):
                return line.strip().rstrip(":")
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
