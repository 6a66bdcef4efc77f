"""How one row of each list looks: candidates in the queue and the population, and events. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from evolve.model import Candidate, CandidateState, Event, Operator, Verdict
from harness.spec import Outcome
from tui.figures import chance
from tui.state import ViewState, belief
from tui.widgets.ink import Ink, Line, Span, bpb, cut, plain, rule, width
from tui.widgets.signs import lead, told

if TYPE_CHECKING:
    from tui.widgets.rowlist import Window

SHORT = {
    Operator.SEED: "seed",
    Operator.MUTATE: "mutate",
    Operator.REWRITE: "rewrite",
    Operator.CROSSOVER: "cross",
    Operator.REPAIR: "repair",
    Operator.TUNE: "tune",
    Operator.HUMAN: "human",
}


def time_of_day(moment: float) -> str:
    """`14:02:11`, in the person's time zone."""
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S")


def date_and_time(moment: float) -> str:
    """`Nov 21 14:02:11`, in the person's time zone."""
    return datetime.fromtimestamp(moment).astimezone().strftime("%b %d %H:%M:%S")


def words(state: ViewState, text: str) -> str:
    """Text of a candidate or a model, made safe for this terminal."""
    return plain(text, ascii_only=not state.glyphs.braille)


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """`text` in exactly `columns` columns."""
    blank = " " * max(0, columns - width(text))
    return blank + text if right else text + blank


def parents(state: ViewState, candidate: Candidate) -> str:
    """`#17` or `#17×#12`."""
    return state.glyphs.times.join(f"#{number}" for number in candidate.parents)


def status(candidate: Candidate) -> tuple[str, Ink]:
    """What became of a candidate, in one word."""
    if candidate.state is CandidateState.TRAINING:
        return "training", Ink.CURVE
    if candidate.state is CandidateState.READY:
        return "waits", Ink.DIM
    if candidate.state is CandidateState.CONTENDER:
        return "repeats", Ink.CURVE
    if candidate.verdict is Verdict.FAILED and candidate.voided:
        return "voided", Ink.BAD
    if candidate.verdict is Verdict.FAILED and candidate.outcome is not None:
        return str(candidate.outcome), Ink.BAD
    if candidate.verdict is not None and candidate.outcome is Outcome.PRUNED:
        return "pruned", Ink.DIM
    verdict = candidate.verdict or Verdict.DROPPED
    ink = {
        Verdict.PROMOTED: Ink.GOOD,
        Verdict.BASELINE: Ink.BOLD,
        Verdict.KEPT: Ink.PLAIN,
        Verdict.FAILED: Ink.BAD,
    }.get(verdict, Ink.DIM)
    return str(verdict), ink


def mark(state: ViewState, candidate: Candidate) -> Span:
    """One column: `*` main holds it, `+` in the population, `!` banned."""
    incumbent = state.snapshot.incumbent if state.snapshot is not None else None
    if incumbent is not None and incumbent.id == candidate.id:
        return "*", Ink.RIVAL
    if candidate.banned:
        return "!", Ink.BAD
    return ("+", Ink.PLAIN) if candidate.alive else (" ", Ink.PLAIN)


def corrected_cells(state: ViewState, candidate: Candidate) -> tuple[str, str]:
    """The score without luck and how sure it is, as narrow cells; empty before there is one."""
    known = belief(state, candidate)
    if known is None:
        return "", ""
    return bpb(known.mean), f"{state.glyphs.plus_minus}{known.sd:.4f}"


def chance_cell(state: ViewState, candidate: Candidate) -> str:
    """P(better than main), as a narrow cell; empty before there is a score."""
    known = belief(state, candidate)
    return "" if known is None else chance(known.better).replace(" ", "")


def certainty(state: ViewState, candidate: Candidate) -> tuple[str, Ink]:
    """`provisional` after one training, `confirmed` after several."""
    known = belief(state, candidate)
    if known is None:
        return "", Ink.DIM
    return known.word, Ink.WARN if known.n == 1 else Ink.PLAIN


def top_row(state: ViewState, candidate: Candidate, columns: int) -> Line:
    """`*#17  0.9712 ±0.0021 97% 2x confirmed   relu2 for silu`, for the population pane of the first view.

    The score is the one without luck; the raw one stands in the population view.
    """
    sign, ink = mark(state, candidate)
    score, error = corrected_cells(state, candidate)
    word, word_ink = certainty(state, candidate)
    runs = pad(f"{len(candidate.scores)}{state.glyphs.times}", 4)
    spans: list[Span] = [lead(state, candidate), (sign, ink), (pad(candidate.label, 5), Ink.PLAIN)]
    spans += [(pad(score or "-", 7), Ink.BOLD), (pad(error, 9), Ink.DIM)]
    spans += [(pad(chance_cell(state, candidate), 6), Ink.PLAIN), (runs, Ink.DIM)]
    room = columns - sum(width(text) for text, _ in spans) - 1
    if room >= 24:
        spans.append((pad(word, 12), word_ink))
        room -= 12
    title = told(state, candidate) + words(state, candidate.title)
    spans.append((cut(title, room, state.glyphs), Ink.PLAIN))
    return tuple(spans)


EVENT_INKS = {
    "error": Ink.BAD,
    "audit": Ink.BAD,
    "drift": Ink.WARN,
    "sandbox": Ink.WARN,
    "ratchet": Ink.GOOD,
    "verdict": Ink.BOLD,
    "started": Ink.DIM,
    "queued": Ink.DIM,
    "proposal": Ink.DIM,
    "refused": Ink.DIM,
    "llm": Ink.DIM,
}


def event_row(state: ViewState, event: Event, columns: int) -> Line:
    """`14:02:11 verdict   #17 kept …`."""
    head = f" {time_of_day(event.time)} {pad(cut(words(state, event.kind), 9, state.glyphs), 10)}"
    text = cut(words(state, event.text), columns - width(head) - 1, state.glyphs)
    return ((head, Ink.DIM), (text, EVENT_INKS.get(event.kind, Ink.PLAIN)))


def list_title(name: str, extra: str, window: Window, active: bool, columns: int,
               state: ViewState) -> Line:  # fmt: skip
    """The rule above a list: its name, what is special about it, and where the cursor is."""
    left: list[Span] = [(name, Ink.BOLD if active else Ink.DIM)]
    if extra:
        left.append((f"  {extra}", Ink.DIM))
    where = window.words() if window.count > window.height else ""
    right: Line = ((where, Ink.DIM),) if where else ()
    return rule(tuple(left), right, columns, state.glyphs)
