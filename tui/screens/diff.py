"""View 4, Diff: what differs between two candidates, and what there is to read about the newer one of them."""

from __future__ import annotations

from tui.comparing import Pair
from tui.keys import DIFF
from tui.messages import Compare, Copy, Open, Say
from tui.screens.papers import PANES, PapersScreen
from tui.screens.view import bindings
from tui.state import ViewState
from tui.widgets.diffing import patch
from tui.widgets.diffpage import SPLIT_FROM

ABOVE = 2  # lines that stay above a place that is jumped to


class DiffScreen(PapersScreen):
    """The fourth view."""

    VIEW = DIFF
    CSS_PATH = "diff.tcss"
    BINDINGS = bindings(DIFF)

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._trail: list[Pair] = []  # the way back from ancestors
        self._walked_to: Pair | None = None  # where the last step on that way leads

    def _turn_to(self, pair: Pair) -> None:
        if pair != self._walked_to:
            self._trail.clear()
        super()._turn_to(pair)

    def action_next_pane(self) -> None:
        """Show the next pane, where it was left."""
        if self._asked is None:
            return
        self._tops[self._pane] = self.page().top
        self._place = None
        self._pane = PANES[(PANES.index(self._pane) + 1) % len(PANES)]
        if self._pane not in self._papers:
            self._read(self._pane)
        self.page().scroll_to_row(self._tops.get(self._pane, 0))
        self.show_again()

    def action_jump(self, by: int) -> None:
        """To the next or the previous place: a change, a call, a definition."""
        page = self.page()
        stops = self._in_front(self.shown, page.size.width).stops
        # A place near the end cannot be scrolled to the top, so it is remembered where the last jump led.
        here = page.top if self._place is None else self._place[1]
        if self._place is None or self._place[0] != page.top:
            here = page.top + ABOVE - (1 if page.top == 0 and by > 0 else 0)
        ahead = [stop for stop in stops if (stop > here if by > 0 else stop < here)]
        if not ahead:
            self.post_message(Say("That was the last one." if by > 0 else "This is the first one."))
            return
        stop = ahead[0] if by > 0 else ahead[-1]
        page.scroll_to_row(stop - ABOVE)
        self._place = (page.top, stop)
        self.show_again()

    def action_side_by_side(self) -> None:
        """One column or two, whatever the width."""
        if self._of_the_diff():
            split = self.page().size.width >= SPLIT_FROM if self._split is None else self._split
            self._split = not split
            self._repainted()

    def action_fold(self) -> None:
        """Only what changed, or every line."""
        if self._of_the_diff():
            self._fold = not self._fold
            self._repainted()

    def _of_the_diff(self) -> bool:
        """True where a diff is in front; else says that this key is for it."""
        comparison = self._comparison
        if self._pane == "diff" and comparison is not None and comparison.left is not None:
            return True
        self.post_message(Say("That is for a diff of two; tab goes through the panes."))
        return False

    def action_swap(self) -> None:
        """The other way round."""
        if self._comparison is None or self._comparison.left is None:
            self.post_message(Say("There is only one side."))
        else:
            self.post_message(Compare(self._comparison.left.id, self._comparison.right.id))

    def action_compare(self) -> None:
        """With its first parent; where that is shown already, with the next one."""
        right = self.selected()
        if right is None or not right.parents:
            self.post_message(Say("It has no parent."))
            return
        left = self._comparison.left if self._comparison is not None else None
        place = 0
        if left is not None and left.id in right.parents:
            place = right.parents.index(left.id) + 1
            if len(right.parents) == 1:
                self.post_message(Say(f"{left.label} is its only parent."))
                return
        self.post_message(Compare(right.id, right.parents[place % len(right.parents)]))

    def action_ancestor(self, by: int) -> None:
        """Up to the left candidate beside its own parent, or back down the way that was come."""
        comparison = self._comparison
        if comparison is None or self._asked is None:
            return
        if by > 0 and self._trail:
            self._walk(self._trail.pop())
        elif by > 0:
            self.post_message(Say("The way began here; [ goes to its parent."))
        elif comparison.left is None:
            self.post_message(
                Say(f"{comparison.right.label} has no parent: the run began with it.")
            )
        else:
            self._trail.append(comparison.pair)
            self._walk((None, comparison.left.id))

    def _walk(self, pair: Pair) -> None:
        self._walked_to = pair
        self.post_message(Compare(pair[1], pair[0]))

    def action_open(self) -> None:
        """Everything about the right candidate, on a page."""
        if (right := self.selected()) is not None:
            self.post_message(Open(right.id, (right.id,)))

    def action_copy(self) -> None:
        """Copy the diff as a patch, or what the pane shows."""
        comparison = self._comparison
        if self._pane == "diff" and comparison is not None and comparison.left is not None:
            names = (f"{comparison.left.id}/train.py", f"{comparison.right.id}/train.py")
            text = patch(comparison.old.text, comparison.new.text, names)
            self.post_message(Copy(text, f"the diff of {comparison.right.label}"))
        elif comparison is not None:
            lines = self._in_front(self.shown, self.page().size.width).lines
            text = "\n".join("".join(part for part, _ in line).rstrip() for line in lines)
            self.post_message(Copy(text, f"the {self._pane} of {comparison.right.label}"))

    async def action_back(self) -> None:
        """Back to the view before this one."""
        await self.app.run_action("app.previous_view")

    def _repainted(self) -> None:
        """Another form of the same pane: from its beginning, since its lines are others."""
        self._place = None
        self.page().scroll_to_row(0)
