"""The painters of the lines around a view: status, facts, events, notices, keys. Pure.

A painter takes the view state and a size and returns lines. Numbers that move are padded to a fixed width, so
that only their digits change on the wire.
"""

from __future__ import annotations

from evolve.outlook import Outlook
from evolve.view import Snapshot
from tui import slotwords
from tui.figures import cached_share, percent, pruning
from tui.keys import ascii_shown, keys_of
from tui.state import (
    ViewState,
    advice,
    belief,
    connection_word,
    engine_alive,
    engine_word,
    pending,
    population_size,
    replaying,
    stale_for,
    wished_size,
)
from tui.widgets.gauges import brief
from tui.widgets.ink import (
    Ink,
    Line,
    Part,
    bpb,
    clock,
    cut,
    pack,
    row,
    rule,
    times,
    width,
)
from tui.widgets.tables import date_and_time, event_row, time_of_day, words
from tui.widgets.training import eta

# ---- the lines at the top ------------------------------------------------------------------------------


def status_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """Name, engine, best score and connection."""
    link = connection_word(state)
    right: list[Part] = []
    if state.snapshot is not None and state.snapshot.outlook.policy == "greedy":
        right.append(Part(1, "GREEDY", Ink.WARN))
    if state.snapshot is not None and state.snapshot.drift:
        right.append(Part(1, "DRIFT", Ink.WARN))
    if waiting := pending(state):
        right.append(Part(1, f"{len(waiting)} pending", Ink.WARN))
    if state.snapshot is not None and state.snapshot.playback is not None:
        right.append(Part(1, date_and_time(state.snapshot.time)))
    elif state.read_only:
        right.append(Part(2, "read-only", Ink.DIM))
    right.append(Part(0, link.text, link.ink))
    end = (*pack(right, max(0, columns // 2)), (" ", Ink.PLAIN))
    room = columns - sum(width(text) for text, _ in end) - 2
    return [row(((" ", Ink.PLAIN), *pack(_summary(state), room)), end, columns)]


def _summary(state: ViewState) -> list[Part]:
    word = engine_word(state)
    snapshot = state.snapshot
    name = snapshot.run.name if snapshot is not None and snapshot.run is not None else ""
    parts = [Part(5, words(state, name) or "autoresearch"), Part(0, word.text, word.ink)]
    if snapshot is None:
        return parts
    if (best := _best(state, snapshot)) is not None:
        parts.append(best)
    running = snapshot.running
    generation = max((c.generation for c in snapshot.population), default=0)
    size = wished_size(state)
    asked = size is not None and size != population_size(state)
    population = f"{len(snapshot.population)} alive" + (f" of {size}" if size is not None else "")
    return [
        *parts,
        Part(2, f"{snapshot.experiments} trained"),
        Part(3, population + ("?" if asked else ""), Ink.WARN if asked else Ink.PLAIN),
        Part(6, f"gen {generation}" if generation else ""),
        Part(4, brief(running.load) if running and engine_alive(snapshot.engine) else ""),
        Part(7, f"{snapshot.failures} failed" if snapshot.failures else ""),
        Part(7, f"{snapshot.voided} voided" if snapshot.voided else "", Ink.BAD),
        Part(8, f"{snapshot.promotions} promoted" if snapshot.promotions else ""),
    ]


def _best(state: ViewState, snapshot: Snapshot) -> Part | None:
    best = snapshot.incumbent
    if best is None or best.mean is None:
        return None
    known = belief(state, best)
    if known is None:
        return Part(1, f"main {bpb(best.mean)} {best.label}", Ink.BOLD)
    score = f"{bpb(known.mean)} {state.glyphs.plus_minus}{known.sd:.4f}"
    return Part(1, f"main {score} {best.label}", Ink.BOLD)


def facts_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """What frames every number on the screen: rehearsal, policy, stop rules, noise, money, sandbox."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return []
    outlook = snapshot.outlook
    stops = words(state, snapshot.stop_rules).removesuffix(", whichever comes first")
    parts = [
        Part(0, "REHEARSAL, not a result" if snapshot.rehearsal else "", Ink.WARN),
        Part(1, "greedy: gains may be luck" if outlook.policy == "greedy" else "", Ink.WARN),
        Part(2, f"stops: {stops}" if stops else ""),
        Part(3, _noise(state, outlook)),
        Part(4, f"fitness: {words(state, outlook.goes_by)}" if outlook.composite else ""),
        Part(3, _money(snapshot)),
        Part(6, _answers(outlook)),
        Part(6, pruning(outlook.pruned)),
        Part(5, words(state, snapshot.sandbox), Ink.WARN if snapshot.sandbox == "process" else Ink.PLAIN),
    ]  # fmt: skip
    dimmed = [p if p.ink is not Ink.PLAIN else Part(p.rank, p.text, Ink.DIM) for p in parts]
    return [((" ", Ink.PLAIN), *pack(dimmed, columns - 2, gap=f" {state.glyphs.dot} "))]


def _noise(state: ViewState, outlook: Outlook) -> str:
    """`noise σ 0.0021 (12 repeats)`."""
    if outlook.noise is None:
        return ""
    repeats = times(outlook.noise.n, "repeat")
    return f"noise {state.glyphs.sigma} {outlook.noise.sigma:.4f} ({repeats})"


def _money(snapshot: Snapshot) -> str:
    """`$1.42 in 31 calls`."""
    calls = f" in {times(snapshot.llm_calls, 'call')}" if snapshot.llm_calls else ""
    return f"${snapshot.dollars:.2f}{calls}"


def _answers(outlook: Outlook) -> str:
    """`2 refused, 74 % cached`: how the calls of language models went."""
    refused = sum(model.refused for model in outlook.calls)
    share = cached_share(outlook.calls)
    parts = [f"{refused} refused"] if refused else []
    return ", ".join(parts if share is None else [*parts, f"{percent(share)} cached"])


# ---- the lines at the bottom ---------------------------------------------------------------------------


def events_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The last events, newest last."""
    recent = state.snapshot.recent if state.snapshot is not None else ()
    head = rule((("log", Ink.DIM),), (), columns, state.glyphs)
    return [head, *[event_row(state, event, columns) for event in recent[-(rows - 1) :]]]


def waits_for(snapshot: Snapshot) -> str:
    """For the end of which fault a live engine waits, or why its run paused by itself; empty = neither."""
    engine, run = snapshot.engine, snapshot.run
    if engine.state in ("running", "paused", "stopping") and engine.why:
        return f"The engine waits for {engine.why}."
    alone = engine.state == "paused" and snapshot.pause is None and run is not None
    return run.reason if alone and run is not None else ""


def notice_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """What the person should know now: an answer, a fault, what is pending, a drift, else what the engine does."""
    notice = state.notice if state.notice.text else advice(state, time_of_day)
    if notice is not None:
        text, ink = notice.text, notice.ink
        if notice.short and width(text) > columns - 2:
            text = notice.short
    elif waiting := pending(state):
        text, ink = f"pending: {', '.join(waiting)}", Ink.WARN
    elif state.snapshot is not None and (waits := waits_for(state.snapshot)):
        text, ink = waits, Ink.WARN
    elif state.snapshot is not None and state.snapshot.drift:
        text, ink = state.snapshot.drift, Ink.WARN
    elif (age := stale_for(state)) is not None:
        text = f"No sign of life from the engine for {age:.0f} s: it is busy, or the machine or its disk is slow."
        ink = Ink.WARN
    elif state.snapshot is not None:
        doing = "; ".join(slotwords.proposing(state.snapshot))
        text, ink = slotwords.slot(state.snapshot) or doing, Ink.DIM
    else:
        text, ink = "Reading the journal ...", Ink.DIM
    return [((" ", Ink.PLAIN), (cut(words(state, text), columns - 2, state.glyphs), ink))]


class KeyLine:
    """Paints the keys that do something in a view, the most important ones where space is short."""

    def __init__(self, view: str) -> None:
        """`view` is one of `tui.keys.VIEWS` or `DETAILS`."""
        self._view = view

    def __call__(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        """One line."""
        alone = state.snapshot is not None and not engine_alive(state.snapshot.engine)
        found = keys_of(self._view, read_only=state.read_only or alone, replay=replaying(state))
        shown = [k for k in found if k.rank]
        paused = engine_word(state).text == "PAUSED"
        parts = []
        for key in shown:
            label = "resume" if key.id == "pause" and paused else key.label
            name = ascii_shown(key.shown.split()[0])
            ink = Ink.BOLD if key.id == self._view else Ink.DIM
            parts.append(Part(key.rank, f"{name} {label}", ink))
        return [((" ", Ink.PLAIN), *pack(parts, columns - 2))]


def tiny_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The whole app in one line, for a very small terminal."""
    word = engine_word(state)
    parts = [Part(0, word.text, word.ink)]
    snapshot = state.snapshot
    if snapshot is not None and snapshot.incumbent is not None:
        parts.append(
            Part(1, f"{bpb(snapshot.incumbent.mean)} {snapshot.incumbent.label}", Ink.BOLD)
        )
    progress = snapshot.running.progress if snapshot is not None and snapshot.running else None
    if progress is not None and (left := eta(progress)) is not None:
        parts.append(Part(2, f"{clock(left)} left"))
    link = connection_word(state)
    parts.append(Part(3, link.text, link.ink))
    return [pack(parts, columns, gap=" ")]
