"""What the Diff view shows, without its keys: a pair of candidates, and the papers of the right one of them.

A paper is read in the feed's thread when it is first looked at, and painted once for each width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.containers import Vertical

from tui.comparing import (
    Code,
    Comparison,
    Conversation,
    Pair,
    Printed,
    Shelf,
    conversation,
    printed,
)
from tui.feed import details_of
from tui.messages import Fetch
from tui.screens.pages import Page, ReadingScreen
from tui.state import Details, ViewState
from tui.widgets.canvas import Pane
from tui.widgets.details import details_page
from tui.widgets.diffpage import SPLIT_FROM, Sheet, diff_sheet, numbered, statistics
from tui.widgets.ink import Ink, Line, Span, fit, wrap
from tui.widgets.papers import answer_sheet, log_sheet, prompt_sheet, summary
from tui.widgets.tables import words

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Candidate
    from tui.feed import Source

PANES = ("diff", "facts", "prompt", "answer", "log", "source")
AGAIN = 2.0  # seconds after which a pane of the running candidate is read again


class PapersScreen(ReadingScreen):
    """A pair of candidates and what there is to read about them."""

    def __init__(self, state: ViewState) -> None:
        """`state` is what is shown first."""
        super().__init__(state)
        self._shelf = Shelf(ascii_only=not state.glyphs.braille)
        self._pane = PANES[0]
        self._asked: Pair | None = None  # what is or will be on the screen
        self._default: Pair | None = None  # chosen by the app, until somebody chooses
        self._comparison: Comparison | None = None
        self._papers: dict[str, Any] = {}  # of the right candidate, by pane
        self._trouble: dict[str, str] = {}  # why a pane cannot be shown
        self._tops: dict[str, int] = {}  # where each pane was scrolled to
        self._split: bool | None = None  # None: by the width
        self._fold = True
        self._sheet: tuple[tuple[object, ...], Sheet] | None = None  # the last one painted
        self._place: tuple[int, int] | None = None  # scrolled to, and the line that was jumped to
        self._read_at = 0.0  # when the pane in front was asked for, in the run's time

    def body(self) -> ComposeResult:
        """The names of the panes, and the one in front."""
        with Vertical(classes="body"):
            yield Pane(self._tabs, id="tabs")
            yield Page(self._title, self._text, id="paper")

    def selected(self) -> Candidate | None:
        """The right candidate."""
        return None if self._comparison is None else self._comparison.right

    # ---- what is shown -----------------------------------------------------------------------------------

    def on_screen_resume(self) -> None:
        """Without a choice the newest candidate of now is shown, not the one of the last visit."""
        self._default = None
        super().on_screen_resume()

    def show(self, state: ViewState) -> None:
        """Show a state; another pair is read first."""
        if self._default is None:
            self._default = newest(state)
        pair = state.pair or self._default
        if pair is not None and pair != self._asked:
            self._turn_to(pair)
        super().show(state)
        self._read_again(state)

    def show_again(self) -> None:
        """Show the state of now once more: something of this view has changed."""
        super().show(self.shown)

    def _turn_to(self, pair: Pair) -> None:
        """Show another pair; nothing of the old one stays."""
        self._asked, self._comparison = pair, None
        self._papers, self._trouble, self._tops, self._place = {}, {}, {}, None
        self._read("diff")
        if self._pane != "diff":
            self._read(self._pane)

    def _read_again(self, state: ViewState) -> None:
        """The papers of the running candidate grow."""
        snapshot, asked = state.snapshot, self._asked
        running = snapshot.running if snapshot is not None else None
        if snapshot is None or running is None or asked is None or self._pane not in self._papers:
            return
        grows = running.candidate.id == asked[1] and self._pane in ("facts", "log")
        if grows and snapshot.time - self._read_at >= AGAIN:
            self._read(self._pane)

    def _read(self, pane: str) -> None:
        """Ask for what a pane shows."""
        assert self._asked is not None  # noqa: S101 - panes are read only for a pair
        pair, number = self._asked, self._asked[1]
        snapshot = self.shown.snapshot
        self._read_at = snapshot.time if snapshot is not None else 0.0
        works: dict[str, Callable[[Source], Any]] = {
            "diff": partial(self._shelf.compare, pair=pair),
            "facts": partial(details_of, number=number),
            "prompt": partial(conversation, number=number),
            "answer": partial(conversation, number=number),
            "log": partial(printed, number=number),
            "source": lambda source: self._shelf.code(source, source.candidate(number)),
        }
        about = f"The diff of #{number}" if pane == "diff" else f"The {pane} of #{number}"
        done, failed = partial(self._arrived, pane, pair), partial(self._failed, pane, pair)
        self.post_message(Fetch(works[pane], done, about, failed))

    def _arrived(self, pane: str, pair: Pair, found: Any) -> None:
        if pair != self._asked:  # the person has gone on meanwhile
            return
        known = self._papers.get(pane)
        follows = pane == "log" and (known is None or self.page().at_end)
        self._papers[pane] = known if known == found else found  # what is painted stays
        self._trouble.pop(pane, None)
        if isinstance(found, Conversation):
            self._papers["prompt"] = self._papers["answer"] = found
        if isinstance(found, Comparison):
            self._comparison = found
        self.show_again()
        if follows and pane == self._pane:
            self.action_edge(1)

    def _failed(self, pane: str, pair: Pair, sentence: str) -> None:
        if pair == self._asked:
            self._trouble[pane] = sentence
            self.show_again()

    # ---- painting ----------------------------------------------------------------------------------------

    def _tabs(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        spans: list[Span] = []
        for name in PANES:
            here = name == self._pane
            spans.append((f"[{name}]" if here else f" {name} ", Ink.BOLD if here else Ink.DIM))
        return [fit(((" ", Ink.PLAIN), *spans), columns)]

    def _title(self, state: ViewState) -> str:
        if self._asked is None:
            return "diff"
        comparison, number = self._comparison, self._asked[1]
        if comparison is None:
            return f"#{number}"
        if self._pane != "diff":
            talk = self._papers.get(self._pane)
            more = f" {summary(talk)}" if isinstance(talk, Conversation) else ""
            return f"{self._pane} of #{number}{more}  {comparison.right.title}"
        left = "" if comparison.left is None else f" {state.glyphs.arrow} {comparison.left.label}"
        told = statistics(comparison, state.glyphs) + self._where()
        return f"{comparison.right.label}{left}  {told}  {comparison.right.title}"

    def _where(self) -> str:
        """`, at 2`: the place to which the last jump led."""
        stops = self._sheet[1].stops if self._sheet is not None else ()
        place = self._place[1] if self._place is not None else None
        return f", at {stops.index(place) + 1}" if place in stops else ""

    def _text(self, state: ViewState, columns: int) -> Sequence[Line]:
        return self._in_front(state, columns).lines

    def _in_front(self, state: ViewState, columns: int) -> Sheet:
        """The pane in front; it is painted once, for scrolling costs nothing then."""
        if self._asked is None:
            return _told(state, "Nothing to compare yet: the baseline comes first.", columns)
        if self._pane in self._trouble:
            return _told(state, self._trouble[self._pane], columns)
        found = self._papers.get(self._pane)
        if found is None:
            return _told(state, "Reading...", columns)
        split = columns >= SPLIT_FROM if self._split is None else self._split
        # Facts are told with what is believed now, so they are painted from every state.
        now = state.snapshot if isinstance(found, Details) else None
        key = (self._pane, found, now, columns, split, self._fold)
        if self._sheet is None or not _same(self._sheet[0], key):
            self._sheet = (key, self._paint(state, found, columns, split=split))
        return self._sheet[1]

    def _paint(self, state: ViewState, found: Any, columns: int, *, split: bool) -> Sheet:
        match self._pane, found:
            case "diff", Comparison(left=None):
                return numbered(found.new, columns)
            case "diff", Comparison():
                return diff_sheet(found, columns, state.glyphs, split=split, fold=self._fold)
            case "facts", Details():
                return Sheet(tuple(details_page(state, found, columns)))
            case "prompt", Conversation():
                return prompt_sheet(state, found, columns)
            case "answer", Conversation():
                return answer_sheet(state, found, columns)
            case "log", Printed():
                return log_sheet(state, found, columns)
            case "source", Code():
                return numbered(found, columns)
        raise LookupError(f"nothing paints {self._pane}")


def newest(state: ViewState) -> Pair | None:
    """What is compared when nobody has chosen: the running candidate, else the one that was judged last."""
    snapshot = state.snapshot
    if snapshot is None:
        return None
    running = snapshot.running.candidate if snapshot.running is not None else None
    if running is not None and running.parents:
        return None, running.id
    judged = [e.candidate for e in snapshot.recent if e.kind == "verdict" and e.candidate]
    if judged:
        return None, judged[-1]
    first = running or snapshot.incumbent
    return None if first is None else (None, first.id)


def _told(state: ViewState, sentence: str, columns: int) -> Sheet:
    """A sentence in place of a text."""
    lines = wrap(words(state, sentence), columns - 3)
    return Sheet(tuple(((f"  {line}", Ink.DIM),) for line in lines))


def _same(known: tuple[object, ...], wanted: tuple[object, ...]) -> bool:
    """Whether nothing that is painted from has changed; by identity, since comparing texts takes long."""
    return all(
        a is b or (isinstance(a, str | int) and a == b) for a, b in zip(known, wanted, strict=True)
    )
