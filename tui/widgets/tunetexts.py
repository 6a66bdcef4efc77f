"""The pages of the Tune view that show a text: a template with its versions, the scratchpad, the directions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from evolve.propose.placeholders import ALLOWED, MEANING, REQUIRED
from tui.figures import percent, sigmas
from tui.tuning import SCRATCHPAD, Row, Told, wished
from tui.widgets.ink import Ink, Line, times, wrap
from tui.widgets.prose import diff_lines, fact, numbered, paragraph, section
from tui.widgets.tables import pad, time_of_day, words

if TYPE_CHECKING:
    from evolve.promptbook import Prompt
    from evolve.trends import Trend
    from tui.state import ViewState


def prompt_page(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    """What a template may use, what its children have come to, and its text."""
    prompt = row.prompt
    assert prompt is not None  # noqa: S101 - of this kind
    whose = "built-in" if prompt.built_in else "your own"
    yield ()
    yield from fact(
        "this is",
        f"{whose}, {'in force' if prompt.in_force else 'not in force'}",
        columns,
        Ink.BOLD,
    )
    if prompt.since is not None:
        yield from fact(
            "first used",
            datetime.fromtimestamp(prompt.since).astimezone().strftime("%d %b %H:%M"),
            columns,
        )
    yield from fact("came to", _trend(prompt.trend), columns)
    if (wish := wished(state, told, row.key)) != told.value(row.key):
        what = (
            "the built-in one"
            if not wish
            else f"another text, {times(len(wish.splitlines()), 'line')}"
        )
        yield from fact("pending", what, columns, Ink.WARN)
    if (refusal := told.refusal(row.key, state.who)) is not None:
        yield from fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    yield ()
    current = next((p for p in told.prompts if p.operator == prompt.operator and p.in_force), None)
    if current is not None and not prompt.in_force:
        names = (current.version, prompt.version)
        yield from section(
            "From the one in force to this one",
            diff_lines(state, current.text, prompt.text, names, columns),
        )
    yield from section("It may use", list(_placeholders(state, prompt.operator, columns)))
    yield from section("Template", numbered(state, prompt.text, columns))


def _placeholders(state: ViewState, operator: str, columns: int) -> Iterator[Line]:
    needed = REQUIRED.get(operator, frozenset())
    for name in sorted(ALLOWED.get(operator, ()), key=lambda n: (n not in needed, n)):
        head = f"   {pad(f'{{{name}}}', 18)}"
        told = f"{'needed: ' if name in needed else ''}{MEANING[name]}"
        for place, line in enumerate(wrap(told, max(16, columns - len(head) - 1))):
            first = head if place == 0 else " " * len(head)
            yield ((first, Ink.BOLD), (words(state, line), Ink.PLAIN))


def came_to(state: ViewState, prompt: Prompt) -> Line:
    """A template in one line with what came of it."""
    name = prompt.operator if prompt.in_force else f"  {prompt.version}"
    ink = Ink.PLAIN if prompt.in_force else Ink.DIM
    return ((f"   {pad(name, 16)}", ink), (_trend(prompt.trend), ink))


def _trend(trend: Trend | None) -> str:
    if trend is None or not trend.attempts:
        return "no child with a verdict yet" if trend is not None else "no child yet"
    kept = trend.kept + trend.promoted
    latest = f", lately {trend.latest}" if trend.latest else ""
    return (
        f"{times(trend.attempts, 'child', 'children')}: {kept} kept, {trend.promoted} promoted, "
        f"{trend.failed} failed ({percent(trend.success)}), gain {sigmas(trend.gain)} sigma{latest}"
    )


def scratchpad_page(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    """A version of the scratchpad with who wrote it."""
    note = row.note
    yield ()
    if (refusal := told.refusal(SCRATCHPAD, state.who)) is not None and row.newest:
        yield from fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    if note is None:
        yield from paragraph(state, "Nothing is written yet. It comes after so many children as scratchpad.every "
                              "says, or from you.", columns)  # fmt: skip
        return
    who = "from the figures alone" if note.source == "builtin" else f"by {words(state, note.who)}"
    settled = times(note.settled, "child", "children")
    yield from fact("written", f"{who} at {time_of_day(note.time)}, after {settled}", columns)
    yield ()
    for line in note.text.rstrip().splitlines():
        if line.startswith("#"):
            yield ((f" {words(state, line.lstrip('# '))}", Ink.BOLD),)
        elif line.strip():
            yield from paragraph(state, line, columns)
        else:
            yield ()


def directions_page(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    """The file of directions."""
    assert told.tuning is not None  # noqa: S101 - it lists the row
    yield ()
    yield from fact("file", words(state, str(told.tuning.program)), columns)
    yield from fact("counts", "from the next proposal on, as soon as it is saved", columns)
    yield ()
    yield from numbered(state, told.tuning.directions, columns)
