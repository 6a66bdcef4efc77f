"""The painters of everything that is not a list: status, facts, the running candidate, notices, keys. Pure.

A painter takes the view state and a size and returns lines. Numbers that move are padded to a fixed width, so
that only their digits change on the wire.
"""

from __future__ import annotations

from evolve.model import Purpose
from evolve.view import RunningView, Snapshot
from harness.spec import Progress
from tui.keys import ascii_shown, keys_of
from tui.state import (
    ViewState,
    advice,
    connection_word,
    engine_word,
    pending,
    population_size,
    spread,
    wished_size,
)
from tui.widgets.chart import chart
from tui.widgets.ink import (
    Ink,
    Line,
    Part,
    bar,
    bpb,
    clock,
    count,
    cut,
    line_width,
    pack,
    row,
    rule,
    width,
    wrap,
)
from tui.widgets.tables import event_row, parents, time_of_day, words

PURPOSES = {
    Purpose.BASELINE: "baseline",
    Purpose.SCREEN: "first try",
    Purpose.CONFIRM: "repeat",
    Purpose.INCUMBENT: "main again",
}


# ---- the lines at the top ------------------------------------------------------------------------------


def status_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """Name, engine, best score and connection."""
    link = connection_word(state)
    right: list[Part] = []
    if waiting := pending(state):
        right.append(Part(1, f"{len(waiting)} pending", Ink.WARN))
    if state.read_only:
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
    generation = max((c.generation for c in snapshot.population), default=0)
    size = wished_size(state)
    asked = size is not None and size != population_size(state)
    population = f"{len(snapshot.population)} alive" + (f" of {size}" if size is not None else "")
    return [
        *parts,
        Part(2, f"{snapshot.experiments} trained"),
        Part(3, population + ("?" if asked else ""), Ink.WARN if asked else Ink.PLAIN),
        Part(6, f"gen {generation}" if generation else ""),
        Part(7, f"{snapshot.failures} failed" if snapshot.failures else ""),
        Part(8, f"{snapshot.promotions} promoted" if snapshot.promotions else ""),
    ]


def _best(state: ViewState, snapshot: Snapshot) -> Part | None:
    best = snapshot.incumbent
    if best is None or best.mean is None:
        return None
    error = spread(best, snapshot.run.sigma if snapshot.run is not None else None)
    shown = f"{state.glyphs.plus_minus}{error:.4f} " if error is not None else ""
    return Part(1, f"main {bpb(best.mean)} {shown}{best.label}", Ink.BOLD)


def facts_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """What frames every number on the screen: rehearsal, stop rules, noise, money, sandbox."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return []
    sigma = snapshot.run.sigma
    parts = [
        Part(0, "REHEARSAL, not a result" if snapshot.rehearsal else "", Ink.WARN),
        Part(1, f"stops: {words(state, snapshot.stop_rules)}" if snapshot.stop_rules else ""),
        Part(2, f"noise {state.glyphs.sigma} {sigma:.4f}" if sigma is not None else ""),
        Part(3, f"${snapshot.dollars:.2f} in {snapshot.llm_calls} calls"),
        Part(4, words(state, snapshot.sandbox), Ink.WARN if snapshot.sandbox == "process" else Ink.PLAIN),
    ]  # fmt: skip
    dimmed = [p if p.ink is not Ink.PLAIN else Part(p.rank, p.text, Ink.DIM) for p in parts]
    return [((" ", Ink.PLAIN), *pack(dimmed, columns - 2, gap=f" {state.glyphs.dot} "))]


# ---- the running candidate -----------------------------------------------------------------------------


def curve_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The loss of the running candidate, beside the one of what main holds."""
    snapshot = state.snapshot
    running = snapshot.running if snapshot is not None else None
    if running is None:
        return _nothing_runs(state, columns)
    legend: Line = ()
    if running.reference:
        legend = ((f"main {state.glyphs.dashed}", Ink.RIVAL),)
    name = f"{running.candidate.label} {state.glyphs.solid}"
    room = columns - width(name) - line_width(legend) - 8
    about = cut(words(state, running.candidate.title), max(0, room), state.glyphs)
    title: Line = ((name, Ink.CURVE), (f" {about}", Ink.PLAIN))
    head = rule(title, legend, columns, state.glyphs)
    drawn = chart(running.curve, running.reference, columns - 1, rows - 1, state.glyphs)
    if not drawn:
        return [
            head,
            ((f"  {_phase(running)}; the loss curve begins with its first steps", Ink.DIM),),
        ]
    return [head, *drawn]


def _nothing_runs(state: ViewState, columns: int) -> list[Line]:
    head = rule((("Nothing is training", Ink.BOLD),), (), columns, state.glyphs)
    if state.snapshot is None or state.snapshot.run is None:
        return [head]
    doing = words(state, state.snapshot.engine.doing)
    return [head, ((f"  {cut(doing, columns - 3, state.glyphs)}", Ink.DIM),)]


def _phase(running: RunningView) -> str:
    return running.progress.phase if running.progress is not None else "starting"


def eta(progress: Progress) -> float | None:
    """Seconds of the budget that are left, judged by what is spent."""
    if progress.fraction <= 0.01 or progress.phase != "training":
        return None
    return progress.seconds * (1.0 - progress.fraction) / progress.fraction


def now_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The figures of the running candidate, one a line."""
    snapshot = state.snapshot
    running = snapshot.running if snapshot is not None else None
    if snapshot is None or running is None:
        head = rule((("now", Ink.BOLD),), (), columns, state.glyphs)
        return [head, *[_pair(name, value, columns) for name, value in _idle_facts(state)]]
    progress = running.progress
    head = rule(((_phase(running), Ink.BOLD),), (), columns, state.glyphs)
    lines: list[Line] = [head]
    if progress is not None:
        percent = f"{progress.fraction * 100:3.0f}%"
        room = max(4, columns - len(percent) - 3)
        text = f" {bar(progress.fraction, room, state.glyphs)} {percent}"
        lines.append(((text, Ink.PLAIN),))
    lines += [_pair(name, value, columns) for name, value in _running_facts(state, running)]
    return lines


def _running_facts(state: ViewState, running: RunningView) -> list[tuple[str, str]]:
    candidate, progress = running.candidate, running.progress
    facts: list[tuple[str, str]] = []
    if progress is not None:
        left = eta(progress)
        facts = [
            ("elapsed", clock(progress.seconds)),
            ("left", "-" if left is None else clock(left)),
            ("loss", "-" if progress.loss is None else f"{progress.loss:.4f}"),
        ]
        if progress.tokens_per_second is not None:
            facts.append(("tokens/s", count(progress.tokens_per_second)))
        if progress.mfu_percent is not None:
            facts.append(("MFU", f"{progress.mfu_percent:.1f}%"))
        if progress.step is not None:
            facts.append(("step", str(progress.step)))
        facts.append(("tokens", count(progress.tokens)))
    facts += [
        ("why", PURPOSES[running.experiment.purpose]),
        ("seed", str(running.experiment.seed)),
        ("made by", str(candidate.operator)),
        ("from", words(state, parents(state, candidate)) or "-"),
    ]
    if state.snapshot is not None and state.snapshot.gap_seconds is not None:
        facts.append(("slot idle", f"{state.snapshot.gap_seconds:.2f} s"))
    return facts


def _idle_facts(state: ViewState) -> list[tuple[str, str]]:
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return []
    return [
        ("candidates", str(snapshot.candidates)),
        ("trained", str(snapshot.experiments)),
        ("failed", str(snapshot.failures)),
        ("promoted", str(snapshot.promotions)),
        ("crossovers", str(snapshot.crossovers)),
    ]


def _pair(name: str, value: str, columns: int) -> Line:
    shown = value[: max(0, columns - 13)]
    return ((f" {name:10} ", Ink.DIM), (shown, Ink.PLAIN))


def now_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The most important figures of the running candidate in one line, for narrow screens."""
    running = state.snapshot.running if state.snapshot is not None else None
    if running is None:
        return []
    parts = [Part(0, _phase(running), Ink.BOLD)]
    progress = running.progress
    if progress is not None:
        left = eta(progress)
        parts += [
            Part(1, f"{progress.fraction * 100:3.0f}%"),
            Part(2, "" if left is None else f"{clock(left)} left"),
            Part(3, "" if progress.loss is None else f"loss {progress.loss:.4f}"),
            Part(4, "" if not progress.tokens_per_second else f"{count(progress.tokens_per_second)} tok/s"),
        ]  # fmt: skip
    return [((" ", Ink.PLAIN), *pack(parts, columns - 2))]


def idea_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """Why the running candidate exists: its hypothesis and its changes (only on wide screens)."""
    snapshot = state.snapshot
    running = snapshot.running if snapshot is not None else None
    name = running.candidate.label if running is not None else "idea"
    lines: list[Line] = [rule(((f"{name} idea", Ink.DIM),), (), columns, state.glyphs)]
    if running is None:
        return lines
    text = words(state, running.candidate.hypothesis) or "No hypothesis was given."
    lines += [((f" {part}", Ink.PLAIN),) for part in wrap(text, columns - 2)]
    for change in running.candidate.changes:
        lines.append(((f" {cut(words(state, change), columns - 2, state.glyphs)}", Ink.DIM),))
    return lines


# ---- the lines at the bottom ---------------------------------------------------------------------------


def events_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The last events, newest last."""
    recent = state.snapshot.recent if state.snapshot is not None else ()
    head = rule((("log", Ink.DIM),), (), columns, state.glyphs)
    return [head, *[event_row(state, event, columns) for event in recent[-(rows - 1) :]]]


def notice_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """What the person should know now: an answer, a fault, what is pending, else what the engine does."""
    notice = state.notice if state.notice.text else advice(state, time_of_day)
    if notice is not None:
        text, ink = notice.text, notice.ink
    elif waiting := pending(state):
        text, ink = f"pending: {', '.join(waiting)}", Ink.WARN
    elif state.snapshot is not None:
        text, ink = state.snapshot.engine.doing, Ink.DIM
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
        shown = [k for k in keys_of(self._view, read_only=state.read_only) if k.rank]
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
