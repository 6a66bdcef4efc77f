"""View 6, Log: the story of the run, an event a line, newest last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.containers import Vertical

from tui.filters import event_filter
from tui.keys import LOG
from tui.messages import Copy, Open, Say
from tui.screens.filtering import FilteredScreen
from tui.screens.view import bindings
from tui.state import EVENTS_KEPT, ViewState
from tui.widgets.ink import Line
from tui.widgets.rowlist import ListSpec, RowList, Window
from tui.widgets.tables import event_row, list_title, time_of_day

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Event


class LogScreen(FilteredScreen):
    """The event log. At its end it follows what happens."""

    VIEW = LOG
    BINDINGS = bindings(LOG)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._kept_from: tuple[object, str] | None = None
        self._kept_events: tuple[Event, ...] = ()
        spec = ListSpec["Event"](
            rows=self._rows,
            identity=lambda event: event.id,
            paint=event_row,
            title=self._title,
            empty=self._empty,
            follow=True,
        )
        self._list = RowList(spec, id="log")

    def body(self) -> ComposeResult:
        """One list, as large as the screen."""
        with Vertical(classes="body"):
            yield self._list

    def current(self) -> RowList[Event]:
        """The list of events."""
        return self._list

    def action_open(self) -> None:
        """Show the candidate that the event is about."""
        event = self._list.selected
        if event is not None and event.candidate is not None:
            told = (row.candidate for row in self._list.rows if row.candidate is not None)
            self.post_message(Open(event.candidate, tuple(dict.fromkeys(told))))
        else:
            self.post_message(Say("This line is not about one candidate."))

    def action_copy(self) -> None:
        """Copy the selected line."""
        if (event := self._list.selected) is not None:
            line = f"{time_of_day(event.time)}\t{event.kind}\t{event.text}"
            self.post_message(Copy(line, "the line"))

    def filter_fault(self, text: str) -> str:
        """What cannot be read in a filter."""
        return event_filter(text).fault

    def found(self) -> Sequence[int]:
        """Where in the log the lines stand that match the last filter."""
        keep = event_filter(self.sought)
        return [place for place, event in enumerate(self._list.rows) if keep(event)]

    def _rows(self, state: ViewState) -> tuple[Event, ...]:
        wanted = (state.events, self.filter_text)
        known = self._kept_from
        if known is None or known[0] is not wanted[0] or known[1] != wanted[1]:
            keep = event_filter(self.filter_text)
            self._kept_events = tuple(event for event in state.events if keep(event))
            self._kept_from = wanted
        return self._kept_events

    def _title(self, state: ViewState, window: Window, active: bool, columns: int) -> Line:
        follows = ", following" if window.last else ""
        last = f"the last {EVENTS_KEPT}" if len(state.events) >= EVENTS_KEPT else ""
        extra = f"{last}{follows}{self.filter_words()}".removeprefix(", ")
        return list_title(f"log {window.count}", extra, window, active, columns, state)

    def _empty(self, state: ViewState) -> str:
        return "Nothing matches the filter; esc clears it." if self.filter_text else "Nothing yet."
