"""Beside the list of the Tune view: everything about the selected row, as lines that scroll. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from evolve.model import CommandState
from tui.figures import cached_share, percent
from tui.tuning import ABOUT, PROMPTS, Kind, Row, Told, fresh, shown, wished
from tui.widgets.ink import Ink, Line, bar, times, wrap
from tui.widgets.prose import NAME, diff_lines, fact, paragraph, section
from tui.widgets.tables import pad, time_of_day, words
from tui.widgets.tune import BAR, left, standings, to, used
from tui.widgets.tunetexts import came_to, directions_page, prompt_page, scratchpad_page

if TYPE_CHECKING:
    from evolve.model import SettingChange
    from tui.state import ViewState


def heading(row: Row | None) -> str:
    """The title over the page."""
    if row is None:
        return ""
    if row.kind is Kind.PROMPT and row.prompt is not None:
        return f"{row.prompt.operator}, version {row.prompt.version}"
    if row.kind is Kind.PAD:
        return "scratchpad"
    return row.key or row.label


def page(state: ViewState, told: Told, row: Row | None, columns: int) -> list[Line]:
    """The page of a row."""
    if row is None or told.tuning is None:
        return [((" Nothing can be tuned before there is a run.", Ink.DIM),)]
    painters = {
        Kind.GROUP: _group,
        Kind.SETTING: _setting,
        Kind.PROMPT: prompt_page,
        Kind.PAD: scratchpad_page,
        Kind.DIRECTIONS: directions_page,
        Kind.CHANGE: _change,
        Kind.REQUEST: _request,
    }
    return list(painters[row.kind](state, told, row, columns))


# ---- settings ------------------------------------------------------------------------------------------------


def _setting(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    setting, key = row.setting, row.key
    assert setting is not None  # noqa: S101 - of this kind
    assert told.tuning is not None  # noqa: S101 - it lists the row
    yield ()
    yield from paragraph(state, f"{setting.doc[:1].upper()}{setting.doc[1:]}.", columns)
    yield ()
    value = words(state, shown(told.value(key)))
    default = words(state, shown(told.default(key)))
    yield from fact("in force", value, columns, Ink.BOLD)
    yield from fact("default", default + ("" if told.changed(key) else ", in force"), columns)
    yield from fact("may be", words(state, setting.type), columns)
    change = told.tuning.last_change(key)
    if change is not None:
        since = (
            "from the next proposal on"
            if fresh(told, change)
            else f"from #{change.applied_from} on"
        )
        said = f"{words(state, change.who)} at {time_of_day(change.time)}, {since}"
        yield from fact("set by", said, columns)
    if not setting.live:
        yield from fact("frozen", "changing it would make scores of this run incomparable, or it is read at "
                         "the start of an engine", columns, Ink.WARN)  # fmt: skip
    if (wish := wished(state, told, key)) != told.value(key):
        asked = f"{value} {to(state)} {words(state, shown(wish))}, the engine has not answered yet"
        yield from fact("pending", asked, columns, Ink.WARN)
    if (refusal := told.refusal(key, state.who)) is not None:
        yield from fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    yield ()
    yield from _around(state, row.group)
    mine = [c for c in told.tuning.changes if c.key == key]
    yield from section("Changes", _changes(state, mine, columns))


def _around(state: ViewState, group: str) -> Iterator[Line]:
    """What the figures of the run say about a group of settings."""
    if group in ("operators", "bandit"):
        yield from section("Shares of the next proposals", list(_arms(state)))
    if group == "stop":
        yield from section("Rules that are on", list(_stops(state)))
    if group == "llm":
        yield from section("Calls so far", list(_calls(state)))


def _arms(state: ViewState) -> Iterator[Line]:
    """Share, weight, and gain for cost of each way of making a child."""
    found = state.snapshot.outlook.operators if state.snapshot is not None else ()
    if not found:
        return
    head = (
        f"   {pad('', 28)}{pad('share', BAR + 7)}{pad('weight', 8)}{pad('tried', 7)}gain for cost"
    )
    yield ((head, Ink.DIM),)
    for share in found:
        name = pad(words(state, str(share.arm))[:27], 28)
        yield (
            (f"   {name}", Ink.PLAIN),
            (f"{bar(share.share, BAR, state.glyphs)} ", Ink.PLAIN),
            (pad(percent(share.share), 6), Ink.BOLD),
            (f"{pad(percent(share.weight), 8)}{pad(str(share.pulls), 7)}", Ink.DIM),
            (f"{share.gain:.1f} {state.glyphs.sigma} for {share.cost:.1f} trainings", Ink.DIM),
        )


def _stops(state: ViewState) -> Iterator[Line]:
    for standing in standings(state):
        yield (
            (f"   {pad(standing.rule, 13)}{bar(standing.share, BAR, state.glyphs)} ", Ink.PLAIN),
            (used(standing), Ink.BOLD),
            (f"{', ' if left(standing) else ''}{left(standing)}", Ink.DIM),
        )
    if not standings(state):
        yield (("   None: the search goes on until a person stops it.", Ink.DIM),)


def _calls(state: ViewState) -> Iterator[Line]:
    for model in state.snapshot.outlook.calls if state.snapshot is not None else ():
        parts = [times(model.calls, "call"), f"${model.dollars:.2f}"]
        parts += [f"{model.refused} refused"] if model.refused else []
        parts += [f"{model.failed} failed"] if model.failed else []
        if (share := cached_share([model])) is not None:
            parts.append(f"{percent(share)} of the input from the cache")
        yield ((f"   {words(state, model.model)}: {', '.join(parts)}", Ink.PLAIN),)


def _group(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    assert told.tuning is not None  # noqa: S101 - it lists the row
    yield ()
    about = ABOUT.get(row.group) or told.tuning.sections.get(row.group, "")
    yield from paragraph(state, about, columns)
    yield ()
    yield from _around(state, row.group)
    if row.group == PROMPTS:
        yield from section("What came of each", [came_to(state, p) for p in told.prompts])
    made = [c for c in told.tuning.changes if c.key.startswith(f"{row.group}.")]
    yield from section("Changes", _changes(state, made, columns))


# ---- changes -------------------------------------------------------------------------------------------------


def _change(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    change = row.change
    assert change is not None  # noqa: S101 - of this kind
    yield ()
    yield from fact("changed by", words(state, change.who), columns, Ink.BOLD)
    yield from fact(
        "at", datetime.fromtimestamp(change.time).astimezone().strftime("%d %b %H:%M:%S"), columns
    )
    yield from fact("counts", f"from #{change.applied_from} on", columns)
    if not change.key.startswith(f"{PROMPTS}."):
        yield from fact("before", words(state, shown(change.old)), columns)
        yield from fact("after", words(state, shown(change.new)), columns, Ink.BOLD)
        return
    yield ()
    operator = change.key.partition(".")[2]
    built_in = next((p.text for p in told.prompts if p.operator == operator and p.built_in), "")
    texts = [
        shown(value) if value not in ("", '""') else built_in for value in (change.old, change.new)
    ]
    yield from diff_lines(state, texts[0], texts[1], ("before", "after"), columns)


def _request(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    asked = row.request
    assert asked is not None  # noqa: S101 - of this kind
    yield ()
    yield from fact("asked by", words(state, asked.who), columns, Ink.BOLD)
    yield from fact("at", time_of_day(asked.time), columns)
    for name, value in asked.args.items():
        yield from fact(words(state, name)[: NAME - 1], words(state, str(value)[:400]), columns)
    ink = Ink.BAD if asked.state is CommandState.REFUSED else Ink.PLAIN
    yield from fact(str(asked.state), words(state, asked.answer or "no answer yet"), columns, ink)


def _changes(state: ViewState, made: Iterable[SettingChange], columns: int) -> Iterator[Line]:
    """One line for each change, or two where it is narrow."""
    for change in made:
        text = f"{shown(change.old)} {to(state)} {shown(change.new)}"
        what = "its text" if change.key.startswith(f"{PROMPTS}.") else text
        name = change.key.partition(".")[2]
        said = f"{name}: {what}, {change.who}, from #{change.applied_from} on"
        for place, line in enumerate(wrap(words(state, said), max(16, columns - 14))):
            yield (
                (f"   {time_of_day(change.time) if place == 0 else '':9}", Ink.DIM),
                (line, Ink.PLAIN),
            )
