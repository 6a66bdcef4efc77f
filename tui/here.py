"""What the `:` line can do in the app itself: look elsewhere, filter, sort, compare, export, leave. Nothing here acts.

The orders that change a run are `tui.orders.ORDERS`, for the shell's command line and the app alike; these make sense
in front of a screen only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evolve.export.registry import KINDS
from evolve.model import Candidate
from tui.arguments import Argument, Kind
from tui.completing import Known
from tui.keys import VIEWS
from tui.ordering import COLUMNS
from tui.orders import WHO, Order
from tui.state import ViewState

SORTS = tuple(column.name for column in COLUMNS)

ORDERS: tuple[Order, ...] = (
    Order("goto", "goto", (WHO,), "put the cursor on a candidate", "", "goto 12", acting=False),
    Order("open", "open", (WHO,), "everything about a candidate", "", "open 12", acting=False),
    Order("mark", "mark", (WHO,), "mark a candidate, or take its mark away", "", "mark 12", acting=False),
    Order(
        "view", "view", (Argument("view", Kind.CHOICE, "the view to show", choices=VIEWS),),
        "another view", "", "view population", acting=False,
    ),
    Order(
        "filter", "filter", (Argument("text", Kind.TEXT, "what to keep", optional=True),),
        "show only what matches; nothing shows all", "", "filter muon bpb<0.98", acting=False,
    ),
    Order(
        "diff", "diff", (WHO, Argument("other", Kind.CANDIDATE, "its parent otherwise", optional=True)),
        "compare a candidate with its parent, or with another", "", "diff 12 9", acting=False,
    ),
    Order(
        "sort", "sort", (Argument("column", Kind.CHOICE, "what the population is sorted by", choices=SORTS),),
        "sort the population", "", "sort newest", acting=False,
    ),
    Order(
        "export", "export",
        (
            Argument("kind", Kind.CHOICE, "what to write", choices=tuple(kind.name for kind in KINDS)),
            Argument("replace", Kind.FLAG, "take the place of a file", optional=True),
            Argument("file", Kind.TEXT, "where to", optional=True),
        ),
        "write a table, the lineage, the best script or a report", "", "export results night.csv", acting=False,
    ),
    Order("help", "help", (), "the keys of this view", "", "help", acting=False),
    Order("quit", "quit", (), "leave; the search goes on", "", "quit", acting=False),
)  # fmt: skip


def known(state: ViewState) -> Known:
    """What a line may be completed with: candidates that are on the screen anyway, and the live settings."""
    settings = dict(state.snapshot.settings) if state.snapshot is not None else {}
    queue = state.snapshot.queue if state.snapshot is not None else ()
    return Known(_titles(_likely(state)), _titles(queue), settings)


def _titles(candidates: Iterable[Candidate]) -> dict[int, str]:
    return {candidate.id: candidate.title for candidate in candidates}


def _likely(state: ViewState) -> Iterator[Candidate]:
    if state.snapshot is None:
        return
    if state.snapshot.running is not None:
        yield state.snapshot.running.candidate
    yield from state.snapshot.queue
    yield from state.snapshot.population


class History:
    """The lines given so far, walked through by up and down; the line being written waits at the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._place = 0
        self._draft = ""

    def add(self, line: str) -> None:
        """A line was given."""
        if line not in self._lines[-1:]:
            self._lines.append(line)
        self._place = len(self._lines)

    def walk(self, by: int, now: str) -> str:
        """The line `by` steps from here; `now` is what stands there."""
        if self._place == len(self._lines):
            self._draft = now
        self._place = max(0, min(len(self._lines), self._place + by))
        return self._lines[self._place] if self._place < len(self._lines) else self._draft

    def restart(self) -> None:
        """Begin at the end again."""
        self._place = len(self._lines)
