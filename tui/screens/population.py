"""View 2, Population: every candidate of the run, the living first, with its score, kin and verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from tui.filters import SORTS, arrange
from tui.keys import POPULATION
from tui.screens.filtering import FilteredScreen
from tui.screens.view import bindings
from tui.state import ViewState
from tui.widgets.ink import Line
from tui.widgets.rowlist import ListSpec, RowList, Window
from tui.widgets.tables import candidate_header, candidate_row, list_title

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Candidate

SORT_WORDS = {"living": "the living first", "score": "by score", "newest": "newest first"}


class PopulationScreen(FilteredScreen):
    """The second view."""

    VIEW = POPULATION
    BINDINGS = bindings(POPULATION)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._sort = SORTS[0]
        self._arranged_from: tuple[object, object, str, str] | None = None
        self._arranged: tuple[Candidate, ...] = ()
        spec = ListSpec["Candidate"](
            rows=self._rows,
            identity=lambda candidate: candidate.id,
            paint=candidate_row,
            title=self._title,
            empty=self._empty,
            header=candidate_header,
        )
        self._list = RowList(spec, id="candidates")

    def body(self) -> ComposeResult:
        """One list, as large as the screen."""
        with Vertical(classes="body"):
            yield self._list

    def current(self) -> RowList[Candidate]:
        """The list of candidates."""
        return self._list

    def selected(self) -> Candidate | None:
        """The candidate under the cursor."""
        return self._list.selected

    def action_sort(self) -> None:
        """The next order."""
        self._sort = SORTS[(SORTS.index(self._sort) + 1) % len(SORTS)]
        self.show(self.shown)

    def _rows(self, state: ViewState) -> tuple[Candidate, ...]:
        wanted = (state.candidates, state.beliefs, self._sort, self.filter_text)
        known = self._arranged_from
        if (
            known is None
            or known[0] is not wanted[0]
            or known[1] is not wanted[1]
            or known[2:] != wanted[2:]
        ):
            self._arranged = arrange(*wanted)
            self._arranged_from = wanted
        return self._arranged

    def _title(self, state: ViewState, window: Window, active: bool, columns: int) -> Line:
        every = len(state.candidates)
        shown = f"{window.count} of {every}" if self.filter_text else str(every)
        extra = SORT_WORDS[self._sort] + self.filter_words()
        return list_title(f"candidates {shown}", extra, window, active, columns, state)

    def _empty(self, state: ViewState) -> str:
        return (
            "No candidate matches the filter; esc clears it." if self.filter_text else "None yet."
        )
