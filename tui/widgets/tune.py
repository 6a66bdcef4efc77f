"""The list of the Tune view: how each setting, template, scratchpad and change looks as one row. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.bandit import by_operator
from evolve.model import CommandState
from tui.figures import percent, sigmas
from tui.tuning import FIXED, Kind, Row, Told, fresh, shown, wished
from tui.widgets.ink import Ink, Line, Span, bar, cut, fit, line_width, rule, times, width
from tui.widgets.tables import list_title, pad, time_of_day, words

if TYPE_CHECKING:
    from evolve.stop import Standing
    from tui.state import ViewState
    from tui.widgets.rowlist import Window

BAR = 10  # columns
LABEL, LONG_LABEL = 16, 26
VALUE = 12
UNITS = {
    "candidates": "candidates",
    "experiments": "trainings",
    "hours": "hours",
    "plateau": "without progress",
}


def to(state: ViewState) -> str:
    """An arrow from the old to the new."""
    return "→" if state.glyphs.braille else "->"


def title(state: ViewState, window: Window, active: bool, columns: int) -> Line:
    """The rule above the list."""
    return list_title("tune", "* differs from the default", window, active, columns, state)


def list_row(state: ViewState, told: Told, row: Row, columns: int) -> Line:
    """One row of the list, in `columns` columns."""
    if row.kind is Kind.GROUP:
        return rule(((row.label, Ink.BOLD),), (), columns, state.glyphs)
    if row.kind is Kind.SETTING:
        return fit(_setting(state, told, row, columns), columns)
    head, ink = {
        Kind.PROMPT: _prompt,
        Kind.PAD: _pad,
        Kind.DIRECTIONS: _directions,
        Kind.CHANGE: _change,
        Kind.REQUEST: _request,
    }[row.kind](state, told, row)
    return ((cut(words(state, head), columns - 1, state.glyphs), ink),)


def _setting(state: ViewState, told: Told, row: Row, columns: int) -> Line:
    key = row.key
    fixed = row.group == FIXED
    star = "*" if told.changed(key) else " "
    label = max(LONG_LABEL if fixed else LABEL, width(row.label) + 1)
    ink = Ink.DIM if fixed else Ink.PLAIN
    spans: list[Span] = [(f" {star} ", Ink.BOLD), (pad(row.label, label), ink)]
    spans += _value(state, told, key, fixed=fixed)
    room = columns - line_width(tuple(spans)) - 2
    if room < 8:
        return tuple(spans)
    refusal = told.refusal(key, state.who)
    if refusal is not None:
        said = cut(f"refused: {words(state, refusal.answer)}", room, state.glyphs)
        return (*spans, (f" {said}", Ink.BAD))
    return (*spans, (" ", Ink.PLAIN), *fit(_beside(state, told, row, room), room))


def _value(state: ViewState, told: Told, key: str, *, fixed: bool) -> list[Span]:
    value, wish = told.value(key), wished(state, told, key)
    text = words(state, shown(value))
    if wish == value:
        ink = Ink.DIM if fixed else Ink.BOLD if told.changed(key) else Ink.PLAIN
        return [(pad(cut(text, 3 * VALUE, state.glyphs), VALUE), ink)]
    new = words(state, shown(wish))
    return [
        (f"{cut(text, VALUE, state.glyphs)} {to(state)} ", Ink.PLAIN),
        (cut(new, VALUE, state.glyphs), Ink.BOLD),
        (" pending", Ink.WARN),
    ]


def _beside(state: ViewState, told: Told, row: Row, room: int) -> Line:
    """What there is to say about a value: shares, what is used, that it is new, or what it means."""
    section, _, name = row.key.partition(".")
    if section == "operators" and (share := operator_shares(state).get(name)) is not None:
        return ((bar(share, BAR, state.glyphs), Ink.PLAIN), (f" {percent(share)}", Ink.PLAIN))
    standing = next((s for s in standings(state) if section == "stop" and s.rule == name), None)
    if standing is not None:
        said = f" {used(standing, unit=False)}{', ' if left(standing) else ''}{left(standing)}"
        return ((bar(standing.share, BAR, state.glyphs), Ink.PLAIN), (said, Ink.PLAIN))
    change = told.tuning.last_change(row.key) if told.tuning is not None else None
    if change is not None and fresh(told, change):
        return (("from the next proposal on", Ink.GOOD),)
    about = row.setting.doc if row.setting is not None else ""
    return ((cut(words(state, about), room, state.glyphs), Ink.DIM),) if room >= 16 else ()


def _prompt(state: ViewState, told: Told, row: Row) -> tuple[str, Ink]:
    assert row.prompt is not None  # noqa: S101 - of this kind
    star = " " if row.prompt.built_in or not row.newest else "*"
    whose = "built-in" if row.prompt.built_in else "own"
    trend = row.prompt.trend
    came = "not used yet"
    if trend is not None and trend.attempts:
        came = f"{trend.kept + trend.promoted} of {trend.attempts} kept, {sigmas(trend.gain)} sigma"
    version = f"{row.prompt.version} " if row.newest else ""
    return (
        f" {star} {pad(row.label, LABEL)}{version}{whose}, {came}",
        Ink.PLAIN if row.newest else Ink.DIM,
    )


def _pad(state: ViewState, told: Told, row: Row) -> tuple[str, Ink]:
    if row.note is None:
        return f"   {row.label}", Ink.DIM
    who = "from the figures" if row.note.source == "builtin" else f"by {row.note.who}"
    when = f"{time_of_day(row.note.time)}, after {times(row.note.settled, 'child', 'children')}"
    return f"   {pad(row.label, LABEL)}{who}, {when}", Ink.PLAIN if row.newest else Ink.DIM


def _directions(state: ViewState, told: Told, row: Row) -> tuple[str, Ink]:
    text = told.tuning.directions if told.tuning is not None else ""
    lines = len(text.splitlines())
    return (
        f"   {pad(row.label, LABEL)}{times(lines, 'line') if lines else 'not written yet'}",
        Ink.PLAIN,
    )


def _change(state: ViewState, told: Told, row: Row) -> tuple[str, Ink]:
    assert row.change is not None  # noqa: S101 - of this kind
    change = row.change
    if change.key.startswith("prompts."):
        what = "its text"
    else:
        what = f"{shown(change.old)} {to(state)} {shown(change.new)}"
    when = time_of_day(change.time)
    return (
        f"   {when} {change.key}: {what}, {change.who}, from #{change.applied_from} on",
        Ink.PLAIN,
    )


def _request(state: ViewState, told: Told, row: Row) -> tuple[str, Ink]:
    assert row.request is not None  # noqa: S101 - of this kind
    asked = row.request
    ink = {CommandState.REFUSED: Ink.BAD, CommandState.PENDING: Ink.WARN}.get(asked.state, Ink.DIM)
    what = asked.args.get("key") or asked.args.get("candidate", "")
    what = f" #{what}" if isinstance(what, int) else f" {what}" if what else ""
    word = {CommandState.REFUSED: "refused: "}.get(asked.state, "")
    said = asked.answer or "pending"
    return f"   {time_of_day(asked.time)} {asked.verb}{what}, {asked.who}: {word}{said}", ink


# ---- figures that the list and the pages share ---------------------------------------------------------------


def operator_shares(state: ViewState) -> dict[str, float]:
    """The shares of the next proposals by operator; empty before anything is known."""
    return by_operator(state.snapshot.outlook.operators) if state.snapshot is not None else {}


def standings(state: ViewState) -> tuple[Standing, ...]:
    """The stop rules that are on, with what is used of them."""
    return state.snapshot.standings if state.snapshot is not None else ()


def used(standing: Standing, *, unit: bool = True) -> str:
    """`12 of 50 candidates`, `$1.42 of $20`, `0.9731, ends at 0.97 bpb`."""
    if standing.rule == "target_bpb":
        now = "not measured yet" if standing.used is None else f"{standing.used:.4f}"
        return f"{now}, ends at {standing.limit:g}{' bpb' if unit else ''}"
    if standing.rule == "dollars":
        return f"${standing.used or 0:.2f} of ${standing.limit:g}"
    so_far = f"{standing.used or 0:.1f}" if standing.rule == "hours" else f"{standing.used or 0:g}"
    return f"{so_far} of {standing.limit:g}{f' {UNITS[standing.rule]}' if unit else ''}"


def left(standing: Standing) -> str:
    """`about 3 h left at this rate`; empty where nothing tells."""
    if standing.hours is None:
        return ""
    if standing.hours == 0:
        return "reached"
    rate = "" if standing.rule == "hours" else " at this rate"
    if standing.hours < 1:
        return f"about {max(1, round(standing.hours * 60))} min left{rate}"
    return (
        f"about {standing.hours:.0f} h left{rate}"
        if standing.hours < 48
        else f"about {standing.hours / 24:.0f} days left{rate}"
    )
