"""What views with a filter share: `/` opens an input above the notice, what is typed applies at once."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.events import Key
from textual.widgets import Input

from tui.messages import Say
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
        self.sought = ""  # the last filter, which `n` goes on with once the list is whole again
        self._fault = ""

    def filter_fault(self, text: str) -> str:
        """What cannot be read in a filter, a sentence; empty when all of it can."""
        return ""

    def found(self) -> Sequence[int]:
        """Where in the list the rows stand that match the last filter."""
        return ()

    def filter_words(self) -> str:
        """For the title: `, filter: muon !oom`, or nothing."""
        return f", filter: {self.filter_text}" if self.filter_text else ""

    def filter_by(self, text: str) -> None:
        """Show only what matches `text`; nothing shows all."""
        self.filter_text = plain(text).strip()
        self.sought = self.filter_text or self.sought
        self.show(self.shown)
        fault = self.filter_fault(self.filter_text)
        if fault != self._fault:
            self._fault = fault
            self.post_message(Say(fault))

    def action_seek(self, by: int) -> None:
        """To the next or previous match of the last filter, around the end; in a filtered list every row is one."""
        if not self.sought:
            self.post_message(Say("Type / to look for something; n then goes to the next match."))
            return
        if self.filter_text:
            self.action_move(by)
            return
        here, found = self.current().place, self.found()
        if not found:
            self.post_message(Say(f"Nothing here matches {self.sought}."))
            return
        ahead = [place for place in found if (place - here) * by > 0]
        rest = ahead or found  # around the end
        self.action_move((rest[0] if by > 0 else rest[-1]) - here)

    async def action_filter(self) -> None:
        """Open the input; a second `/` types a slash into it. It stays mounted, hidden when not in use."""
        known = self.query("#filter").results(Input)
        entry = next(known, None)
        if entry is None:
            hint = "muon !oom bpb<0.98 gen>3 is:pinned"
            # The limit also keeps a pasted novel cheap: an input measures all its text at every key.
            entry = Input(placeholder=hint, id="filter", max_length=LONGEST)
            entry.cursor_blink = False
            await self.mount(entry, before="#notice")
        entry.value = self.filter_text
        entry.display = True
        self.set_focus(entry)  # at once: the next keys may be here already

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
        if event.key == "escape" and self.focused is not None and self.focused.id == "filter":
            event.stop()
            event.prevent_default()
            self._close()
            self.action_back()

    def action_back(self) -> None:
        """Show everything again."""
        if self.filter_text:
            self.filter_by("")
