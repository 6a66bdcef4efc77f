"""The lineage as a picture that needs nothing but itself: no script, no font, no network. Pure.

Main's way is bold and named, the noise of one training is a band around it, crossovers hang on two lines, of which the second
is dashed, and failures stand on rails below. Every mark says what it is when a pointer rests on it, and carries `data-id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from evolve.export.escaping import drawn, utf8
from evolve.export.layout import Layout, Spot, lay_out
from evolve.export.nodes import figure, standing
from evolve.export.svgframe import axes, description, header, legend
from evolve.export.svglabels import labels
from evolve.export.svglines import band, links, way
from evolve.export.svgmarks import FATES, KEPT, OPEN, WAY, Fate, cross, fate_of, paint, shape, style

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.export.layout import By

_SINGLE = (
    3000  # beyond so many marks those who were turned away share one element, and have no text
)


def write_svg(gathered: Gathered, file: BinaryIO) -> None:
    """The lineage over time."""
    file.write(utf8(lineage_svg(gathered) + "\n"))


def write_svg_by_generation(gathered: Gathered, file: BinaryIO) -> None:
    """The lineage over generations."""
    file.write(utf8(lineage_svg(gathered, by="generation") + "\n"))


def lineage_svg(
    gathered: Gathered, width: float = 1200, by: By = "time", prefix: str = "lineage", *, paper: bool = True
) -> str:  # fmt: skip
    """An `<svg>` element of `width` pixels, everybody on it.

    `by`: what is across. `prefix`: of all its ids and classes, and its own id, so that a page can hold several. `paper`: with
    a ground of its own, which a page that has one may leave out. Widths below 480 are taken as 480.
    """
    layout = lay_out(gathered, max(480.0, width), by)
    radius = max(1.5, min(6.0, 15.0 / max(1, layout.count) ** 0.24))
    height, explained = legend(gathered, layout, prefix)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{prefix}" role="img" aria-labelledby="{prefix}-t {prefix}-d" '
        f'width="{layout.width:.0f}" height="{height:.0f}" viewBox="0 0 {layout.width:.0f} {height:.0f}" '
        f'font-family="system-ui,-apple-system,\'Segoe UI\',Helvetica,Arial,sans-serif" font-size="12">',
        f'<title id="{prefix}-t">Lineage of {drawn(gathered.run.name, 60)}</title>',
        f'<desc id="{prefix}-d">{description(gathered, layout)}</desc>',
        style(prefix),
        _shapes(prefix, radius, layout),
    ]
    if paper:
        parts.append(f'<rect {paint(prefix, "paper")} width="100%" height="100%"/>')
    parts += header(gathered, layout, prefix)
    parts += axes(gathered, layout, prefix)
    parts.append(f'<g clip-path="url(#{prefix}-clip)">')
    parts += band(gathered, layout, prefix)
    parts.append("</g>")
    parts += links(gathered, layout, prefix)
    parts += _marks(gathered, layout, prefix, radius)
    parts += labels(gathered, layout, prefix, radius)
    return "\n".join([*parts, *explained, "</svg>"])


def _shapes(prefix: str, radius: float, layout: Layout) -> str:
    """The marks that are used, once, and the edge of the plot."""
    operators = sorted({spot.candidate.operator for spot in layout.spots.values()})
    sizes = {fate.key: radius * fate.size for fate in FATES} | {"key": 4.6}  # that of the legend
    paths = [
        f'<path id="{prefix}-{operator}-{name}" d="{shape(operator, size)}"/>'
        for operator in operators
        for name, size in sizes.items()
    ]
    paths.append(f'<path id="{prefix}-x" d="{cross(radius * 0.8)}"/>')
    box = layout.plot
    clip = (
        f'<clipPath id="{prefix}-clip"><rect x="{box.left}" y="{box.top:.1f}" width="{box.right - box.left:.1f}" '
        f'height="{box.bottom - box.top:.1f}"/></clipPath>'
    )
    return f"<defs>{''.join(paths)}{clip}</defs>"


def _marks(gathered: Gathered, layout: Layout, prefix: str, radius: float) -> Iterator[str]:
    """All marks, those of the dead first, so that the living and main's way lie above; main's links between them."""
    members: dict[Fate, list[Spot]] = {fate: [] for fate in FATES}
    on_way = frozenset(gathered.main)
    for spot in layout.spots.values():
        members[fate_of(spot.candidate, on_way)].append(spot)
    for fate in sorted(FATES, key=lambda fate: (fate is WAY, fate in (KEPT, OPEN))):
        if fate is WAY:
            yield from way(gathered, layout, prefix)
        spots = members[fate]
        if not spots:
            continue
        if layout.count > _SINGLE and fate not in (WAY, KEPT, OPEN):
            yield _dots(spots, fate, prefix, radius)
            continue
        line = 1.4 if fate is WAY else 1.1 if layout.count <= 400 else 0.8
        fading = ' opacity="0.75"' if fate.key == "lost" and layout.count > 400 else ""
        yield f'<g {paint(prefix, f"m-{fate.key}")} stroke-width="{line}"{fading}>'
        for spot in spots:
            yield _mark(gathered, spot, fate, prefix)
        yield "</g>"


def _mark(gathered: Gathered, spot: Spot, fate: Fate, prefix: str) -> str:
    failed = fate.key == "failed"
    name = f"{prefix}-x" if failed else f"{prefix}-{spot.candidate.operator}-{fate.key}"
    return (
        f'<use href="#{name}" x="{spot.x:.1f}" y="{spot.y:.1f}" data-id="{spot.candidate.id}">'
        f"<title>{told(gathered, spot)}</title></use>"
    )


def told(gathered: Gathered, spot: Spot) -> str:
    """What a mark says when a pointer rests on it."""
    c = spot.candidate
    trainings = len(c.scores)
    behind = f" of {trainings} training{'s' * (trainings != 1)}" if trainings else ""
    parents = " and ".join(f"#{p}" for p in c.parents)
    made = f"{c.operator} of {parents}" if parents else str(c.operator)
    facts = f"{standing(c)} · {made} · {drawn(c.category, 24)} · {c.commit[:7]}"
    return f"{c.label} {drawn(c.title, 90)}\n{figure(c, gathered)}{behind}\n{facts}"


def _dots(spots: Iterable[Spot], fate: Fate, prefix: str, radius: float) -> str:
    """Many marks as one line of dots."""
    name = "m-failed" if fate.key == "failed" else "d-left" if fate.key == "left" else "d-lost"
    dots = "".join(f"M{spot.x:.0f} {spot.y:.0f}h0" for spot in spots)
    return f'<path {paint(prefix, name)} stroke-width="{2 * radius * fate.size:.1f}" stroke-linecap="round" opacity="0.7" d="{dots}"/>'  # fmt: skip
