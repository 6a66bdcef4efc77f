"""Lines of prose for the pages of the Tune view: facts, paragraphs, numbered texts and differences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tui.widgets.diffing import patch, visible_lines
from tui.widgets.ink import Ink, Line, width, wrap
from tui.widgets.tables import pad, words

if TYPE_CHECKING:
    from tui.state import ViewState

NAME = 11  # columns of a fact's name


def section(name: str, body: Iterable[Line]) -> Iterator[Line]:
    """A title with its lines; nothing at all where there are none."""
    lines = list(body)
    if lines:
        yield ((f" {name}", Ink.BOLD),)
        yield from lines
        yield ()


def fact(name: str, text: str, columns: int, ink: Ink = Ink.PLAIN) -> Iterator[Line]:
    """`in force   12`: a name, and what there is to say, on as many lines as it takes."""
    for place, line in enumerate(wrap(text, max(16, columns - NAME - 2))):
        yield ((f" {pad(name if place == 0 else '', NAME)}", Ink.DIM), (line, ink))


def paragraph(state: ViewState, text: str, columns: int) -> Iterator[Line]:
    """A text broken into lines."""
    for line in wrap(words(state, text), max(16, columns - 2)):
        yield ((f" {line}", Ink.PLAIN),)


def numbered(state: ViewState, text: str, columns: int) -> Iterator[Line]:
    """Lines with their numbers, as faults name them; a long one goes on below."""
    room = max(16, columns - 7)
    for number, line in enumerate(visible_lines(text, ascii_only=not state.glyphs.braille), 1):
        for place, piece in enumerate([line] if width(line) <= room else wrap(line, room)):
            yield ((f" {number if place == 0 else '':>3} ", Ink.DIM), (piece, Ink.PLAIN))


def diff_lines(
    state: ViewState, before: str, after: str, names: tuple[str, str], columns: int
) -> list[Line]:
    """A unified diff of two texts; signs tell what came and went, whatever the colours."""
    found = patch(_ended(before), _ended(after), names)
    if not found:
        return [((" No difference.", Ink.DIM),)]
    inks = {"+": Ink.GOOD, "-": Ink.BAD, "@": Ink.BOLD}
    room = max(16, columns - 3)
    return [
        ((f" {sign}", ink), (piece, ink))
        for line in visible_lines(found, ascii_only=not state.glyphs.braille)
        for sign, ink in [(line[:1], inks.get(line[:1], Ink.PLAIN))]
        for piece in ([line[1:]] if width(line) <= room else wrap(line[1:], room))
    ]


# ---- private ---------------------------------------------------------------------------------------------


def _ended(text: str) -> str:
    """With a line end behind the last line: a missing one is no difference to a template."""
    return text if text.endswith("\n") else f"{text}\n"
