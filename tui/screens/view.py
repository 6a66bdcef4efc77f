"""What every view has in common: the lines around its body, its keys from the registry, and showing a state.

A view owns its panes and its cursor. It asks for things by messages and never talks to the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget

from tui.keys import keys_of
from tui.messages import Open
from tui.screens.acting import ActingScreen
from tui.state import ViewState
from tui.widgets.canvas import Pane
from tui.widgets.panels import KeyLine, facts_line, notice_line, status_line, tiny_line

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tui.widgets.rowlist import RowList

# Classes of the screen by its size in columns and rows; the stylesheets say what goes first.
WIDTHS = [(0, "-thin"), (40, "-narrow"), (80, "-medium"), (120, "-wide")]
HEIGHTS = [(0, "-flat"), (10, "-low"), (16, "-short"), (24, "-tall"), (36, "-high")]


def size_classes(columns: int, rows: int) -> list[str]:
    """The class of a width and the one of a height: those of the largest breakpoints that fit."""
    width = [name for least, name in WIDTHS if columns >= least][-1]
    height = [name for least, name in HEIGHTS if rows >= least][-1]
    return [width, height]


def bindings(view: str) -> list[BindingType]:
    """Textual's bindings for the keys of a view. ctrl+c wins over everything, also over an input."""
    return [
        Binding(name, entry.action, entry.label, id=entry.id, show=False, priority=name == "ctrl+c")
        for entry in keys_of(view)
        for name in entry.keys
    ]


class Resumed(Message):
    """A view came to the front and wants the state of now."""


class ViewScreen(ActingScreen, inherit_bindings=False):
    """The frame of a view: status, facts, body, notice, keys; or a single line when the terminal is tiny."""

    # Textual paints the whole screen again when the focus goes elsewhere, which nothing here shows.
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    VIEW: ClassVar[str] = ""
    AUTO_FOCUS = ""
    _opened = False  # may it be painted?
    _painted = False

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(classes="view" if state.glyphs.braille else "view -ascii")
        self._shown = state

    def body(self) -> ComposeResult:
        """The panes between the facts and the notice."""
        yield from ()

    def compose(self) -> ComposeResult:
        """The lines around the body."""
        yield Pane(tiny_line, id="tiny")
        yield Pane(status_line, id="status")
        yield Pane(facts_line, id="facts")
        yield from self.body()
        yield Pane(notice_line, id="notice")
        yield Pane(KeyLine(self.VIEW), id="keys")

    def on_mount(self) -> None:
        """Panes paint themselves as soon as they know their size.

        Textual sets these classes too, but after a first layout that would be painted for nothing.
        """
        self.add_class(*size_classes(*self.app.size))
        self.show(self._shown)

    def opened(self) -> None:
        """It has come to the front, and its panes know their sizes: from now on it is painted."""
        if not self._opened:
            self._opened = True
            self.refresh()

    def _compositor_refresh(self) -> None:
        """Textual paints a new screen as often as it is laid out, half empty at first; here one paint is enough."""
        if not self._opened:
            return
        super()._compositor_refresh()
        if not self._painted:  # that was all of it, so nobody needs to ask for all of it again
            self._painted, self._repaint_required = True, False

    def on_screen_resume(self) -> None:
        """Something may have happened while another view was in front."""
        self.post_message(Resumed())

    @property
    def shown(self) -> ViewState:
        """The state on the screen."""
        return self._shown

    def show(self, state: ViewState) -> None:
        """Show a state; every pane repaints what changed in it."""
        self._shown = state
        for pane in self.query(Pane):
            pane.show(state)


class ListScreen(ViewScreen):
    """A view in which the keys move a cursor in a list."""

    def current(self) -> RowList[Any]:
        """The list that has the keys."""
        raise LookupError(f"{type(self).__name__} has no list")

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self.current().move(by)

    def action_page(self, by: int) -> None:
        """Move the cursor by screens."""
        self.current().page(by)

    def action_edge(self, direction: int) -> None:
        """Move the cursor to the first or the last row."""
        self.current().edge(direction)

    def action_open(self) -> None:
        """Show everything about the selected candidate."""
        if (candidate := self.selected()) is not None:
            self.post_message(Open(candidate.id, tuple(row.id for row in self.current().rows)))
