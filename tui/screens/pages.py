"""Pages that open on top of a view and close with esc: a candidate's details, and the keys of a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.containers import Vertical

from tui.filters import FIELDS
from tui.keys import DETAILS, GROUPS, HELP, LOG, TUNE, ascii_shown, keys_of
from tui.messages import Open, Say
from tui.screens.view import ViewScreen, bindings
from tui.state import Details, ViewState, replaying
from tui.widgets.canvas import Pane
from tui.widgets.details import details_page
from tui.widgets.ink import Ink, Line, cut, rule, wrap
from tui.widgets.signs import meanings
from tui.widgets.tables import pad, words

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from evolve.model import Candidate


NAMES = 13  # columns of the names in the help


class Page(Pane):
    """A long text that scrolls by lines."""

    def __init__(
        self,
        title: Callable[[ViewState], str],
        text: Callable[[ViewState, int], Sequence[Line]],
        *,
        id: str,
    ) -> None:
        """`text(state, columns)` gives all lines of the page."""
        super().__init__(self._paint, id=id)
        self._title, self._text = title, text
        self._top = 0
        self._count = 0

    def scroll_rows(self, by: int) -> None:
        """Scroll by lines, within the text."""
        self.scroll_to_row(self._top + by)

    @property
    def top(self) -> int:
        """The first line that is shown."""
        return self._top

    @property
    def at_end(self) -> bool:
        """True while the last line is shown."""
        return self._top + max(1, self.size.height - 1) >= self._count

    def scroll_to_row(self, top: int) -> None:
        """Show the text from this line on, or its end."""
        self._top = top
        self.repaint()

    def _paint(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        lines = self._text(state, columns)
        self._count = len(lines)
        room = max(1, rows - 1)
        self._top = max(0, min(self._top, len(lines) - room))
        end = min(len(lines), self._top + room)
        where = f"lines {self._top + 1} to {end} of {len(lines)}" if len(lines) > room else ""
        name = cut(words(state, self._title(state)), max(8, columns - len(where) - 6), state.glyphs)
        head = rule(
            ((name, Ink.BOLD),), ((where, Ink.DIM),) if where else (), columns, state.glyphs
        )
        return [head, *lines[self._top : end]]


class ReadingScreen(ViewScreen):
    """A screen with one long text."""

    def page(self) -> Page:
        """The page."""
        return self.query_one(Page)

    def action_move(self, by: int) -> None:
        """Scroll by lines."""
        self.page().scroll_rows(by)

    def action_page(self, by: int) -> None:
        """Scroll by screens."""
        page = self.page()
        page.scroll_rows(by * max(1, page.size.height - 2))

    def action_edge(self, direction: int) -> None:
        """To the beginning or the end."""
        self.page().scroll_rows(direction * 1_000_000)


class PageScreen(ReadingScreen):
    """A text on top of a view."""

    def action_back(self) -> None:
        """Close the page."""
        self.dismiss()


class DetailsScreen(PageScreen):
    """Everything about one candidate."""

    VIEW = DETAILS
    BINDINGS = bindings(DETAILS)

    def __init__(self, state: ViewState, details: Details, order: Sequence[int]) -> None:
        """`order` are the candidates that `[` and `]` walk through."""
        super().__init__(state)
        self._details = details
        self._order = tuple(order)

    def body(self) -> ComposeResult:
        """One page, as large as the screen."""
        with Vertical(classes="body"):
            yield Page(self._title, self._text, id="details")

    def selected(self) -> Candidate:
        """The candidate of the page."""
        return self._details.candidate

    def turn_to(self, details: Details) -> None:
        """Show another candidate on the same page."""
        self._details = details
        self.action_edge(-1)

    def action_neighbour(self, by: int) -> None:
        """Show the candidate before or after this one, in the order of the list."""
        number = self._details.candidate.id
        place = self._order.index(number) + by if number in self._order else -1
        if 0 <= place < len(self._order):
            self.post_message(Open(self._order[place]))
        else:
            self.post_message(Say("That was the last one." if by > 0 else "This is the first one."))

    def _title(self, state: ViewState) -> str:
        return f"{self._details.candidate.label} {self._details.candidate.title}"

    def _text(self, state: ViewState, columns: int) -> list[Line]:
        hint = "d shows them in the script" if self._details.candidate.parents else ""
        return details_page(state, self._details, columns, hint)


class HelpScreen(PageScreen):
    """The keys of one view, by group."""

    VIEW = HELP
    BINDINGS = bindings(HELP)

    def __init__(self, state: ViewState, view: str) -> None:
        """`view` is the one whose keys are explained."""
        super().__init__(state)
        self._view = view

    def body(self) -> ComposeResult:
        """One page, as large as the screen."""
        with Vertical(classes="body"):
            yield Page(lambda _: f"Keys of the {self._view} view", self._text, id="help")

    def _text(self, state: ViewState, columns: int) -> list[Line]:
        lines: list[Line] = []
        entries = keys_of(self._view, read_only=state.read_only, replay=replaying(state))
        for group in GROUPS:
            members = [entry for entry in entries if entry.group == group]
            if not members:
                continue
            lines.append(((f" {group}", Ink.BOLD),))
            for entry in members:
                shown = entry.shown if state.glyphs.braille else ascii_shown(entry.shown)
                lines += _explained(shown, entry.help, columns)
            lines.append(())
        if any(entry.id == "filter" for entry in entries) and self._view not in (LOG, TUNE):
            lines += _listed("Filter", FIELDS, columns)
        return lines + _listed("Signs and words", meanings(state), columns)


def _listed(title: str, terms: Sequence[tuple[str, str]], columns: int) -> list[Line]:
    lines: list[Line] = [((f" {title}", Ink.BOLD),)]
    for name, meaning in terms:
        lines += _explained(name, meaning, columns)
    return [*lines, ()]


def _explained(name: str, meaning: str, columns: int) -> list[Line]:
    """A name with what it means beside it, in as many lines as that takes."""
    first, *more = wrap(meaning, max(12, columns - NAMES - 4))
    lines: list[Line] = [((f"   {pad(name, NAMES)}", Ink.BOLD), (first, Ink.PLAIN))]
    return [*lines, *[((" " * (NAMES + 3) + line, Ink.PLAIN),) for line in more]]
