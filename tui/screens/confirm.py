"""Questions before something is done that cannot be undone: yes or no, or a word to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.state import ViewState
from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, wrap
from tui.widgets.tables import words

if TYPE_CHECKING:
    from textual.app import ComposeResult

T = TypeVar("T")

WIDTH = 56  # columns of text


class Box(ModalScreen[T], inherit_bindings=False):
    """A box over the view, which stands still meanwhile."""

    CSS_PATH = "confirm.tcss"

    def __init__(self, state: ViewState) -> None:
        """`state` is what the box is painted from."""
        super().__init__(classes="" if state.glyphs.braille else "-ascii")
        self._state = state

    @property
    def columns(self) -> int:
        """How wide its text may be."""
        return max(10, min(WIDTH, self.app.size.width - 8))

    def content(self) -> ComposeResult:
        """What is in the box."""
        yield from ()

    def compose(self) -> ComposeResult:
        """The box around its content."""
        with Vertical(id="box") as box:
            box.styles.width = self.columns + 6
            yield from self.content()

    def on_mount(self) -> None:
        """Paint what it holds."""
        for pane in self.query(Pane):
            pane.show(self._state)


class Question(Box[bool]):
    """A question with its answers."""

    def __init__(self, state: ViewState, question: str, how: str) -> None:
        """`how` says which keys answer."""
        super().__init__(state)
        self._question, self._how = question, how

    def content(self) -> ComposeResult:
        """The question, how to answer it, and what comes under that."""
        asked = wrap(words(self._state, self._question), self.columns)
        text: list[Line] = [((line, Ink.PLAIN),) for line in asked]
        text += [(), *[((line, Ink.DIM),) for line in wrap(self._how, self.columns)]]
        pane = Pane(lambda state, width, height: text)
        pane.styles.height = len(text)
        yield pane
        yield from self.answer()

    def answer(self) -> ComposeResult:
        """What comes under the question."""
        yield from ()

    def action_no(self) -> None:
        """Leave everything as it is."""
        self.dismiss(False)


class Confirm(Question):
    """Yes or no, by a single key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes"),
        Binding("n,escape,q,ctrl+c", "no", "no", priority=True),
    ]  # fmt: skip

    def __init__(self, state: ViewState, question: str) -> None:
        """`question` ends as a question does."""
        super().__init__(state, question, "y yes   n no")

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)


class TypedConfirm(Question):
    """Yes only when a word is typed, for what stops the work of a night."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+c", "no", "no", priority=True)]

    def __init__(self, state: ViewState, question: str, word: str) -> None:
        """`word` is what has to be typed."""
        super().__init__(state, question, f'Type "{word}" and press enter, or esc to go back.')
        self._word = word

    def answer(self) -> ComposeResult:
        """An input for the word."""
        entry = Input(id="word", max_length=40)
        entry.cursor_blink = False
        yield entry

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """The right word is a yes, everything else a no."""
        self.dismiss(event.value.strip().lower() == self._word)
