"""The one way in which this app draws: a pane keeps its lines and repaints only the columns that changed.

Textual writes a dirty widget's whole region again, even when the text is the same; over SSH at two frames a
second that is most of the traffic. So a pane compares old and new cells and refreshes only the runs that
differ. A pane must never draw without new lines, blink, or animate: an idle screen costs no bytes at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.ink import Cell, Ink, Line, Span, cells, fit

if TYPE_CHECKING:
    from textual.events import Resize

    from tui.state import ViewState

Painter = Callable[["ViewState", int, int], Sequence[Line]]

# Colours of the terminal's own palette: they follow the person's theme, light or dark, and cost few bytes.
STYLES: dict[Ink, Style] = {
    Ink.PLAIN: Style(),
    Ink.DIM: Style(dim=True),
    Ink.BOLD: Style(bold=True),
    Ink.GOOD: Style(color="green", bold=True),
    Ink.WARN: Style(color="yellow", bold=True),
    Ink.BAD: Style(color="red", bold=True),
    Ink.CURVE: Style(color="bright_blue", bold=True),
    Ink.RIVAL: Style(color="yellow"),
    Ink.RULE: Style(dim=True),
    Ink.CURSOR: Style(reverse=True),
    Ink.KEYWORD: Style(color="magenta"),
    Ink.DEFINED: Style(bold=True),
    Ink.STRING: Style(color="cyan"),
    Ink.NUMBER: Style(color="bright_blue"),
    Ink.COMMENT: Style(dim=True),
    Ink.ADDED: Style(color="green"),
    Ink.REMOVED: Style(color="red"),
    Ink.ADDED_WORD: Style(color="green", reverse=True),
    Ink.REMOVED_WORD: Style(color="red", reverse=True),
}

# A separate run costs a cursor move and two style changes; a gap shorter than this is cheaper to write again.
GAP = 12


def changed_runs(old: Sequence[Cell], new: Sequence[Cell], gap: int = GAP) -> list[tuple[int, int]]:
    """Return the runs `(start, length)` of columns in which two lines of the same width differ."""
    if len(old) != len(new):
        return [(0, len(new))] if new else []
    runs: list[tuple[int, int]] = []
    for x, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        if runs and x - sum(runs[-1]) < gap:
            runs[-1] = (runs[-1][0], x + 1 - runs[-1][0])
        else:
            runs.append((x, 1))
    return [_whole_characters(start, length, old, new) for start, length in runs]


def _whole_characters(
    start: int, length: int, old: Sequence[Cell], new: Sequence[Cell]
) -> tuple[int, int]:
    """Widen a run so that it cuts no double-width character in half."""
    end = start + length
    while start > 0 and (old[start][0] == "" or new[start][0] == ""):
        start -= 1
    while end < len(new) and (old[end][0] == "" or new[end][0] == ""):
        end += 1
    return start, end - start


class Pane(Widget):
    """A rectangle of lines made by a painter from the view state."""

    can_focus = False

    def __init__(
        self, painter: Painter, *, id: str | None = None, classes: str | None = None
    ) -> None:
        """`painter(state, width, height)` returns at most `height` lines; short ones are padded."""
        super().__init__(id=id, classes=classes)
        self._painter = painter
        self._state: ViewState | None = None
        self._lines: list[Line] = []
        self._cells: list[list[Cell]] = []
        self._size_painted = Size(0, 0)

    def show(self, state: ViewState) -> None:
        """Paint `state`; only what changed goes over the wire."""
        self._state = state
        self.repaint()

    def repaint(self) -> None:
        """Paint the last state again, at the size of now; what did not change stays as it is."""
        lines = self._painted()
        if not lines or lines == self._lines:
            return
        if self._size_painted != self.size:
            self._take(lines, [cells(line) for line in lines])
            self.refresh()
            return
        regions: list[Region] = []
        new_cells: list[list[Cell]] = []
        for y, line in enumerate(lines):
            if line == self._lines[y]:
                new_cells.append(self._cells[y])
                continue
            new_cells.append(cells(line))
            runs = changed_runs(self._cells[y], new_cells[y])
            regions += [Region(x, y, length, 1) for x, length in runs]
        self._take(lines, new_cells)
        if regions:
            self.refresh(*regions)

    def _painted(self) -> list[Line]:
        """The lines of now; none without a state or a size."""
        columns, rows = self.size
        if self._state is None or not columns or not rows:
            return []
        lines = [fit(line, columns) for line in self._painter(self._state, columns, rows)[:rows]]
        return lines + [((" " * columns, Ink.PLAIN),)] * (rows - len(lines))

    def _take(self, lines: list[Line], its_cells: list[list[Cell]]) -> None:
        self._lines, self._cells, self._size_painted = lines, its_cells, self.size

    def on_resize(self, event: Resize) -> None:
        """A new size; the compositor has usually asked for the lines before this is told."""
        self.repaint()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What the pane shows now."""
        return tuple(self._lines)

    def render_line(self, y: int) -> Strip:
        """Turn line `y` into a strip (Textual's Line API).

        At a new size they are painted here and now: a frame of blanks until `Resize` has come round would go over
        the wire like any other.
        """
        if self._size_painted != self.size and (lines := self._painted()):
            self._take(lines, [cells(line) for line in lines])
        columns = self.size.width
        if y >= len(self._lines):
            return Strip.blank(columns)
        return Strip(_segments(self._lines[y]), columns)


def _segments(line: Line) -> list[Segment]:
    """The spans of a line, joined where nobody sees the seam: every change of style costs a dozen bytes.

    Nothing is said about the colours of plain text: they are the terminal's own.
    """
    joined: list[tuple[str, Ink]] = []
    for text, ink in line:
        before = joined[-1] if joined else None
        if before and _one_style(before, (text, ink)):
            joined[-1] = (before[0] + text, before[1])
        else:
            joined.append((text, ink))
    return [Segment(text, STYLES[ink]) for text, ink in joined]


def _one_style(before: Span, after: Span) -> bool:
    """True where `after` looks the same in the style of `before`: it has that style, or is blank in both."""
    first, second = STYLES[before[1]], STYLES[after[1]]
    return first == second or (after[0].isspace() and not (first.reverse or second.reverse))
