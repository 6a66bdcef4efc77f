"""View 2, Population: every candidate of the run, the living first, with its score, kin and verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical

from tui.keys import POPULATION
from tui.ordering import Order, Rows, Sort
from tui.screens.everybody import EverybodyScreen
from tui.screens.view import bindings
from tui.state import ViewState
from tui.widgets.columns import candidate_header, candidate_row
from tui.widgets.ink import Line
from tui.widgets.rowlist import ListSpec, RowList, Window
from tui.widgets.tables import list_title

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Candidate


class PopulationScreen(EverybodyScreen):
    """The second view."""

    VIEW = POPULATION
    BINDINGS = bindings(POPULATION)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._order = Order(Sort())
        self._rows = Rows(state, ())
        self._rows_of: tuple[object, ...] = ()
        spec = ListSpec["Candidate"](
            rows=self._listed,
            identity=lambda candidate: candidate.id,
            paint=candidate_row,
            title=self._title,
            empty=self._empty,
            header=self._header,
            place=lambda rows, number: self._rows.place(number),
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

    def order(self) -> tuple[int, ...]:
        """The candidates in the order of the list."""
        return tuple(self._rows.numbers)

    # ---- sorting -------------------------------------------------------------------------------------------

    @property
    def sort(self) -> Sort:
        """The order of the list."""
        return self._order.sort

    def sort_by(self, sort: Sort) -> None:
        """Put the list in another order; the cursor stays on its candidate."""
        self._order = Order(sort)
        self.show(self.shown)

    def action_sort(self) -> None:
        """The next of the three usual orders."""
        self.sort_by(self.sort.next())

    def action_sort_column(self, by: int) -> None:
        """Sort by the column `by` places further on."""
        self.sort_by(self.sort.beside(by))

    def action_turn(self) -> None:
        """The same order from the other end."""
        self.sort_by(self.sort.turned())

    # ---- the list ------------------------------------------------------------------------------------------

    def _listed(self, state: ViewState) -> Rows:
        snapshot, sort = state.snapshot, self._order.sort
        front: tuple[int, ...] = ()
        if snapshot is not None and sort.column.name == "living" and not sort.descending:
            front = tuple(member.id for member in snapshot.population)
        self._order.update(state.roster, front)
        kept = self.matches()
        known = (self._order.numbers, kept, state.roster, state.cards)
        if len(known) != len(self._rows_of) or any(
            new is not old for new, old in zip(known, self._rows_of, strict=True)
        ):
            numbers = self._order.numbers
            shown = numbers if kept is None else [n for n in numbers if n in kept]
            self._rows, self._rows_of = Rows(state, shown), known
        return self._rows

    def _title(self, state: ViewState, window: Window, active: bool, columns: int) -> Line:
        snapshot = state.snapshot
        every = snapshot.candidates if snapshot is not None else len(state.roster)
        shown = f"{window.count} of {every}" if self.filter_text else str(every)
        extra = self.sort.column.words + self.filter_words() + self.filter_progress()
        if not state.roster.complete and every > len(state.roster):
            extra += f", {len(state.roster):,} read"
        return list_title(f"candidates {shown}", extra, window, active, columns, state)

    def _header(self, state: ViewState, columns: int) -> Line:
        sort = self.sort
        return candidate_header(state, columns, sort.column.name, descending=sort.descending)

    def _empty(self, state: ViewState) -> str:
        return (
            "No candidate matches the filter; esc clears it." if self.filter_text else "None yet."
        )
