"""A virtual list: only the rows on the screen are ever formatted, so 100,000 rows cost what twenty do.

The cursor stays on the same item when the list changes around it. The list decides nothing about its items;
what they are and how they look comes from a `ListSpec`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textual.message import Message

from tui.widgets.canvas import Pane
from tui.widgets.ink import Ink, Line, fit, same_ink

if TYPE_CHECKING:
    from tui.state import ViewState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Window:
    """Which rows of a list are on the screen, and which one has the cursor. Pure."""

    cursor: int = 0
    top: int = 0
    height: int = 1
    count: int = 0

    def to(self, cursor: int) -> Window:
        """Move the cursor; where it leaves the screen, scroll a third of a page along.

        A scroll rewrites every row, so one of them for many steps keeps the wire quiet.
        """
        cursor = max(0, min(self.count - 1, cursor))
        step = self.height // 3 if abs(cursor - self.cursor) == 1 else 0
        top = self.top
        if cursor < top:
            top = cursor - step
        elif cursor >= top + self.height:
            top = cursor - self.height + 1 + step
        return replace(self, cursor=cursor, top=max(0, min(top, self.count - self.height)))

    def resized(self, height: int, count: int) -> Window:
        """The list or its place on the screen has another size."""
        return replace(self, height=max(1, height), count=count).to(self.cursor)

    @property
    def last(self) -> bool:
        """True while the cursor is on the last row."""
        return self.cursor >= self.count - 1

    def words(self) -> str:
        """`18 of 240`."""
        return f"{self.cursor + 1} of {self.count}" if self.count else "0"


@dataclass(frozen=True)
class ListSpec(Generic[T]):
    """What a list shows."""

    rows: Callable[[ViewState], Sequence[T]]
    identity: Callable[[T], int]
    paint: Callable[[ViewState, T, int], Line]  # of one row, in that many columns
    title: Callable[[ViewState, Window, bool, int], Line]  # state, window, active, columns
    empty: Callable[[ViewState], str]
    header: Callable[[ViewState, int], Line] | None = None
    place: Callable[[Sequence[T], int], int | None] | None = None  # of an identity, where rows know
    follow: bool = False  # a cursor on the last row stays on the last row


class Framed(Message):
    """These are the rows on the screen of a list now, and a screenful before and after them."""

    def __init__(self, shown: RowList[Any]) -> None:
        """Of which list."""
        super().__init__()
        self.list = shown

    @property
    def control(self) -> RowList[Any]:
        """The list."""
        return self.list


class RowList(Pane, Generic[T]):
    """A list with a cursor. It tells by `Framed` when other rows have come on its screen."""

    def __init__(self, spec: ListSpec[T], *, id: str, active: bool = True) -> None:
        """`active` lists show their cursor; the others remember it."""
        super().__init__(self._paint, id=id)
        self._spec = spec
        self._rows: Sequence[T] = ()
        self._window = Window()
        self._active = active
        self._framed: tuple[int, int, int] | None = None
        self._kept: dict[int, Line] = {}  # rows as they were painted last, by place
        self._kept_columns = 0

    @property
    def selected(self) -> T | None:
        """The item under the cursor."""
        return self._rows[self._window.cursor] if self._rows else None

    @property
    def place(self) -> int:
        """Where the cursor is, from 0."""
        return self._window.cursor

    @property
    def rows(self) -> Sequence[T]:
        """What the list holds, in order."""
        return self._rows

    @property
    def active(self) -> bool:
        """True while the keys go to this list."""
        return self._active

    @active.setter
    def active(self, value: bool) -> None:
        self._active = value
        self.repaint()

    def show(self, state: ViewState) -> None:
        """Take in the rows of a new state; the cursor stays on its item."""
        rows = self._spec.rows(state)
        if rows is not self._rows:
            self._window = self._follow(rows)
            self._rows = rows
        super().show(state)

    def repaint(self) -> None:
        """Paint everything again: what rows look like may have changed."""
        self._kept = {}
        super().repaint()

    def _follow(self, rows: Sequence[T]) -> Window:
        before, selected = self._window, self.selected
        after = before.resized(before.height, len(rows))
        if selected is None or (self._spec.follow and before.last):
            return after.to(len(rows) - 1 if self._spec.follow else 0)
        place = self._place_in(rows, self._spec.identity(selected))
        if place is None or place == before.cursor:
            return after
        # Scroll along, so that the item keeps its line on the screen.
        shifted = replace(after, cursor=place, top=max(0, before.top + place - before.cursor))
        return shifted.to(place)

    def _place_in(self, rows: Sequence[T], wanted: int) -> int | None:
        if self._spec.place is not None:
            return self._spec.place(rows, wanted)
        return next((i for i, row in enumerate(rows) if self._spec.identity(row) == wanted), None)

    def go_to(self, identity: int) -> bool:
        """Move the cursor to an item; False when it is not in the list."""
        place = self._place_in(self._rows, identity)
        if place is None:
            return False
        self.move(place - self._window.cursor)
        return True

    def near(self) -> Sequence[T]:
        """The rows on the screen, and a screenful before and after them."""
        window = self._window
        return self._rows[max(0, window.top - window.height) : window.top + 2 * window.height]

    def move(self, by: int) -> None:
        """Move the cursor by rows. The rows stay as they are, and most of what a key costs is painting them."""
        self._window = self._window.to(self._window.cursor + by)
        super().repaint()

    def page(self, by: int) -> None:
        """Move the cursor by screens."""
        self.move(by * max(1, self._window.height - 1))

    def edge(self, direction: int) -> None:
        """Move the cursor to the first (-1) or the last (1) row."""
        self.move((0 if direction < 0 else self._window.count - 1) - self._window.cursor)

    def _paint(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        spec = self._spec
        head: list[Line] = [] if spec.header is None else [spec.header(state, columns)]
        self._window = self._window.resized(rows - 1 - len(head), len(self._rows))
        lines = [spec.title(state, self._window, self._active, columns), *head]
        if not self._rows:
            return [*lines, ((f"  {spec.empty(state)}", Ink.DIM),)]
        window = self._window
        if (frame := (window.top, window.height, window.count)) != self._framed:
            self._framed = frame
            self.post_message(Framed(self))
        for index, line in self._visible(state, columns):
            at_cursor = self._active and index == window.cursor
            lines.append(same_ink(line, Ink.CURSOR) if at_cursor else line)
        return lines

    def _visible(self, state: ViewState, columns: int) -> Iterable[tuple[int, Line]]:
        """The rows on the screen, each painted once for as long as it stays there and nothing but the cursor moves."""
        window = self._window
        places = range(window.top, min(window.top + window.height, len(self._rows)))
        known = self._kept if columns == self._kept_columns else {}
        missing = [place for place in places if place not in known]
        fresh: dict[int, Line] = {}
        if missing:
            first, last = missing[0], missing[-1]
            for place, item in enumerate(self._rows[first : last + 1], first):
                if place not in known:
                    fresh[place] = fit(self._spec.paint(state, item, columns), columns)
        self._kept = {place: known[place] if place in known else fresh[place] for place in places}
        self._kept_columns = columns
        return self._kept.items()
