"""View 3, Lineage: the history as a tree, each candidate under its first parent, folded where nothing lives any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Horizontal

from tui.feed import details_of
from tui.keys import LINEAGE
from tui.messages import Fetch, Say
from tui.screens.everybody import EverybodyScreen
from tui.screens.view import bindings
from tui.state import Details, ViewState
from tui.widgets.branches import Branch, Branches, branch_row, legend
from tui.widgets.canvas import Pane
from tui.widgets.details import details_page
from tui.widgets.ink import Ink, Line, cut, rule
from tui.widgets.rowlist import ListSpec, RowList, Window
from tui.widgets.tables import list_title, words
from tui.widgets.tree import Forest
from tui.widgets.treerows import chains, narrowed

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

REST = 0.3  # seconds that the cursor rests before the facts beside the tree follow it
NARROW = 80  # columns below which lines of single children are drawn together
WITH_FACTS = 120  # columns from which the facts stand beside the tree


class LineageScreen(EverybodyScreen):
    """The third view."""

    VIEW = LINEAGE
    CSS_PATH = "lineage.tcss"
    BINDINGS = bindings(LINEAGE)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._forest = Forest()
        self._folds = 0  # counts what a person opened and closed
        self._rows = Branches(state, self._forest, ())
        self._rows_of: tuple[object, ...] = ()
        self._details: Details | None = None
        self._details_of = 0  # the version of the roster when they were asked for
        self._resting: Timer | None = None
        spec = ListSpec["Branch"](
            rows=self._listed,
            identity=lambda branch: branch.id,
            paint=branch_row,
            title=self._title,
            empty=self._empty,
            place=lambda rows, number: self._rows_at(rows).place(number),
        )
        self._tree = RowList(spec, id="tree")

    def body(self) -> ComposeResult:
        """The tree, and the facts of its selected candidate where there is room."""
        with Horizontal(classes="body"):
            yield self._tree
            yield Pane(self._facts, id="kin")

    def current(self) -> RowList[Branch]:
        """The tree."""
        return self._tree

    def selected(self) -> Branch | None:
        """The branch under the cursor, None on a row of failures."""
        branch = self._tree.selected
        return None if branch is None or branch.candidate is None else branch

    def numbers_near(self) -> tuple[int, ...]:
        """The candidates on the screen and near it."""
        return tuple(branch.id for branch in self._tree.near() if branch.id > 0)

    def order(self) -> tuple[int, ...]:
        """The candidates from the top to the bottom of the tree."""
        return tuple(row for row in self._rows.rows if row > 0)

    # ---- folding -------------------------------------------------------------------------------------------

    def _folded(self) -> None:
        self._folds += 1
        self.show(self.shown)

    def action_open_branch(self) -> None:
        """Show what is below the row, or go to the first child."""
        branch = self._tree.selected
        if branch is None:
            return
        if self._forest.open(branch.id):
            self._folded()
        elif self._forest.size(branch.id):
            self.reveal(self._forest.level(branch.id)[0])

    def action_close_branch(self) -> None:
        """Hide what is below the row, or go to the parent."""
        branch = self._tree.selected
        if branch is None:
            return
        if not self.filter_text and self._forest.close(branch.id):
            self._folded()
        elif above := self._forest.holder(branch.id):
            self._tree.go_to(above)

    def action_open_below(self) -> None:
        """Show everything below the row, failures too."""
        if (branch := self._tree.selected) is not None:
            self._forest.open_all(branch.id)
            self._folded()

    def action_fold_again(self) -> None:
        """Fold the tree as it was at first: open where somebody lives."""
        self._forest.fold_to_default()
        self._folded()

    # ---- jumping -------------------------------------------------------------------------------------------

    def reveal(self, number: int) -> bool:
        """Open what hides a row and put the cursor on it; False when there is no such candidate."""
        if not 0 < abs(number) <= len(self._forest.roster):
            return False
        if not self.filter_text and self._forest.reveal(number):
            self._folded()
        return self._tree.go_to(number)

    def action_to_root(self) -> None:
        """To the first ancestor."""
        if (branch := self._tree.selected) is not None:
            above = [row for row in self._forest.ancestors(branch.id) if row > 0]
            self.reveal(above[-1] if above else branch.id)

    def action_to_main(self) -> None:
        """To what main holds."""
        snapshot = self.shown.snapshot
        main = snapshot.incumbent if snapshot is not None else None
        if main is None or not self.reveal(main.id):
            self.post_message(Say("There is no main yet; the baseline comes first."))

    def action_to_other(self) -> None:
        """From a crossover to its second parent; from a parent to the next crossover with it."""
        branch = self.selected()
        if branch is None or branch.candidate is None:
            return
        if len(branch.candidate.parents) > 1:
            self.reveal(branch.candidate.parents[1])
        elif crossed := self._forest.crosses(branch.id):
            self.reveal(crossed[0])
        else:
            self.post_message(Say(f"#{branch.id} is no crossover, and no second parent of one."))

    def action_sibling(self, by: int) -> None:
        """To the next child of the same parent, or the one before."""
        branch = self._tree.selected
        if branch is None:
            return
        level = self._forest.level(self._forest.holder(branch.id))
        place = level.index(branch.id) + by
        if 0 <= place < len(level):
            self.reveal(level[place])
        else:
            self.post_message(Say("That was the last one." if by > 0 else "This is the first one."))

    # ---- the tree ------------------------------------------------------------------------------------------

    def _rows_at(self, rows: object) -> Branches:
        return rows if isinstance(rows, Branches) else self._rows

    def _listed(self, state: ViewState) -> Branches:
        snapshot, forest = state.snapshot, self._forest
        main = snapshot.incumbent.id if snapshot is not None and snapshot.incumbent else 0
        forest.update(state.roster, main)
        kept = self.matches()
        narrow = self.app.size.width < NARROW
        known = (state.roster, kept, state.cards, self._folds, main, narrow)
        if len(known) != len(self._rows_of) or any(
            new is not old and new != old for new, old in zip(known, self._rows_of, strict=True)
        ):
            self._rows_of = known
            self._rows = self._branches(state, kept, narrow=narrow)
        return self._rows

    def _branches(self, state: ViewState, kept: frozenset[int] | None, *, narrow: bool) -> Branches:
        forest = self._forest
        if kept is not None:
            return Branches(state, forest, narrowed(forest, kept), folds=False)
        if not narrow:
            return Branches(state, forest, list(forest.rows))
        drawn = chains(forest, forest.rows)
        return Branches(state, forest, drawn.rows, drawn=drawn)

    def _title(self, state: ViewState, window: Window, active: bool, columns: int) -> Line:
        every = len(state.roster)
        found = len(self.matches() or ()) if self.filter_text else 0
        name = f"lineage {found} of {every}" if self.filter_text else f"lineage {every}"
        extra = (self.filter_words() + self.filter_progress()).removeprefix(", ")
        if not extra and columns >= 60:
            extra = legend(state)
        return list_title(name, extra, window, active, columns, state)

    def _empty(self, state: ViewState) -> str:
        return (
            "No candidate matches the filter; esc clears it." if self.filter_text else "None yet."
        )

    # ---- the facts beside it -------------------------------------------------------------------------------

    def show(self, state: ViewState) -> None:
        """Show a state; the facts follow when the cursor rests."""
        super().show(state)
        self._rest()

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        super().action_move(by)
        self._rest()

    def _rest(self) -> None:
        """Read the facts of the selected candidate once the cursor has rested: each of its steps would cost a pane."""
        branch = self.selected() if self.is_mounted and self.app.size.width >= WITH_FACTS else None
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        if branch is not None and not self._up_to_date(branch):
            self._resting = self.set_timer(REST, self._read_facts)

    def _up_to_date(self, branch: Branch) -> bool:
        if self._details is None or self._details.candidate.id != branch.id:
            return False
        changed = self.shown.roster.since(self._details_of)
        return changed is not None and branch.id not in changed

    def _read_facts(self) -> None:
        if (branch := self.selected()) is not None:
            number, version = branch.id, self.shown.roster.version
            self.post_message(
                Fetch(
                    lambda source: details_of(source, number),
                    lambda details: self._show_facts(details, version),
                    f"#{number}",
                )
            )

    def _show_facts(self, details: Details, version: int) -> None:
        self._details, self._details_of = details, version
        self.query_one("#kin", Pane).repaint()

    def _facts(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        details = self._details
        if details is None:
            return [rule((), (), columns, state.glyphs)]
        candidate = details.candidate
        name = cut(words(state, f"{candidate.label} {candidate.title}"), columns - 4, state.glyphs)
        head = rule(((name, Ink.BOLD),), (), columns, state.glyphs)
        return [head, *details_page(state, details, columns)][:rows]
