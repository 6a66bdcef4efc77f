"""What views with a filter share: `/` opens an input above the notice, what is typed applies at once."""

from __future__ import annotations

from textual import on
from textual.events import Key
from textual.widgets import Input

from tui.screens.view import ListScreen
from tui.state import ViewState
from tui.widgets.ink import plain

LONGEST = 200  # characters of a filter


class FilteredScreen(ListScreen):
    """A list view with a filter. Esc first closes the input, then clears the filter."""

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self.filter_text = ""

    def filter_words(self) -> str:
        """For the title: `, filter: muon !oom`, or nothing."""
        return f", filter: {self.filter_text}" if self.filter_text else ""

    def filter_by(self, text: str) -> None:
        """Show only what matches `text`; nothing shows all."""
        self.filter_text = plain(text).strip()
        self.show(self.shown)

    async def action_filter(self) -> None:
        """Open the input; a second `/` types a slash into it. It stays mounted, hidden when not in use."""
        known = self.query("#filter").results(Input)
        entry = next(known, None)
        if entry is None:
            hint = "muon !oom bpb<0.98 gen>3"
            # The limit also keeps a pasted novel cheap: an input measures all its text at every key.
            entry = Input(placeholder=hint, id="filter", max_length=LONGEST)
            entry.cursor_blink = False
            await self.mount(entry, before="#notice")
        entry.value = self.filter_text
        entry.display = True
        entry.focus()

    def _close(self) -> None:
        self.set_focus(None)
        self.query_one("#filter").display = False

    @on(Input.Changed, "#filter")
    def _typed(self, event: Input.Changed) -> None:
        self.filter_by(event.value)

    @on(Input.Submitted, "#filter")
    def _kept(self) -> None:
        self._close()

    def on_key(self, event: Key) -> None:
        """Esc leaves the input and forgets the filter."""
        if event.key == "escape" and isinstance(self.focused, Input):
            event.stop()
            event.prevent_default()
            self._close()
            self.action_back()

    def action_back(self) -> None:
        """Show everything again."""
        if self.filter_text:
            self.filter_text = ""
            self.show(self.shown)
