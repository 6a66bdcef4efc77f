"""The queue of the first view: what the slot and the proposers are at, and what each waiting child is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.model import Operator
from tui import slotwords
from tui.state import ViewState
from tui.widgets.ink import Ink, Line, Span, cut, width
from tui.widgets.signs import lead
from tui.widgets.tables import SHORT, pad, parents, words

if TYPE_CHECKING:
    from evolve.model import Candidate

_MAKER = 60  # columns from which a row tells who made it


def waiting_row(state: ViewState, candidate: Candidate, columns: int) -> Line:
    """`#18 cross #17×#12 APPROVE? relu2 for silu  opus`: number, operator, parents, what holds it, title, maker."""
    head = f"{pad(candidate.label, 5)}{pad(SHORT[candidate.operator], 8)}"
    spans: list[Span] = [
        lead(state, candidate),
        (head, Ink.PLAIN),
        (f"{parents(state, candidate)} ", Ink.DIM),
    ]
    spans += [(f"{word} ", ink) for word, ink in flags(state, candidate)]
    maker = words(state, _maker(candidate)) if columns >= _MAKER else ""
    tail = f"  {maker}" if maker else ""
    room = columns - sum(width(text) for text, _ in spans) - width(tail) - 1
    if room >= 8:
        title = cut(words(state, candidate.title), room, state.glyphs)
        spans.append((title + " " * (room - width(title) if tail else 0), Ink.PLAIN))
        spans.append((tail, Ink.DIM))
    return tuple(spans)


def flags(state: ViewState, candidate: Candidate) -> list[Span]:
    """What sets a waiting child apart: it waits for approval, was approved, is pinned."""
    snapshot = state.snapshot
    if snapshot is None:
        return []
    found: list[Span] = []
    if candidate.id in slotwords.waiting_for_word(snapshot):
        found.append(("approve?", Ink.WARN))
    elif candidate.approved:
        found.append(("approved", Ink.GOOD))
    if candidate.pinned:
        found.append(("pinned", Ink.BOLD))
    return found


def _maker(candidate: Candidate) -> str:
    if candidate.operator is Operator.HUMAN:
        return "you"
    return candidate.model or candidate.proposer


def slot_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """Below the queue: what the slot waits for, if it is for somebody, and what the proposers are at."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return []
    lines: list[Line] = []
    if slotwords.approval_waits(snapshot) and snapshot.running is None:
        lines.append(_told(state, slotwords.slot(snapshot), Ink.WARN, columns))
    running = snapshot.running
    if running is not None and running.load is not None and running.load.others:
        others = ", ".join(running.load.others)
        lines.append(_told(state, f"the GPU is in use by {others}", Ink.WARN, columns))
    lines += [_told(state, text, Ink.DIM, columns) for text in slotwords.proposing(snapshot)]
    return lines[:rows]


def _told(state: ViewState, text: str, ink: Ink, columns: int) -> Line:
    bullet = "!" if ink is Ink.WARN else state.glyphs.dot
    return ((f" {bullet} ", Ink.DIM), (cut(words(state, text), columns - 4, state.glyphs), ink))
