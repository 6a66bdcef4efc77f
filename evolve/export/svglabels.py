"""The names on the lineage's picture: main's way first, by what each step brought, then whoever has room. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from evolve.export.escaping import xml
from evolve.export.labels import Box, Canvas, Label, cut
from evolve.export.layout import Layout, Spot
from evolve.export.svgmarks import paint
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.export.gather import Gathered, Step

_TITLED = 26  # steps of main's way that are named with their titles, at most
_EVERYBODY = 60  # up to so many candidates all of them get their numbers,
_SPARSE = 32  # and up to so many their titles


def labels(gathered: Gathered, layout: Layout, prefix: str, radius: float) -> Iterator[str]:
    """Texts beside marks, with a halo that keeps them legible above lines."""
    canvas = _canvas(gathered, layout, radius)
    placed: list[tuple[Label, bool]] = []
    steps = sorted(gathered.path, key=lambda step: _weight(step, gathered), reverse=True)
    named = set[int]()
    for place, step in enumerate(steps):
        spot = layout.spots.get(step.candidate)
        if spot is None or spot.rail or step.candidate in named:
            continue
        lines = _lines(step, gathered)
        must = place < 2  # the baseline and today's main are named wherever there is any room
        # Many steps close together would be a thicket of lines that lead to their names.
        far = 140.0 if place < _TITLED else 30.0
        label = canvas.place(spot.x, spot.y, lines, 11.5, near=radius * 1.6, far=far, limit=1e9 if must else 75.0)  # fmt: skip
        if label is None:
            label = canvas.place(
                spot.x, spot.y, lines[:1], 11.5, near=radius * 1.6, far=40, limit=60
            )
        if label is not None:
            placed.append((label, True))
            named.add(step.candidate)
    if layout.count <= _EVERYBODY:
        others = [spot for n, spot in layout.spots.items() if n not in named and not spot.rail]
        placed += [
            (label, False) for spot in others if (label := _number(canvas, spot, radius, layout))
        ]
    yield from _drawn(placed, prefix)


def _number(canvas: Canvas, spot: Spot, radius: float, layout: Layout) -> Label | None:
    """The label of one that never was main: with its title where few are on the picture and there is room."""
    candidate = spot.candidate
    offers = [candidate.label]
    if layout.count <= _SPARSE:
        offers.insert(0, cut(f"{candidate.label} {one_line(candidate.title[:400])}", 10, 150))
    for text in offers:
        label = canvas.place(spot.x, spot.y, (text,), 10, near=radius, far=8, limit=14)
        if label is not None:
            return label
    return None


def _weight(step: Step, gathered: Gathered) -> tuple[int, float]:
    """Today's main and the baseline are named first, then the steps that brought most."""
    if step.candidate == gathered.run.incumbent or step.before is None:
        return 1, 0.0
    return 0, step.gain or 0.0


def _lines(step: Step, gathered: Gathered) -> tuple[str, ...]:
    candidate = gathered.candidate(step.candidate)
    head = candidate.label
    if step.gain is not None and step.sd is not None:
        head += f"  {'−' if step.gain >= 0 else '+'}{abs(step.gain):.4f} ± {step.sd:.4f}"
    title = cut(one_line(candidate.title[:400]), 11.5, 210)
    return (head, title) if title else (head,)


def _canvas(gathered: Gathered, layout: Layout, radius: float) -> Canvas:
    """What labels had rather not cover: main's way most of all, then marks."""
    box = layout.plot
    canvas = Canvas(Box(box.left + 2, box.top, box.right + 20, box.bottom - 1))
    light = max(0.6, 6.0 / max(1, layout.count) ** 0.25)
    for spot in layout.spots.values():
        if not spot.rail:
            canvas.mark(spot.x, spot.y, light * (3 if spot.candidate.alive else 1))
            if layout.count <= _EVERYBODY:
                canvas.take(Box(spot.x - radius, spot.y - radius, spot.x + radius, spot.y + radius))
    path = [layout.spots[n] for n in gathered.main if n in layout.spots]
    for before, after in pairwise(path):
        many = int(max(abs(after.x - before.x), abs(after.y - before.y)) / 5) + 1
        shares = [n / many for n in range(many + 1)]
        # The curve of `svglines.curve`: its ends are level, as of a smooth step.
        canvas.stroke(
            (
                (before.x + t * (after.x - before.x), before.y + t * t * (3 - 2 * t) * (after.y - before.y))
                for t in shares
            ),
            9.0,
        )  # fmt: skip
    for spot in path:
        canvas.mark(spot.x, spot.y, 40.0)
    return canvas


def _drawn(placed: list[tuple[Label, bool]], prefix: str) -> Iterator[str]:
    leads = [label.lead for label, _ in placed if label.lead is not None]
    if leads:
        lines = "".join(f"M{a:.1f} {b:.1f}L{c:.1f} {d:.1f}" for a, b, c, d in leads)
        yield f'<path {paint(prefix, "faint")} stroke-width="0.8" opacity="0.8" d="{lines}"/>'
    for is_way, size, name in ((False, 10, "muted"), (True, 11.5, "ink")):
        texts = [label for label, of_way in placed if of_way is is_way]
        if not texts:
            continue
        yield f'<g {paint(prefix, name)} font-size="{size}">'
        yield f'<g {paint(prefix, "halo")} stroke-width="3.5" stroke-linejoin="round" paint-order="stroke">'  # fmt: skip
        for label in texts:
            for place, line in enumerate(label.lines):
                weight = ' font-weight="600"' if is_way and place == 0 else ""
                yield (
                    f'<text x="{label.x:.1f}" y="{label.y + place * size * 1.2:.1f}" text-anchor="{label.anchor}"'
                    f"{weight}>{xml(line)}</text>"
                )
        yield "</g></g>"
