"""The columns of the population view, as data: what each says, from which width on it is there, and its head. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.widgets.ink import Ink, Line, Span, bpb, cut, width
from tui.widgets.signs import lead, told
from tui.widgets.tables import (
    SHORT,
    certainty,
    chance_cell,
    corrected_cells,
    mark,
    pad,
    status,
    words,
)

if TYPE_CHECKING:
    from evolve.model import Candidate
    from tui.state import ViewState

Cell = Callable[["ViewState", "Candidate"], Span]
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


@dataclass(frozen=True, slots=True)
class Shown:
    """One column."""

    head: str
    columns: int  # how wide it is, the gap behind it included
    cell: Cell
    least: int = 0  # columns of the list from which on it is there
    sort: str = ""  # the name in `ordering.COLUMNS` that sorts by it


def age(seconds: float) -> str:
    """`40s`, `12m`, `2h`, `3d`."""
    whole = max(0, int(seconds))
    return next((f"{whole // size}{unit}" for size, unit in _UNITS if whole >= size), f"{whole}s")


def _age(state: ViewState, candidate: Candidate) -> Span:
    now = state.snapshot.time if state.snapshot is not None else candidate.created
    return age(now - candidate.created), Ink.DIM


def _maker(state: ViewState, candidate: Candidate) -> Span:
    return words(state, candidate.model or candidate.proposer), Ink.DIM


COLUMNS: tuple[Shown, ...] = (
    Shown("val_bpb", 8, lambda _, c: (bpb(c.mean), Ink.DIM), sort="score"),
    Shown("corrected", 8,
          lambda s, c: (corrected_cells(s, c)[0], Ink.BOLD if c.alive else Ink.PLAIN), sort="living"),
    Shown("", 9, lambda s, c: (corrected_cells(s, c)[1], Ink.DIM)),
    Shown("P(better)", 10, lambda s, c: (chance_cell(s, c), Ink.PLAIN), least=72),
    Shown("runs", 5, lambda _, c: (str(len(c.scores)), Ink.DIM), sort="runs"),
    Shown("state", 12, lambda s, c: certainty(s, c), least=96),
    Shown("age", 5, _age, least=104, sort="newest"),
    Shown("kids", 5, lambda _, c: (str(c.children), Ink.DIM), least=112, sort="kids"),
    Shown("gen", 4, lambda _, c: (str(c.generation), Ink.DIM), least=120, sort="gen"),
    Shown("how", 8, lambda _, c: (SHORT[c.operator], Ink.PLAIN), least=112, sort="operator"),
    Shown("category", 14, lambda s, c: (words(s, c.category), Ink.DIM), least=140, sort="category"),
    Shown("by", 12, _maker, least=184, sort="by"),
    Shown("became", 10, lambda _, c: status(c), sort="became"),
)  # fmt: skip


def label_width(state: ViewState) -> int:
    """Columns of the numbers, with a gap behind them."""
    return max(6, len(str(len(state.roster))) + 2)


def candidate_header(
    state: ViewState, columns: int, sort: str = "", *, descending: bool = False
) -> Line:
    """The heads of the columns; the one that the list is sorted by is bold and says in which direction."""
    spans: list[Span] = [(f"   {pad('id', label_width(state))}", Ink.DIM)]
    over = 0  # what a head takes of the column behind it, which has none
    for shown in COLUMNS:
        if columns < shown.least:
            continue
        head, ink = shown.head, Ink.DIM
        if sort and sort == shown.sort:
            head, ink = f"{head}{state.glyphs.down if descending else state.glyphs.up}", Ink.BOLD
        text = pad(head, max(0, shown.columns - over))
        over = max(0, width(text) - max(0, shown.columns - over))
        spans.append((text, ink))
    return (*spans, ("what it tries", Ink.DIM))


def candidate_row(state: ViewState, candidate: Candidate, columns: int) -> Line:
    """A row of the population view; the reason of its verdict follows its title where there is room."""
    sign, ink = mark(state, candidate)
    spans: list[Span] = [
        lead(state, candidate),
        (f"{sign} ", ink),
        (pad(candidate.label, label_width(state)), Ink.PLAIN),
    ]
    for shown in COLUMNS:
        if columns >= shown.least:
            text, its_ink = shown.cell(state, candidate)
            spans.append((pad(cut(text, shown.columns - 1, state.glyphs), shown.columns), its_ink))
    return (*spans, *_told(state, candidate, columns - sum(width(text) for text, _ in spans) - 1))


def _told(state: ViewState, candidate: Candidate, room: int) -> Line:
    """What a candidate tries, and why it became what it is, in `room` columns."""
    title = cut(told(state, candidate) + words(state, candidate.title), room, state.glyphs)
    reason = words(state, candidate.verdict_reason)
    if not reason or room - width(title) < 20:
        return ((title, Ink.PLAIN),)
    shown = cut(reason, room - width(title) - 3, state.glyphs)
    return ((title, Ink.PLAIN), (f" {state.glyphs.dot} {shown}", Ink.DIM))
