"""A plain editor for those whose shell names none: the whole screen, ctrl+s when it is done, esc to leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tui.state import ViewState
from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, rule
from tui.widgets.sheet import Sheet

if TYPE_CHECKING:
    from textual.app import ComposeResult

HOW = "ctrl+s done   esc leave it as it was   ctrl+z undo"


class EditorScreen(Screen[str], inherit_bindings=False):
    """One text; the result is what it is when the person is done, None when it was left."""

    CSS_PATH = "editor.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "done", "done", priority=True),
        Binding("escape,ctrl+c", "leave", "leave", priority=True),
    ]

    def __init__(self, state: ViewState, what: str, text: str) -> None:
        """`what` the text is, in words."""
        super().__init__()
        self._state, self._what, self._before = state, what, text

    def compose(self) -> ComposeResult:
        """A title, the text, and the keys."""
        yield Pane(self._title, id="title")
        yield Sheet(self._before, id="text")
        yield Pane(lambda state, columns, rows: [((f" {HOW}", Ink.DIM),)], id="how")

    def on_mount(self) -> None:
        """Show the lines around the text, and give it the keys."""
        for pane in self.query(Pane):
            pane.show(self._state)
        self.set_focus(self.query_one(Sheet))

    def _title(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        return [rule(((self._what, Ink.BOLD),), (), columns, state.glyphs)]

    def action_done(self) -> None:
        """This is the text."""
        self.dismiss(self.query_one(Sheet).text)

    def action_leave(self) -> None:
        """Forget it."""
        self.dismiss(None)
