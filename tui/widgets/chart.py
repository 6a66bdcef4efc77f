"""Draws training curves in a grid of characters: braille (2x4 dots a cell) or plain ASCII. Pure.

The running candidate is a solid line, the incumbent a dashed one, so that the two are told apart without
colour. The vertical range moves in nice steps only, or every frame would repaint the whole chart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tui.widgets.ink import Glyphs, Ink, Line, Span

Points = Sequence[tuple[float, float]]  # (fraction of the budget 0…1, loss in nats), in order

BRAILLE = 0x2800
# Dot bits of a braille cell, by row and then by column.
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
WARMUP = 0.1  # the first losses are so high that they would flatten everything after them
DASH = 6  # dot columns of a dash and its gap of two
LABEL = 6  # columns of the axis labels


def nice_range(low: float, high: float, steps: int = 4) -> tuple[float, float, float]:
    """Widen `low`…`high` to round numbers. Returns `(bottom, top, step)`."""
    span = max(high - low, abs(high) * 1e-3, 1e-6)
    raw = span / steps
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999)
    bottom = math.floor(low / step + 1e-9) * step
    top = math.ceil(high / step - 1e-9) * step
    return bottom, max(top, bottom + step), step


def value_range(*curves: Points) -> tuple[float, float, float] | None:
    """The vertical range for these curves, or None when there is nothing to draw."""
    values = [loss for points in curves for _, loss in points if math.isfinite(loss)]
    late = [loss for points in curves for x, loss in points if x >= WARMUP and math.isfinite(loss)]
    chosen = late if len(late) > 1 else values
    return nice_range(min(chosen), max(chosen)) if chosen else None


def trace(points: Points, columns: int, bottom: float, top: float, rows: int) -> list[int | None]:
    """The dot row (0 = top) of a curve in each of `columns` dot columns; None where it has no value."""
    heights: list[int | None] = [None] * columns
    clean = [(x, y) for x, y in points if math.isfinite(y) and 0.0 <= x <= 1.0]
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
    curve: Points,
    rival: Points,
    columns: int,
    rows: int,
    limits: tuple[float, float],
    glyphs: Glyphs,
) -> list[Line]:
    """Draw both curves into `rows` lines of `columns` characters; `limits` is (bottom, top)."""
    if columns <= 0 or rows <= 0:
        return []
    inks: list[list[Ink | None]] = [[None] * columns for _ in range(rows)]
    text = (
        _braille(curve, rival, columns, rows, limits, inks)
        if glyphs.braille
        else _ascii(curve, rival, columns, rows, limits, inks)
    )
    return [_line(characters, colours) for characters, colours in zip(text, inks, strict=True)]


def _braille(
    curve: Points,
    rival: Points,
    columns: int,
    rows: int,
    limits: tuple[float, float],
    inks: list[list[Ink | None]],
) -> list[list[str]]:
    bits = [[0] * columns for _ in range(rows)]
    for points, ink in ((rival, Ink.RIVAL), (curve, Ink.CURVE)):
        heights = trace(points, columns * 2, *limits, rows * 4)
        before: int | None = None
        for x, y in enumerate(heights):
            if y is None or (ink is Ink.RIVAL and x % DASH >= DASH - 2):
                before = y
                continue
            near = y if before is None else before
            for dot in range(min(y, near + (near < y)), max(y, near - (near > y)) + 1):
                bits[dot // 4][x // 2] |= DOTS[dot % 4][x % 2]
                inks[dot // 4][x // 2] = ink
            before = y
    return [[chr(BRAILLE + value) if value else " " for value in line] for line in bits]


def _ascii(
    curve: Points,
    rival: Points,
    columns: int,
    rows: int,
    limits: tuple[float, float],
    inks: list[list[Ink | None]],
) -> list[list[str]]:
    text = [[" "] * columns for _ in range(rows)]
    for points, ink, mark in ((rival, Ink.RIVAL, "."), (curve, Ink.CURVE, "*")):
        for x, y in enumerate(trace(points, columns, *limits, rows)):
            if y is not None:
                text[y][x], inks[y][x] = mark, ink
    return text


def _line(characters: Sequence[str], inks: Sequence[Ink | None]) -> Line:
    spans: list[Span] = []
    for character, ink in zip(characters, inks, strict=True):
        role = ink or Ink.PLAIN
        if spans and spans[-1][1] == role:
            spans[-1] = (spans[-1][0] + character, role)
        else:
            spans.append((character, role))
    return tuple(spans)


def chart(curve: Points, rival: Points, columns: int, rows: int, glyphs: Glyphs) -> list[Line]:
    """A chart with axes: `rows` lines, the last one the share of the budget."""
    plot_rows, plot_columns = rows - 1, columns - LABEL - 1
    limits = value_range(curve, rival)
    if limits is None or plot_rows < 2 or plot_columns < 8:
        return []
    bottom, top, step = limits
    labels = {}
    for k in range(round((top - bottom) / step) + 1):
        value = top - k * step
        labels[round((top - value) / (top - bottom) * (plot_rows - 1))] = value
    digits = max(1, min(4, -math.floor(math.log10(step) + 1e-9) + (step < 1)))
    result: list[Line] = []
    for y, body in enumerate(plot(curve, rival, plot_columns, plot_rows, (bottom, top), glyphs)):
        label = f"{labels[y]:{LABEL}.{digits}f}"[:LABEL] if y in labels else " " * LABEL
        result.append(((label, Ink.DIM), (glyphs.side, Ink.RULE), *body))
    return [*result, ((_axis(plot_columns), Ink.DIM),)]


def _axis(columns: int) -> str:
    marks = [" "] * (LABEL + 1 + columns)
    shares = (0, 25, 50, 75, 100) if columns >= 40 else (0, 50, 100)
    for share in shares:
        text = f"{share}%"
        start = LABEL + 1 + round(share / 100 * (columns - 1)) - (len(text) // 2 if share else 0)
        start = min(start, len(marks) - len(text))
        marks[start : start + len(text)] = text
    return "".join(marks)
