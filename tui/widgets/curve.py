"""The pane of the loss curve: the running candidate beside main, what is foretold, and how a person wants to see it.

Losses are in nats per token, as the scripts print them; scores in bits per byte.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from evolve.view import RunningView, Snapshot
from tui import slotwords
from tui.figures import chance
from tui.state import ViewState
from tui.widgets.chart import (
    LATE,
    Axis,
    Target,
    Trace,
    chart,
    main_trace,
    parent_trace,
    running_trace,
    smooth,
)
from tui.widgets.ink import Ink, Line, Part, cut, line_width, pack, rule, width
from tui.widgets.tables import words
from tui.widgets.training import phase

_CAPTION = 9  # rows of the curve's pane from which it has a line of words below


@dataclass(frozen=True, slots=True)
class CurveOptions:
    """How a person wants to see the curves."""

    log: bool = False  # the budget on a logarithmic axis
    smoothed: bool = False
    late: bool = False  # only the second half of the budget
    parent: bool = False  # the parent's curve too


class CurvePane:
    """Paints the loss of the running candidate, beside the one of what main holds."""

    def __init__(self) -> None:
        """With the whole budget, as it was printed."""
        self.options = CurveOptions()

    def toggle(self, option: str) -> str:
        """Turn one of `CurveOptions` on or off; returns what is shown now, in words."""
        self.options = replace(self.options, **{option: not getattr(self.options, option)})
        return _in_words(self.options)

    def __call__(self, state: ViewState, columns: int, rows: int) -> list[Line]:
        """Title, chart, and where there is room what is foretold."""
        snapshot = state.snapshot
        running = snapshot.running if snapshot is not None else None
        if snapshot is None or running is None:
            return _nothing_runs(state, columns)
        lines = [_curve_title(state, running, self.options, columns)]
        caption = rows >= _CAPTION
        axis = Axis(LATE if self.options.late else 0.0, self.options.log, _seconds(snapshot))
        traces = _traces(running, self.options)
        target = _target(snapshot, running)
        room = rows - 1 - caption
        drawn = chart(traces, columns - 1, room, state.glyphs, axis, target)
        if not drawn:
            said = f"  {phase(running)}; the loss curve begins with its first steps"
            return [*lines, ((cut(said, columns - 1, state.glyphs), Ink.DIM),)]
        lines += drawn
        if caption:
            lines.append(_caption(state, running, self.options, columns))
        return lines


def _in_words(options: CurveOptions) -> str:
    """`The second half of the budget, on a log axis, smoothed, with the parent's curve.`"""
    parts = ["the second half of the budget" if options.late else "the whole budget"]
    parts.append("on a log axis" if options.log else "")
    parts.append("smoothed" if options.smoothed else "as it was printed")
    parts.append("with the parent's curve" if options.parent else "")
    told = ", ".join(part for part in parts if part)
    return f"The curve: {told}."


def _traces(running: RunningView, options: CurveOptions) -> list[Trace]:
    drawn = [main_trace(running.reference), running_trace(running.curve)]
    if options.parent and running.parent:
        drawn.insert(0, parent_trace(running.parent))
    if options.smoothed:
        drawn = [replace(one, points=smooth(one.points)) for one in drawn]
    return drawn


def _target(snapshot: Snapshot, running: RunningView) -> Target | None:
    """The forecast in nats: by what main's score makes of main's last loss."""
    told, main = running.foretold, snapshot.incumbent
    known = snapshot.outlook.beliefs.get(main.id) if main is not None else None
    if told is None or known is None or known.mean <= 0 or not running.reference:
        return None
    nats = running.reference[-1][1] / known.mean
    return Target(
        (told.score - told.margin) * nats, told.score * nats, (told.score + told.margin) * nats
    )


def _seconds(snapshot: Snapshot) -> float | None:
    """The budget of a run that counts time; None where it counts tokens."""
    words = snapshot.run.fingerprint.get("budget", "").split() if snapshot.run is not None else []
    return float(words[0]) if len(words) == 2 and words[1] == "seconds" else None


def _curve_title(
    state: ViewState, running: RunningView, options: CurveOptions, columns: int
) -> Line:
    spans: list[tuple[str, Ink]] = []
    if options.parent and running.parent:
        spans.append((f"parent {state.glyphs.dotted} ", Ink.DIM))
    if running.reference:
        spans.append((f"main {state.glyphs.dashed}", Ink.RIVAL))
    legend: Line = tuple(spans)
    name = f"{running.candidate.label} {state.glyphs.solid}"
    room = columns - width(name) - line_width(legend) - 8
    about = cut(f"{words(state, running.candidate.title)}", max(0, room), state.glyphs)
    title: Line = ((name, Ink.CURVE), (f" {about}", Ink.PLAIN))
    return rule(title, legend, columns, state.glyphs)


def _caption(state: ViewState, running: RunningView, options: CurveOptions, columns: int) -> Line:
    """What the axes are, and what is foretold."""
    parts = [Part(0, f"foretold {_foretold(state, running)}", Ink.BOLD)]
    told = running.foretold
    if told is not None and told.better is not None:
        parts.append(Part(1, f"P(beats main) {chance(told.better)}", Ink.BOLD))
    if told is not None:
        by = f"by {told.curves} curves" if told.curves else "by main's curve alone"
        parts.append(Part(4, by, Ink.DIM))
    shown = [word for word, on in (("log", options.log), ("smoothed", options.smoothed)) if on]
    axes = f"training loss, nats a token{', ' if shown else ''}{', '.join(shown)}"
    parts.append(Part(3, axes, Ink.DIM))
    return ((" ", Ink.PLAIN), *pack(parts, columns - 2, gap=f" {state.glyphs.dot} "))


def _foretold(state: ViewState, running: RunningView) -> str:
    return slotwords.foretold(running, state.glyphs.plus_minus)


def _nothing_runs(state: ViewState, columns: int) -> list[Line]:
    snapshot = state.snapshot
    tried = snapshot.smoking if snapshot is not None else None
    name = f"{tried.candidate.label} is tried out" if tried is not None else "Nothing is training"
    head = rule(((name, Ink.BOLD),), (), columns, state.glyphs)
    if snapshot is None or snapshot.run is None:
        return [head]
    lines = [head]
    for text in (slotwords.slot(snapshot), *slotwords.proposing(snapshot)):
        lines.append(((f"  {cut(words(state, text), columns - 3, state.glyphs)}", Ink.DIM),))
    return lines
