"""View 1, Live: what trains now, what waits, the best so far, and what just happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical

from tui.keys import LIVE
from tui.messages import Say
from tui.screens.view import ListScreen, bindings
from tui.state import ViewState
from tui.widgets.canvas import Pane
from tui.widgets.curve import CurvePane
from tui.widgets.ink import Line
from tui.widgets.panels import events_pane
from tui.widgets.rowlist import ListSpec, RowList, Window
from tui.widgets.tables import list_title, top_row
from tui.widgets.training import idea_pane, now_line, now_pane
from tui.widgets.waiting import slot_pane, waiting_row

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Candidate


def _queue_title(state: ViewState, window: Window, active: bool, columns: int) -> Line:
    return list_title(f"queue {window.count}", "", window, active, columns, state)


def _top_title(state: ViewState, window: Window, active: bool, columns: int) -> Line:
    tried = state.snapshot.candidates if state.snapshot is not None else 0
    extra = f"of {tried} candidates; corrected scores, P(better)" if tried else ""
    return list_title(f"population {window.count}", extra, window, active, columns, state)


def _queue(state: ViewState) -> tuple[Candidate, ...]:
    return state.snapshot.queue if state.snapshot is not None else ()


def _top(state: ViewState) -> tuple[Candidate, ...]:
    return state.snapshot.population if state.snapshot is not None else ()


QUEUE = ListSpec["Candidate"](
    rows=_queue,
    identity=lambda candidate: candidate.id,
    paint=waiting_row,
    title=_queue_title,
    empty=lambda _: "Nothing waits.",
)
TOP = ListSpec["Candidate"](
    rows=_top,
    identity=lambda candidate: candidate.id,
    paint=top_row,
    title=_top_title,
    empty=lambda _: "The baseline comes first.",
)


class LiveScreen(ListScreen):
    """The first view."""

    VIEW = LIVE
    CSS_PATH = "live.tcss"
    BINDINGS = bindings(LIVE)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._top = RowList(TOP, id="top")
        self._queue = RowList(QUEUE, id="queue", active=False)
        self._curve = CurvePane()
        self._top.add_class("-active")

    def body(self) -> ComposeResult:
        """Curve and figures above, queue and population below, events at the end."""
        with Vertical(classes="body"):
            yield Pane(now_line, id="now-line")
            with Horizontal(id="upper"):
                yield Pane(self._curve, id="curve")
                yield Pane(now_pane, id="now")
            with Horizontal(id="lower"):
                with Vertical(id="left"):
                    yield self._queue
                    yield Pane(slot_pane, id="slot")
                yield self._top
                yield Pane(idea_pane, id="idea")
            yield Pane(events_pane, id="events")

    def current(self) -> RowList[Candidate]:
        """The queue or the population."""
        return self._queue if self._queue.active else self._top

    def action_next_pane(self) -> None:
        """Give the keys to the other list; on narrow screens it is the one that shows."""
        for entry in (self._queue, self._top):
            entry.active = not entry.active
            entry.set_class(entry.active, "-active")
        self.query_one("#left").set_class(self._queue.active, "-active")

    def action_zoom(self) -> None:
        """Give the whole body to the list with the keys, or take that back; tab goes on between the lists."""
        self.toggle_class("-zoomed")

    def action_curve(self, option: str) -> None:
        """Turn one way of seeing the curves on or off: `log`, `smoothed`, `late` or `parent`."""
        told = self._curve.toggle(option)
        self.query_one("#curve", Pane).repaint()
        self.post_message(Say(told))

    def selected(self) -> Candidate | None:
        """The candidate under the cursor."""
        return self.current().selected
