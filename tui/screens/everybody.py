"""What views of every candidate share: reading the rows on the screen, a filter over 100,000 of them, and the cursor.

The roster tells of everybody in a few columns. Texts, and what is believed, are asked for where they are to be seen; a
filter walks through the journal by pages in the reading thread, and its first matches are there while it still looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual import on

from tui.filters import Facts, candidate_filter
from tui.messages import Fetch, Open, Say, Shown
from tui.screens.filtering import FilteredScreen
from tui.state import ViewState, moment_of
from tui.widgets.rowlist import Framed

if TYPE_CHECKING:
    from evolve.beliefs import Belief
    from evolve.model import Candidate
    from tui.feed import Source

PAGE = 2_000  # candidates that a filter looks at in one turn of the reading thread
FEW = 500  # changed candidates that are looked at again; after more of them the filter begins anew


class Matching:
    """Which candidates match a filter, as far as they have been looked at."""

    def __init__(self, text: str) -> None:
        """Nobody has been looked at."""
        self.text = text
        self.keep = candidate_filter(text)
        self.marks: tuple[int, ...] = ()  # as it has seen them
        self.numbers: frozenset[int] = frozenset()
        self.looked = 0  # so far in the order of numbers
        self.version = 0  # of the roster that it has seen
        self.busy = False

    def take(self, asked: Sequence[int], found: Sequence[Candidate], facts: Facts) -> None:
        """These were looked at."""
        keep = self.keep
        self.numbers = self.numbers.difference(asked) | {c.id for c in found if keep(c, facts)}


class EverybodyScreen(FilteredScreen):
    """A view that lists every candidate of the run."""

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._matching: Matching | None = None
        self._asked: tuple[object, ...] = ()
        self._waits_for: int | None = (
            None  # a candidate that the cursor shall go to once it is there
        )

    # ---- the rows on the screen --------------------------------------------------------------------------

    @on(Framed)
    def _framed(self) -> None:
        self._ask_for_rows()

    def _ask_for_rows(self) -> None:
        numbers = self.numbers_near()
        asked = (numbers, self.shown.roster.version, moment_of(self.shown))
        if numbers and asked != self._asked:
            self._asked = asked
            self.post_message(Shown(numbers))

    def numbers_near(self) -> tuple[int, ...]:
        """The candidates on the screen and near it."""
        return tuple(row.id for row in self.current().near())

    def show(self, state: ViewState) -> None:
        """Show a state; ask for what its rows lack."""
        if self._matching is not None:
            self._look_on(state)
        super().show(state)
        if self.is_mounted:
            self._follow_wish(state)
            self._ask_for_rows()

    # ---- the cursor ----------------------------------------------------------------------------------------

    def reveal(self, number: int) -> bool:
        """Put the cursor on a candidate; False when it is not in the list."""
        return self.current().go_to(number)

    def _follow_wish(self, state: ViewState) -> None:
        if (
            state.wanted is not None
            and state.wanted is not self._followed  # the same candidate may be wanted again
            and state.wanted[0] == self.VIEW
        ):
            self._followed = state.wanted
            self._waits_for = state.wanted[1]
            if self.filter_text:
                self.filter_by("")
        if self._waits_for is None:
            return
        number = self._waits_for
        if number <= len(state.roster) or state.roster.complete:
            self._waits_for = None
            if not self.reveal(number):
                self.post_message(Say(f"#{number} is not here."))

    _followed: tuple[str, int] | None = None

    # ---- the filter ----------------------------------------------------------------------------------------

    def matches(self) -> frozenset[int] | None:
        """The candidates that match the filter, as far as they were looked at; None without a filter.

        The last filter goes on being looked through, so that `n` finds its matches.
        """
        if not self.filter_text:
            return None
        if self._matching is None or self._matching.text != self.filter_text:
            self._matching = Matching(self.filter_text)
            self._look_on(self.shown)
        return self._matching.numbers

    def filter_progress(self) -> str:
        """For the title while a filter still looks: `, 30,000 looked at`."""
        matching, total = self._matching, len(self.shown.roster)
        if matching is None or not self.filter_text or matching.looked >= total:
            return ""
        return f", {matching.looked:,} looked at"

    def _look_on(self, state: ViewState) -> None:
        """Let the filter look at the next page, or at what has changed since it saw all."""
        matching, roster = self._matching, state.roster
        if matching is None or matching.busy:
            return
        if matching.looked < len(roster):
            after = matching.looked
            if not after:
                matching.version, matching.marks = roster.version, state.marks
            upto = min(len(roster), after + PAGE)
            self._look_at(
                matching, range(after + 1, upto + 1), lambda s: s.candidates(after, upto - after)
            )
            return
        changed = roster.since(matching.version)
        if matching.keep.marks and (turned := set(matching.marks) ^ set(state.marks)):
            matching.marks = state.marks
            changed = None if changed is None else tuple(sorted({*changed, *turned}))
        if changed == ():
            return
        if changed is None or len(changed) > FEW:
            matching.looked = 0
            if len(roster):  # none after a replay went back, until the next look
                self._look_on(state)
            return
        matching.version = roster.version
        self._look_at(matching, changed, lambda s: s.candidates_of(changed))

    def _look_at(
        self,
        matching: Matching,
        asked: Sequence[int],
        work: Callable[[Source], Sequence[Candidate]],
    ) -> None:
        matching.busy = True
        beliefs: dict[int, Belief] = {}

        def looked(source: Source) -> Sequence[Candidate]:
            if matching.keep.beliefs:
                beliefs.update(source.beliefs(asked))
            return work(source)

        def done(found: Sequence[Candidate]) -> None:
            matching.busy = False
            if matching is self._matching:
                marked = frozenset(self.shown.marks).__contains__
                now = self.shown.snapshot.time if self.shown.snapshot is not None else 0.0
                matching.take(asked, found, Facts(beliefs.get, marked, now))
                matching.looked = max(matching.looked, asked[-1])
                self.show(self.shown)

        self.post_message(Fetch(looked, done, "The filter"))

    def filter_fault(self, text: str) -> str:
        """What cannot be read in a filter."""
        return candidate_filter(text).fault

    def found(self) -> Sequence[int]:
        """Where in the list candidates stand that match the last filter."""
        numbers: frozenset[int] = frozenset() if self._matching is None else self._matching.numbers
        return [place for place, number in enumerate(self.order()) if number in numbers]

    # ---- pages -------------------------------------------------------------------------------------------

    def order(self) -> tuple[int, ...]:
        """The candidates that `[` and `]` walk through on the details page."""
        return tuple(row.id for row in self.current().rows)

    def action_open(self) -> None:
        """Show everything about the selected candidate."""
        if (candidate := self.current().selected) is not None:
            self.post_message(Open(candidate.id, self.order()))
