"""A value typed on one line: what is typed is checked at once by the engine's own rules, and sent by enter."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.events import Key
from textual.widgets import Input

from tui.messages import Fetch
from tui.screens.filtering import FilteredScreen
from tui.state import ViewState
from tui.tuning import Verdict, verdict
from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, cut, plain
from tui.widgets.tables import words

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.keys import Described

LONGEST = 2000  # characters of a value
Turn = Callable[["Described", str, int], str | None]
Done = Callable[[str], None]


class EntryScreen(FilteredScreen):
    """A list view in which the value of a setting can be typed. The input stays mounted, hidden when not in use."""

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._setting: Described | None = None
        self._done: Done | None = None
        self._said: Line = ()

    @property
    def entering(self) -> Described | None:
        """The setting whose value is typed now."""
        return self._setting

    def entry_lines(self) -> ComposeResult:
        """The line that judges and the line that is typed into; hidden while nothing is typed."""
        entry = Input(id="value", max_length=LONGEST, select_on_focus=False)
        entry.cursor_blink = False
        yield Pane(self._verdict, id="verdict")
        yield entry

    def enter_value(self, setting: Described, value: str, done: Done) -> None:
        """Let the person type a value; `done` gets one that fits, as it was typed."""
        entry = self.query_one("#value", Input)
        self._setting, self._done = setting, done
        self._said = ((f" {setting.key}: {setting.type}", Ink.DIM),)
        self.add_class("-entering")
        entry.value = value
        entry.cursor_position = len(value)
        self.set_focus(entry)  # at once: the next keys may be here already
        self.query_one("#verdict", Pane).show(self.shown)

    def leave_entry(self) -> None:
        """Close the input; nothing is sent."""
        self._setting = self._done = None
        self.set_focus(None)
        self.remove_class("-entering")

    def turn_entry(self, turn: Turn, by: int) -> None:
        """Turn what is typed one step up or down."""
        entry = self.query_one("#value", Input)
        if (
            self._setting is not None
            and (turned := turn(self._setting, entry.value, by)) is not None
        ):
            entry.value = turned
            entry.cursor_position = len(turned)

    def _verdict(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        return [
            tuple((cut(words(state, text), columns, state.glyphs), ink) for text, ink in self._said)
        ]

    @on(Input.Changed, "#value")
    def _typed_value(self, event: Input.Changed) -> None:
        self._check(plain(event.value).strip(), send=False)

    @on(Input.Submitted, "#value")
    def _wanted_value(self, event: Input.Submitted) -> None:
        self._check(plain(event.value).strip(), send=True)

    def _check(self, text: str, *, send: bool) -> None:
        """Ask the engine's rules about a text; the answer to an older one comes too late to count."""
        setting, done = self._setting, self._done
        if setting is None or done is None:
            return

        def told(found: Verdict) -> None:
            if not self._current(setting, text):
                return
            said = f"{setting.key} = {found.said}" if found.fits else found.said
            self._said = ((f" {said}", Ink.GOOD if found.fits else Ink.BAD),)
            self.query_one("#verdict", Pane).repaint()
            if send and found.fits:
                self.leave_entry()
                done(text)

        key = setting.key
        self.post_message(
            Fetch(lambda source: verdict(source, key, text), told, f"What {key} may be")
        )

    def _current(self, setting: Described, text: str) -> bool:
        typed = plain(self.query_one("#value", Input).value).strip()
        return self._setting is setting and typed == text

    def on_key(self, event: Key) -> None:
        """Esc leaves the value as it was."""
        if event.key == "escape" and self._setting is not None:
            event.stop()
            event.prevent_default()
            self.leave_entry()
        else:
            super().on_key(event)
