"""Draws training curves in a grid of characters: braille (2x4 dots a cell) or plain ASCII. Pure.

The running candidate is a solid line, main a dashed one, a parent a dotted one, so that they are told apart without
colour. The vertical range moves in nice steps only, or every frame would repaint the whole chart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tui.widgets.ink import Glyphs, Ink, Line, Span, clock

Points = Sequence[tuple[float, float]]  # (fraction of the budget 0…1, loss in nats), in order

BRAILLE = 0x2800
# Dot bits of a braille cell, by row and then by column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# The first losses are so high that they would flatten everything after them.
WARMUP, LOG_WARMUP = 0.1, 0.03
LABEL = 6  # columns of the axis labels
WINDOW = 0.05  # of the budget, over which a smooth curve is averaged
FIRST = 0.01  # of the budget: where a logarithmic axis begins
LATE = 0.5  # where the view of the last half begins
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
LOG_TICKS = (0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis: which fractions of the budget it shows, and how they are told."""

    start: float = 0.0
    log: bool = False
    seconds: float | None = None  # of the whole budget, where it is one of time

    def place(self, fraction: float) -> float | None:
        """0…1 from the left edge to the right one; None where it lies outside."""
        begin = max(self.start, FIRST) if self.log else self.start
        if not begin <= fraction <= 1.0:
            return None
        if self.log:
            return math.log(fraction / begin) / -math.log(begin)
        return (fraction - begin) / (1.0 - begin)

    def ticks(self, *, few: bool) -> list[tuple[float, str]]:
        """Places and labels, from left to right."""
        shown = LOG_TICKS if self.log else tuple(self.start + t * (1 - self.start) for t in TICKS)
        chosen = [f for f in shown if self.place(f) is not None]
        if few:
            chosen = chosen[:: max(1, (len(chosen) - 1) // 2)]
        return [(self.place(f) or 0.0, self._label(f)) for f in chosen]

    def _label(self, fraction: float) -> str:
        if self.seconds is not None:
            return clock(self.seconds * fraction)
        return f"{fraction * 100:.3g}%"


@dataclass(frozen=True, slots=True)
class Trace:
    """One curve and how it is drawn."""

    points: Points
    ink: Ink
    dash: int = 0  # dot columns of a dash and its gap; 0 = a solid line
    gap: int = 0
    mark: str = "*"  # in ASCII


@dataclass(frozen=True, slots=True)
class Target:
    """Where the running curve is expected to end: a band at the right edge, in nats."""

    low: float
    middle: float
    high: float


def running_trace(points: Points) -> Trace:
    """The candidate that trains now: a solid line."""
    return Trace(points, Ink.CURVE)


def main_trace(points: Points) -> Trace:
    """What main holds: a dashed line."""
    return Trace(points, Ink.RIVAL, dash=6, gap=2, mark=".")


def parent_trace(points: Points) -> Trace:
    """The parent that was edited: a dotted line."""
    return Trace(points, Ink.DIM, dash=4, gap=3, mark=":")


def smooth(points: Points, window: float = WINDOW) -> list[tuple[float, float]]:
    """The mean over the `window` before each point; a point of the past never changes when one is added."""
    result: list[tuple[float, float]] = []
    total, first = 0.0, 0
    clean = [point for point in points if math.isfinite(point[1])]
    for at, loss in clean:
        total += loss
        while clean[first][0] <= at - window:
            total -= clean[first][1]
            first += 1
        result.append((at, total / (len(result) + 1 - first)))
    return result


def nice_range(low: float, high: float, steps: int = 4) -> tuple[float, float, float]:
    """Widen `low`…`high` to round numbers. Returns `(bottom, top, step)`."""
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    raw = span / steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999)
    bottom = math.floor(low / step + 1e-9) * step
    top = math.ceil(high / step - 1e-9) * step
    return bottom, max(top, bottom + step), step


def value_range(*curves: Points, axis: Axis | None = None) -> tuple[float, float, float] | None:
    """The vertical range for these curves, or None when there is nothing to draw."""
    shown = axis or Axis()
    values = [
        (x, loss)
        for points in curves
        for x, loss in points
        if math.isfinite(loss) and shown.place(x) is not None
    ]
    warm = LOG_WARMUP if shown.log else WARMUP
    late = [loss for x, loss in values if x >= warm]
    chosen = late if len(late) > 1 else [loss for _, loss in values]
    return nice_range(min(chosen), max(chosen)) if chosen else None


def trace(
    points: Points, columns: int, bottom: float, top: float, rows: int, axis: Axis | None = None
) -> list[int | None]:
    """The dot row (0 = top) of a curve in each of `columns` dot columns; None where it has no value."""
    heights: list[int | None] = [None] * columns
    shown = axis or Axis()
    clean = [
        (place, y) for x, y in points if math.isfinite(y) and (place := shown.place(x)) is not None
    ]
    for (x0, y0), (x1, y1) in zip(clean, clean[1:] or clean, strict=False):
        first, last = _column(x0, columns), _column(x1, columns)
        for column in range(first, last + 1):
            share = 0.0 if last == first else (column - first) / (last - first)
            value = y0 + (y1 - y0) * share if last != first else y1
            if bottom <= value <= top:
                heights[column] = round((top - value) / (top - bottom) * (rows - 1))
    return heights


def _column(x: float, columns: int) -> int:
    return min(columns - 1, int(x * columns))


def plot(
    traces: Sequence[Trace],
    columns: int,
    rows: int,
    limits: tuple[float, float],
    glyphs: Glyphs,
    axis: Axis | None = None,
    target: Target | None = None,
) -> list[Line]:
    """Draw curves into `rows` lines of `columns` characters, later ones on top; `limits` is (bottom, top)."""
    if columns <= 0 or rows <= 0:
        return []
    text = [[" "] * columns for _ in range(rows)]
    inks: list[list[Ink | None]] = [[None] * columns for _ in range(rows)]
    draw = _braille if glyphs.braille else _ascii
    draw(traces, text, inks, limits, axis or Axis())
    if target is not None:
        _target(target, text, inks, limits, glyphs)
    return [_line(characters, colours) for characters, colours in zip(text, inks, strict=True)]


def _braille(
    traces: Sequence[Trace],
    text: list[list[str]],
    inks: list[list[Ink | None]],
    limits: tuple[float, float],
    axis: Axis,
) -> None:
    rows, columns = len(text), len(text[0])
    bits = [[0] * columns for _ in range(rows)]
    for one in traces:
        before: int | None = None
        for x, y in enumerate(trace(one.points, columns * 2, *limits, rows * 4, axis)):
            if y is None or (one.dash and x % one.dash >= one.dash - one.gap):
                before = y
                continue
            near = y if before is None else before
            for dot in range(min(y, near + (near < y)), max(y, near - (near > y)) + 1):
                bits[dot // 4][x // 2] |= DOTS[dot % 4][x % 2]
                inks[dot // 4][x // 2] = one.ink
            before = y
    for line, row in zip(text, bits, strict=True):
        line[:] = [chr(BRAILLE + value) if value else " " for value in row]


def _ascii(
    traces: Sequence[Trace],
    text: list[list[str]],
    inks: list[list[Ink | None]],
    limits: tuple[float, float],
    axis: Axis,
) -> None:
    rows, columns = len(text), len(text[0])
    for one in traces:
        for x, y in enumerate(trace(one.points, columns, *limits, rows, axis)):
            if y is not None:
                text[y][x], inks[y][x] = one.mark, one.ink


def _target(
    target: Target,
    text: list[list[str]],
    inks: list[list[Ink | None]],
    limits: tuple[float, float],
    glyphs: Glyphs,
) -> None:
    """A band in the last column with a mark where the end is expected; what lies outside is not drawn."""
    bottom, top = limits
    rows = len(text)

    def row(value: float) -> int:
        return round((top - value) / (top - bottom) * (rows - 1))

    first, last = max(0, row(target.high)), min(rows - 1, row(target.low))
    for y in range(first, last + 1):
        text[y][-1], inks[y][-1] = glyphs.side, Ink.CURVE
    middle = row(target.middle)
    if 0 <= middle < rows:
        text[middle][-1], inks[middle][-1] = glyphs.cross, Ink.CURVE


def _line(characters: Sequence[str], inks: Sequence[Ink | None]) -> Line:
    spans: list[Span] = []
    for character, ink in zip(characters, inks, strict=True):
        role = ink or Ink.PLAIN
        if spans and spans[-1][1] == role:
            spans[-1] = (spans[-1][0] + character, role)
        else:
            spans.append((character, role))
    return tuple(spans)


def chart(
    traces: Sequence[Trace],
    columns: int,
    rows: int,
    glyphs: Glyphs,
    axis: Axis | None = None,
    target: Target | None = None,
) -> list[Line]:
    """A chart with axes: `rows` lines, the last one the share or the time of the budget; empty without room."""
    shown = axis or Axis()
    plot_rows, plot_columns = rows - 1, columns - LABEL - 1
    ends = () if target is None else ((1.0, target.middle),)
    limits = value_range(*(one.points for one in traces), ends, axis=shown)
    if limits is None or plot_rows < 2 or plot_columns < 8:
        return []
    bottom, top, step = limits
    labels = {}
    for k in range(round((top - bottom) / step) + 1):
        value = top - k * step
        labels[round((top - value) / (top - bottom) * (plot_rows - 1))] = value
    digits = max(1, min(4, -math.floor(math.log10(step) + 1e-9) + (step < 1)))
    drawn = plot(traces, plot_columns, plot_rows, (bottom, top), glyphs, shown, target)
    result: list[Line] = []
    for y, body in enumerate(drawn):
        label = f"{labels[y]:{LABEL}.{digits}f}"[:LABEL] if y in labels else " " * LABEL
        result.append(((label, Ink.DIM), (glyphs.side, Ink.RULE), *body))
    return [*result, ((_axis(plot_columns, shown), Ink.DIM),)]


def _axis(columns: int, axis: Axis) -> str:
    marks = [" "] * (LABEL + 1 + columns)
    for place, text in axis.ticks(few=columns < 40):
        start = LABEL + 1 + round(place * (columns - 1)) - (len(text) // 2 if place else 0)
        start = min(start, len(marks) - len(text))
        marks[start : start + len(text)] = text
    return "".join(marks)
