"""The painters of the candidate that trains now: its curve, its figures, its idea. Pure."""

from __future__ import annotations

from evolve.model import Candidate, Purpose
from evolve.view import RunningView
from harness.spec import Progress
from tui.figures import chance
from tui.state import ViewState, belief
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
    rule,
    width,
    wrap,
)
from tui.widgets.tables import parents, words

PURPOSES = {
    Purpose.BASELINE: "baseline",
    Purpose.SCREEN: "first try",
    Purpose.CONFIRM: "repeat",
    Purpose.INCUMBENT: "main again",
}


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
        if progress.mfu_percent:  # a script on a CPU prints 0
            facts.append(("MFU", f"{progress.mfu_percent:.1f}%"))
        if progress.step is not None:
            facts.append(("step", str(progress.step)))
        facts.append(("tokens", count(progress.tokens)))
    facts += [
        ("why", PURPOSES[running.experiment.purpose]),
        *_believed(state, candidate),
        ("seed", str(running.experiment.seed)),
        ("made by", str(candidate.operator)),
        ("from", words(state, parents(state, candidate)) or "-"),
    ]
    if state.snapshot is not None and state.snapshot.gap_seconds is not None:
        facts.append(("slot idle", f"{state.snapshot.gap_seconds:.2f} s"))
    return facts


def _believed(state: ViewState, candidate: Candidate) -> list[tuple[str, str]]:
    """What a repeat is to settle: the score so far without luck, and how sure it is; nothing before a first score."""
    known = belief(state, candidate)
    if known is None:
        return []
    facts = [
        ("corrected", f"{bpb(known.mean)} {state.glyphs.plus_minus}{known.sd:.4f}"),
        ("state", f"{known.word}, {known.n}{state.glyphs.times}"),
    ]
    if known.better is not None:
        facts.insert(1, ("P(better)", chance(known.better)))
    return facts


def _idle_facts(state: ViewState) -> list[tuple[str, str]]:
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return []
    return [
        ("candidates", str(snapshot.candidates)),
        ("trained", str(snapshot.experiments)),
        ("failed", str(snapshot.failures)),
        *(("pruned", str(pruned.stopped)) for pruned in [snapshot.outlook.pruned] if pruned),
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
