"""The lines of the lineage's picture: from parents to children, main's way, and the band of noise around it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from evolve.export.layout import OVER, Layout, Spot
from evolve.export.nodes import ancestors, edges
from evolve.export.svgmarks import paint

if TYPE_CHECKING:
    from evolve.export.gather import Gathered, Step

_FEW = 80  # up to so many candidates failures are tied to their parents, too


def links(gathered: Gathered, layout: Layout, prefix: str) -> Iterator[str]:
    """From parents to children: hairlines to those that were lost, stronger ones to the living and along main's descent."""
    descent = ancestors(gathered)
    drawn: dict[tuple[str, bool], list[str]] = {}
    for edge in edges(gathered):
        parent, child = layout.spots[edge.parent], layout.spots[edge.child]
        if child.rail not in ("", OVER) and layout.count > _FEW:
            continue
        name = "kin" if edge.child in descent else "living" if child.candidate.alive else "faint"
        drawn.setdefault((name, edge.kind == "second"), []).append(curve(parent, child, layout))
    haze = max(0.07, min(0.55, 4.5 / max(1, layout.count) ** 0.5))
    looks = {
        "faint": f'stroke-width="{0.9 if layout.count <= 400 else 0.6}" opacity="{haze:.2f}"',
        "living": f'stroke-width="1.1" opacity="{min(0.75, haze * 2.2):.2f}"',
        "kin": 'stroke-width="1.8" opacity="0.85"',
    }
    for name, look in looks.items():
        for is_second in (True, False):
            if paths := drawn.get((name, is_second)):
                dashed = ' stroke-dasharray="3 3"' if is_second else ""
                yield f'<path {paint(prefix, name)} fill="none" {look}{dashed} d="{"".join(paths)}"/>'


def curve(parent: Spot, child: Spot, layout: Layout) -> str:
    """A line that leaves and arrives level; relative, in whole pixels where there are many, because it is the bulk of the file."""
    dx, dy = child.x - parent.x, child.y - parent.y
    bend = dx / 2 if abs(dx) > 1 else 0.0
    if layout.count > 2000:
        return f"M{parent.x:.0f} {parent.y:.0f}c{bend:.0f} 0 {dx - bend:.0f} {dy:.0f} {dx:.0f} {dy:.0f}"  # fmt: skip
    return f"M{parent.x:.1f} {parent.y:.1f}c{bend:.1f} 0 {dx - bend:.1f} {dy:.1f} {dx:.1f} {dy:.1f}"


def way(gathered: Gathered, layout: Layout, prefix: str) -> Iterator[str]:
    """Main's way from one to the next, bold; dotted where the next one is no child of the one before."""
    steps = [step for step in gathered.path if step.candidate in layout.spots]
    if len(steps) < 2:
        return
    yield f'<g {paint(prefix, "way")} fill="none" stroke-width="3.2" stroke-linecap="round">'
    for before, step in pairwise(steps):
        of, to = layout.spots[before.candidate], layout.spots[step.candidate]
        is_child = before.candidate in to.candidate.parents
        dotted = "" if is_child else ' stroke-dasharray="0.1 6"'
        yield f'<path{dotted} d="{curve(of, to, layout)}"><title>{_told(step)}</title></path>'
    yield "</g>"


def _told(step: Step) -> str:
    if step.gain is None or step.sd is None:
        return f"main moves from #{step.before} to #{step.candidate}"
    sure = f", P(better) {step.better:.2f}" if step.better is not None else ""
    sure += "" if step.confirmed else "; one of the two was trained only once"
    return (
        f"main moves from #{step.before} to #{step.candidate}\n"
        f"better by {step.gain:.4f} ± {step.sd:.4f} bpb by all that is known now{sure}"
    )


def band(gathered: Gathered, layout: Layout, prefix: str) -> Iterator[str]:
    """Two standard deviations of one training around main's score: while it was main, or of today's main over generations."""
    half = 2 * gathered.noise.sigma
    for start, end, score in _reigns(gathered, layout):
        top, bottom = layout.scores(score + half), layout.scores(score - half)
        middle = layout.scores(score)
        yield (
            f'<rect {paint(prefix, "band")} opacity="0.1" x="{start:.1f}" y="{top:.1f}" width="{end - start:.1f}" '
            f'height="{bottom - top:.1f}"/>'
            f'<path {paint(prefix, "stair")} stroke-width="1" stroke-dasharray="2 3" opacity="0.7" '
            f'd="M{start:.1f} {middle:.1f}H{end:.1f}"/>'
        )


def _reigns(gathered: Gathered, layout: Layout) -> Iterator[tuple[float, float, float]]:
    """From where to where on the picture who was main, and its score as it is believed now."""
    known = [step for step in gathered.path if step.candidate in gathered.beliefs]
    box = layout.plot
    if layout.clock is None or not known:
        for step in known[-1:]:
            yield box.left, box.right, gathered.beliefs[step.candidate].mean
        return
    ends = [layout.clock(step.time) for step in known[1:]] + [box.right]
    start = box.left
    for step, end in zip(known, ends, strict=True):
        if end > start:
            yield start, end, gathered.beliefs[step.candidate].mean
        start = max(start, end)
