"""What views with a filter share: `/` opens an input above the notice, what is typed applies at once."""

from __future__ import annotations

from textual import on
from textual.events import Key
from textual.widgets import Input

from tui.screens.view import ListScreen
from tui.state import ViewState
from tui.widgets.ink import plain


class FilteredScreen(ListScreen):
    """A list view with a filter. Esc first closes the input, then clears the filter."""

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self.filter_text = ""

    def filter_words(self) -> str:
        """For the title: `, filter: muon !oom`, or nothing."""
        return f", filter: {self.filter_text}" if self.filter_text else ""

    def action_filter(self) -> None:
        """Open the input; a second `/` types a slash into it."""
        entry = Input(self.filter_text, placeholder="muon !oom bpb<0.98 gen>3", id="filter")
        entry.cursor_blink = False
        self.mount(entry, before="#notice")
        entry.focus()

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        self.filter_text = plain(event.value).strip()
        self.show(self.shown)

    @on(Input.Submitted, "#filter")
    def _kept(self, event: Input.Submitted) -> None:
        event.input.remove()

    def on_key(self, event: Key) -> None:
        """Esc leaves the input and forgets the filter."""
        if event.key == "escape" and (entry := self.query("#filter")):
            event.stop()
            event.prevent_default()
            entry.remove()
            self.action_back()

    def action_back(self) -> None:
        """Show everything again."""
        if self.filter_text:
            self.filter_text = ""
            self.show(self.shown)
