"""Beside the list of the Tune view: everything about the selected row, as lines that scroll. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from evolve.model import CommandState
from evolve.propose.placeholders import ALLOWED, MEANING, REQUIRED
from tui.figures import cached_share, percent, sigmas
from tui.tuning import ABOUT, PROMPTS, SCRATCHPAD, Kind, Row, Told, fresh, shown, wished
from tui.widgets.diffing import patch, visible_lines
from tui.widgets.ink import Ink, Line, bar, times, width, wrap
from tui.widgets.tables import pad, time_of_day, words
from tui.widgets.tune import BAR, left, standings, to, used

if TYPE_CHECKING:
    from evolve.model import SettingChange
    from evolve.promptbook import Prompt
    from evolve.trends import Trend
    from tui.state import ViewState

NAME = 11  # columns of a fact's name


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
        Kind.PROMPT: _prompt,
        Kind.PAD: _scratchpad,
        Kind.DIRECTIONS: _directions,
        Kind.CHANGE: _change,
        Kind.REQUEST: _request,
    }
    return list(painters[row.kind](state, told, row, columns))


def diff_lines(
    state: ViewState, before: str, after: str, names: tuple[str, str], columns: int
) -> list[Line]:
    """A unified diff of two texts; signs tell what came and went, whatever the colours."""
    found = patch(_ended(before), _ended(after), names)
    if not found:
        return [((" No difference.", Ink.DIM),)]
    inks = {"+": Ink.GOOD, "-": Ink.BAD, "@": Ink.BOLD}
    room = max(16, columns - 3)
    return [
        ((f" {sign}", ink), (piece, ink))
        for line in visible_lines(found, ascii_only=not state.glyphs.braille)
        for sign, ink in [(line[:1], inks.get(line[:1], Ink.PLAIN))]
        for piece in ([line[1:]] if width(line) <= room else wrap(line[1:], room))
    ]


# ---- settings ------------------------------------------------------------------------------------------------


def _setting(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    setting, key = row.setting, row.key
    assert setting is not None  # noqa: S101 - of this kind
    assert told.tuning is not None  # noqa: S101 - it lists the row
    yield ()
    yield from _paragraph(state, f"{setting.doc[:1].upper()}{setting.doc[1:]}.", columns)
    yield ()
    value = words(state, shown(told.value(key)))
    default = words(state, shown(told.default(key)))
    yield from _fact("in force", value, columns, Ink.BOLD)
    yield from _fact("default", default + ("" if told.changed(key) else ", in force"), columns)
    yield from _fact("may be", words(state, setting.type), columns)
    change = told.tuning.last_change(key)
    if change is not None:
        since = (
            "from the next proposal on"
            if fresh(told, change)
            else f"from #{change.applied_from} on"
        )
        said = f"{words(state, change.who)} at {time_of_day(change.time)}, {since}"
        yield from _fact("set by", said, columns)
    if not setting.live:
        yield from _fact("frozen", "changing it would make scores of this run incomparable, or it is read at "
                         "the start of an engine", columns, Ink.WARN)  # fmt: skip
    if (wish := wished(state, told, key)) != told.value(key):
        asked = f"{value} {to(state)} {words(state, shown(wish))}, the engine has not answered yet"
        yield from _fact("pending", asked, columns, Ink.WARN)
    if (refusal := told.refusal(key, state.who)) is not None:
        yield from _fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    yield ()
    yield from _around(state, row.group)
    mine = [c for c in told.tuning.changes if c.key == key]
    yield from _section("Changes", [_change_line(state, c) for c in mine])


def _around(state: ViewState, group: str) -> Iterator[Line]:
    """What the figures of the run say about a group of settings."""
    if group in ("operators", "bandit"):
        yield from _section("Shares of the next proposals", list(_arms(state)))
    if group == "stop":
        yield from _section("Rules that are on", list(_stops(state)))
    if group == "llm":
        yield from _section("Calls so far", list(_calls(state)))


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
    yield from _paragraph(state, about, columns)
    yield ()
    yield from _around(state, row.group)
    if row.group == PROMPTS:
        yield from _section("What came of each", [_came(state, p) for p in told.prompts])
    made = [c for c in told.tuning.changes if c.key.startswith(f"{row.group}.")]
    yield from _section("Changes", [_change_line(state, c) for c in made])


# ---- texts ---------------------------------------------------------------------------------------------------


def _prompt(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    prompt = row.prompt
    assert prompt is not None  # noqa: S101 - of this kind
    whose = "built-in" if prompt.built_in else "your own"
    yield ()
    yield from _fact(
        "this is",
        f"{whose}, {'in force' if prompt.in_force else 'not in force'}",
        columns,
        Ink.BOLD,
    )
    if prompt.since is not None:
        yield from _fact(
            "first used",
            datetime.fromtimestamp(prompt.since).astimezone().strftime("%d %b %H:%M"),
            columns,
        )
    yield from _fact("came to", _trend(prompt.trend), columns)
    if (wish := wished(state, told, row.key)) != told.value(row.key):
        what = (
            "the built-in one"
            if not wish
            else f"another text, {times(len(wish.splitlines()), 'line')}"
        )
        yield from _fact("pending", what, columns, Ink.WARN)
    if (refusal := told.refusal(row.key, state.who)) is not None:
        yield from _fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    yield ()
    current = next((p for p in told.prompts if p.operator == prompt.operator and p.in_force), None)
    if current is not None and not prompt.in_force:
        names = (current.version, prompt.version)
        yield from _section(
            "From the one in force to this one",
            diff_lines(state, current.text, prompt.text, names, columns),
        )
    yield from _section("It may use", list(_placeholders(state, prompt.operator, columns)))
    yield from _section("Template", _numbered(state, prompt.text, columns))


def _placeholders(state: ViewState, operator: str, columns: int) -> Iterator[Line]:
    needed = REQUIRED.get(operator, frozenset())
    for name in sorted(ALLOWED.get(operator, ()), key=lambda n: (n not in needed, n)):
        head = f"   {pad(f'{{{name}}}', 18)}"
        told = f"{'needed: ' if name in needed else ''}{MEANING[name]}"
        for place, line in enumerate(wrap(told, max(16, columns - len(head) - 1))):
            first = head if place == 0 else " " * len(head)
            yield ((first, Ink.BOLD), (words(state, line), Ink.PLAIN))


def _came(state: ViewState, prompt: Prompt) -> Line:
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


def _scratchpad(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    note = row.note
    yield ()
    if (refusal := told.refusal(SCRATCHPAD, state.who)) is not None and row.newest:
        yield from _fact("refused", words(state, refusal.answer), columns, Ink.BAD)
    if note is None:
        yield from _paragraph(state, "Nothing is written yet. It comes after so many children as scratchpad.every "
                              "says, or from you.", columns)  # fmt: skip
        return
    who = "from the figures alone" if note.source == "builtin" else f"by {words(state, note.who)}"
    settled = times(note.settled, "child", "children")
    yield from _fact("written", f"{who} at {time_of_day(note.time)}, after {settled}", columns)
    yield ()
    for line in note.text.rstrip().splitlines():
        if line.startswith("#"):
            yield ((f" {words(state, line.lstrip('# '))}", Ink.BOLD),)
        elif line.strip():
            yield from _paragraph(state, line, columns)
        else:
            yield ()


def _directions(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    assert told.tuning is not None  # noqa: S101 - it lists the row
    yield ()
    yield from _fact("file", words(state, str(told.tuning.program)), columns)
    yield from _fact("counts", "from the next proposal on, as soon as it is saved", columns)
    yield ()
    yield from _numbered(state, told.tuning.directions, columns)


# ---- changes -------------------------------------------------------------------------------------------------


def _change(state: ViewState, told: Told, row: Row, columns: int) -> Iterator[Line]:
    change = row.change
    assert change is not None  # noqa: S101 - of this kind
    yield ()
    yield from _fact("changed by", words(state, change.who), columns, Ink.BOLD)
    yield from _fact(
        "at", datetime.fromtimestamp(change.time).astimezone().strftime("%d %b %H:%M:%S"), columns
    )
    yield from _fact("counts", f"from #{change.applied_from} on", columns)
    if not change.key.startswith(f"{PROMPTS}."):
        yield from _fact("before", words(state, shown(change.old)), columns)
        yield from _fact("after", words(state, shown(change.new)), columns, Ink.BOLD)
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
    yield from _fact("asked by", words(state, asked.who), columns, Ink.BOLD)
    yield from _fact("at", time_of_day(asked.time), columns)
    for name, value in asked.args.items():
        yield from _fact(words(state, name)[: NAME - 1], words(state, str(value)[:400]), columns)
    ink = Ink.BAD if asked.state is CommandState.REFUSED else Ink.PLAIN
    yield from _fact(str(asked.state), words(state, asked.answer or "no answer yet"), columns, ink)


def _change_line(state: ViewState, change: SettingChange) -> Line:
    text = "its text" if change.key.startswith(f"{PROMPTS}.") else (
        f"{shown(change.old)} {to(state)} {shown(change.new)}"
    )  # fmt: skip
    said = f"   {time_of_day(change.time)} {change.key}: {text}, {change.who}, from #{change.applied_from} on"
    return ((words(state, said), Ink.PLAIN),)


# ---- pieces --------------------------------------------------------------------------------------------------


def _section(name: str, body: Iterable[Line]) -> Iterator[Line]:
    lines = list(body)
    if lines:
        yield ((f" {name}", Ink.BOLD),)
        yield from lines
        yield ()


def _fact(name: str, text: str, columns: int, ink: Ink = Ink.PLAIN) -> Iterator[Line]:
    for place, line in enumerate(wrap(text, max(16, columns - NAME - 2))):
        yield ((f" {pad(name if place == 0 else '', NAME)}", Ink.DIM), (line, ink))


def _paragraph(state: ViewState, text: str, columns: int) -> Iterator[Line]:
    for line in wrap(words(state, text), max(16, columns - 2)):
        yield ((f" {line}", Ink.PLAIN),)


def _numbered(state: ViewState, text: str, columns: int) -> Iterator[Line]:
    """Lines with their numbers, as faults name them; a long one goes on below."""
    room = max(16, columns - 7)
    for number, line in enumerate(visible_lines(text, ascii_only=not state.glyphs.braille), 1):
        for place, piece in enumerate([line] if width(line) <= room else wrap(line, room)):
            yield ((f" {number if place == 0 else '':>3} ", Ink.DIM), (piece, Ink.PLAIN))


def _ended(text: str) -> str:
    """With a line end behind the last line: a missing one is no difference to a template."""
    return text if text.endswith("\n") else f"{text}\n"
