"""The `:` line: an order in words, completed by tab, with the ways in which it may go on above it.

What can be asked for, and how it is read, stands in `tui.orders` and `tui.here`. A line that cannot be read stays open
with the reason. It lies over the lower lines of a view, which goes on showing the run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from evolve.model import UsageError
from tui.completing import Completion, complete
from tui.here import ORDERS as HERE
from tui.here import History, known
from tui.messages import Given
from tui.orders import ORDERS, parse
from tui.state import ViewState, only_watches
from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, cut, plain, rule, same_ink
from tui.widgets.tables import pad, words

if TYPE_CHECKING:
    from textual.app import ComposeResult

LONGEST = 500  # characters of a line
EVERY = (*ORDERS, *HERE)


class CommandLine(Vertical):
    """The line with its suggestions; hidden while it is not in use."""

    # The input in it has the focus and none of these keys, so they come here before they reach the view.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "take", "complete", show=False),
        Binding("up,ctrl+p", "walk(-1)", "before", show=False),
        Binding("down,ctrl+n", "walk(1)", "after", show=False),
        Binding("escape", "leave", "leave", show=False),
    ]

    def __init__(self, history: History) -> None:
        """`history` is the app's, so that every view has the same."""
        super().__init__(id="command")
        self._history = history
        self._state = ViewState()
        self._offered: tuple[Completion, ...] = ()
        self._taken: int | None = None  # the completion that tab has put there
        self._fault = ""
        self._usage = ""
        self._suggestions = Pane(self._paint, id="suggestions")
        self._entry = Input(id="order", max_length=LONGEST, placeholder="pin 12")
        self._entry.cursor_blink = False

    def compose(self) -> ComposeResult:
        """Suggestions above, the line below."""
        yield self._suggestions
        yield self._entry

    def open(self, state: ViewState, begun: str = "", *, give: bool = False) -> None:
        """Begin a line; completions come from what is known now. `give`: it is whole, as a pasted one is."""
        self._state = state
        self._history.restart()
        self.visible = True  # not `display`: another layout would be painted from top to bottom
        self._put(begun)
        self._offer(begun)
        self.screen.set_focus(self._entry)  # at once: the next keys may be here already
        if give:
            self._entry.post_message(Input.Submitted(self._entry, begun))

    def _offer(self, line: str) -> None:
        self._offered = complete(
            line, known(self._state), acting=not only_watches(self._state), orders=EVERY
        )
        self._taken, self._fault = None, ""
        self._usage = usage(line)
        self._suggestions.show(self._state)

    def _paint(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        name = rule(
            (("command", Ink.BOLD), (f"  {self._usage}", Ink.DIM)), (), columns, state.glyphs
        )
        offered = suggestions(state, self._offered, self._taken, self._fault, columns, rows - 1)
        return [name, *offered]

    def _put(self, line: str) -> None:
        with self._entry.prevent(Input.Changed):
            self._entry.value = line
        self._entry.cursor_position = len(line)

    # ---- keys of the line ----------------------------------------------------------------------------------

    def action_take(self) -> None:
        """Take the next completion; the only one is followed by a blank, for what comes after it."""
        if not self._offered:
            return
        if len(self._offered) == 1:
            line = f"{self._offered[0].line} "
            self._put(line)
            self._offer(line)
            return
        self._taken = 0 if self._taken is None else (self._taken + 1) % len(self._offered)
        self._put(self._offered[self._taken].line)
        self._suggestions.show(self._state)

    def action_walk(self, by: int) -> None:
        """An earlier or later line."""
        line = self._history.walk(by, self._entry.value)
        self._put(line)
        self._offer(line)

    def action_leave(self) -> None:
        """Give no order."""
        self.visible = False
        self.screen.set_focus(None)

    @on(Input.Changed, "#order")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self._offer(event.value)

    @on(Input.Submitted, "#order")
    def _given(self, event: Input.Submitted) -> None:
        event.stop()
        line = plain(event.value).strip()
        if not line:
            self.action_leave()
            return
        try:
            wish = parse(line, orders=EVERY)
        except UsageError as error:
            self._refuse(str(error))
            return
        if wish.acting and (why_not := only_watches(self._state)):
            self._refuse(f"{why_not} `{wish.name}` would.")
            return
        self._history.add(line)
        self.action_leave()
        self.post_message(Given(wish))

    def _refuse(self, sentence: str) -> None:
        self._fault = sentence
        self._suggestions.show(self._state)


def usage(line: str) -> str:
    """What the order that a line begins with takes, or how to go on where there is none yet."""
    begun = line.split(maxsplit=1)
    chosen = next((one for one in EVERY if begun and one.name == begun[0]), None)
    return "tab completes, enter gives the order, esc leaves" if chosen is None else chosen.usage


def suggestions(
    state: ViewState,
    offered: tuple[Completion, ...],
    taken: int | None,
    fault: str,
    columns: int,
    rows: int,
) -> list[Line]:
    """The lines above the input, the last one nearest to it: a fault, else how the line may go on."""
    lines: list[Line] = []
    if fault:
        lines.append(
            ((" ", Ink.PLAIN), (cut(words(state, fault), columns - 2, state.glyphs), Ink.BAD))
        )
    room = max(0, rows - len(lines))
    first = max(0, min((taken or 0) - room // 2, len(offered) - room))
    for place in range(first, min(len(offered), first + room)):
        one = offered[place]
        text = f"  {pad(words(state, one.word), 18)} {words(state, one.about)}"
        line: Line = ((cut(text, columns - 1, state.glyphs), Ink.DIM),)
        lines.append(same_ink(line, Ink.CURSOR) if place == taken else line)
    return [()] * max(0, rows - len(lines)) + lines
