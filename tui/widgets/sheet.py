"""A text that is edited in the app: Textual's own area, which writes only what changed.

As it comes it writes itself anew at every key and every move of the cursor, which is 5.7 KB on a screen of 120x40.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.cells import cell_len
from textual.geometry import Region
from textual.widgets import TextArea

if TYPE_CHECKING:
    from textual.strip import Strip

Cells = list[tuple[str, object]]


class Sheet(TextArea):
    """A text area that compares its lines with those on the screen before it asks to be painted."""

    def __init__(self, text: str, *, id: str) -> None:
        """`text` is what is edited; long lines go on below."""
        self._on_screen: list[Cells] = []
        super().__init__(
            text,
            id=id,
            theme="css",
            soft_wrap=True,
            show_line_numbers=True,
            tab_behavior="indent",
            highlight_cursor_line=False,
        )
        self.cursor_blink = False

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Paint what changed, whatever was asked for."""
        rows = self.size.height
        if layout or recompose or not (repaint and self.is_mounted and rows):
            self._on_screen = []
            return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        before, now = self._on_screen, [_cells(self.render_line(y)) for y in range(rows)]
        self._on_screen = now
        if len(before) != len(now):
            return super().refresh()
        changed = [
            run.translate((0, y))
            for y, (old, new) in enumerate(zip(before, now, strict=True))
            if old != new and (run := _run(old, new))
        ]
        return super().refresh(*changed) if changed else self


def _cells(strip: Strip) -> Cells:
    return [(character, segment.style) for segment in strip for character in segment.text]


def _run(old: Cells, new: Cells) -> Region:
    """From the first to the last column in which two lines differ; to the end where their lengths do."""
    first = next(
        (n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]),
        min(len(old), len(new)),
    )
    start = _columns(new[:first])
    if len(old) != len(new):
        return Region(start, 0, max(_columns(old), _columns(new)) - start, 1)
    last = next(n for n in range(len(new) - 1, -1, -1) if old[n] != new[n])
    return Region(start, 0, max(_columns(old[: last + 1]), _columns(new[: last + 1])) - start, 1)


def _columns(cells: Cells) -> int:
    return cell_len("".join(character for character, _ in cells))
