"""What there is to read about one candidate beside its diff: what a model was asked, what it answered, the log. Pure.

All of it was written by others. It is shown to the character, in lines that nothing can hide in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evolve.model import LlmCall
from harness.process import clean
from tui.comparing import Conversation, Printed
from tui.state import ViewState
from tui.widgets.diffing import visible
from tui.widgets.diffpage import Sheet
from tui.widgets.ink import Ink, Line, clock, count, rule, times, wrap
from tui.widgets.tables import time_of_day, words


def prompt_sheet(state: ViewState, talk: Conversation, columns: int) -> Sheet:
    """Every call that led to the candidate, with the text that was sent."""
    sheet = _Writing(state, columns)
    for asking in talk.askings:
        sheet.heading(_call(asking.call))
        sheet.note(", ".join(part for part in (_tokens(asking.call), asking.options) if part))
        for turn in asking.turns:
            sheet.heading(turn.role)
            sheet.text(turn.text)
    return sheet.done(_nobody(talk))


def answer_sheet(state: ViewState, talk: Conversation, columns: int) -> Sheet:
    """The answers as they came, before anything was read out of them."""
    sheet = _Writing(state, columns)
    for asking in talk.askings:
        sheet.heading(_call(asking.call))
        if asking.call.error:
            sheet.note(asking.call.error)
        if asking.answer:
            sheet.text(asking.answer)
        elif not asking.call.error:
            sheet.note("The answer has not come yet.")
    return sheet.done(_nobody(talk))


def log_sheet(state: ViewState, printed: Printed, columns: int) -> Sheet:
    """The end of what the script printed."""
    sheet = _Writing(state, columns)
    log = printed.log
    if log is None:
        return sheet.done(
            f"{printed.candidate.label} has printed nothing yet: it has not been trained, or its log was removed."
        )
    told = f"The end of {log.path}" if log.cut else str(log.path)
    sheet.note(f"{told}, {count(log.total)}B, from its {log.kind}")
    sheet.text(clean(log.text))
    return sheet.done("")


def _call(call: LlmCall) -> str:
    """`14:02:11 claude-opus-5-5 mutate, answered in 0:12, $0.031`."""
    return (
        f"{time_of_day(call.time)} {call.model} {call.operator}, {call.status} "
        f"in {clock(call.seconds)}, ${call.dollars:.3f}"
    )


def _tokens(call: LlmCall) -> str:
    """`4.3k tokens in (3.0k from the cache), 400 out`."""
    read = call.input_tokens + call.cache_read_tokens + call.cache_write_tokens
    cached = f" ({count(call.cache_read_tokens)} from the cache)" if call.cache_read_tokens else ""
    return f"{count(read)} tokens in{cached}, {count(call.output_tokens)} out"


def _nobody(talk: Conversation) -> str:
    """Why there is nothing to read."""
    candidate = talk.candidate
    changes = f": {', '.join(candidate.changes)}" if candidate.changes else ""
    if not candidate.parents:
        return f"{candidate.label} is the script that the run began with; no model was asked."
    return (
        f"No language model was asked for {candidate.label}. {candidate.proposer.capitalize()} made it "
        f"({candidate.operator}){changes}."
    )


class _Writing:
    """Collects the lines of a paper."""

    def __init__(self, state: ViewState, columns: int) -> None:
        self._state, self._columns = state, columns
        self._lines: list[Line] = []
        self._stops: list[int] = []

    def heading(self, text: str) -> None:
        """A rule with a name; n and N stop here."""
        self._stops.append(len(self._lines))
        name: Line = ((words(self._state, text), Ink.BOLD),)
        self._lines.append(rule(name, (), self._columns, self._state.glyphs))

    def note(self, text: str) -> None:
        """A sentence of ours or of the engine."""
        safe = words(self._state, text)
        self._lines += [((f" {line}", Ink.DIM),) for line in wrap(safe, self._columns - 2)]

    def text(self, text: str) -> None:
        """What others wrote."""
        ascii_only = not self._state.glyphs.braille
        shown = (visible(line, ascii_only=ascii_only) for line in text.rstrip("\n").split("\n"))
        self._lines += [((f" {line}", Ink.PLAIN),) for line in _broken(shown, self._columns - 2)]

    def done(self, nothing: str) -> Sheet:
        """The paper, or a sentence that says why it is empty."""
        if not self._lines:
            self.note(nothing)
        return Sheet(tuple(self._lines), tuple(self._stops))


def _broken(lines: Iterable[str], columns: int) -> Iterator[str]:
    """Lines broken at blanks; what follows a line that is set in is set in as far."""
    for line in lines:
        body = line.lstrip(" ")
        inset = " " * min(len(line) - len(body), columns // 2)
        for part in wrap(body, columns - len(inset)):
            yield inset + part


def summary(talk: Conversation) -> str:
    """`2 calls, $0.062`, for a title."""
    if not talk.askings:
        return ""
    paid = sum(asking.call.dollars for asking in talk.askings)
    return f"{times(len(talk.askings), 'call')}, ${paid:.3f}"
