"""The progress as an SVG of our own, which needs no script and no font; also a figure of the report. Pure.

Colours are CSS variables with fallbacks, so a page around it can set them; `STYLE` has those of a file that stands alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape
from typing import TYPE_CHECKING, BinaryIO, Literal

from evolve.export.progress import Dot, Plot, Rung, plot
from evolve.model import NothingToDo
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

WIDTH, HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM, _RAIL = 74, 20, 20, 46, 26
_MANY = 2500  # dots from which on those turned away are one path, without tooltips
_LABELS = 14  # names along main's way
STYLE = """
svg.pg{--card:#fff;--ink:#1d2430;--muted:#5c6675;--rule:#dfe3e8;--dot:#9aa3af;--kept:#0072b2;--main:#00795a;--band:#00795a;--bad:#b34700;
background:#fff}
@media (prefers-color-scheme:dark){svg.pg{--card:#14181e;--ink:#e6e9ee;--muted:#a3adba;--rule:#323a45;--dot:#76808d;--kept:#6db8ea;
--main:#4fd1a5;--band:#4fd1a5;--bad:#f0a070;background:#14181e}}
"""
FIGURE = """
.pg text{font:12px system-ui,sans-serif;fill:var(--muted)}.pg .name{fill:var(--ink);font-size:11.5px;paint-order:stroke;stroke:var(--card);stroke-width:3.5px;stroke-linejoin:round}
.pg .t{font-size:16px;font-weight:600;fill:var(--ink)}
.pg .grid{stroke:var(--rule);stroke-width:1}.pg .rej{fill:var(--dot);opacity:.6}.pg .kept{fill:none;stroke:var(--kept);stroke-width:1.6}
.pg .many{stroke:var(--dot);stroke-width:3.4;stroke-linecap:round;opacity:.5;fill:none}
.pg .way{fill:none;stroke:var(--main);stroke-width:2.5;stroke-linejoin:round}.pg .band{fill:var(--band);opacity:.13}
.pg .main{fill:var(--main)}.pg .fail{stroke:var(--bad);stroke-width:1.5;fill:none;opacity:.8}
"""
By = Literal["trainings", "hours"]


def write_svg(gathered: Gathered, file: BinaryIO) -> None:
    """The figure as a file. Raises NothingToDo before the first score."""
    found = plot(gathered)
    if found.empty:
        raise NothingToDo("Nothing has a score yet, so there is no progress to draw.")
    file.write(progress_svg(found, alone=True).encode("utf-8", "replace"))


def progress_svg(found: Plot, by: By = "trainings", *, alone: bool = False) -> str:
    """The figure; x by trainings of the run or by hours. `alone`: a file with its own colours and title."""
    x = _x_of(found, by)
    y = _y_of(found)
    told = (
        f"Believed score of {found.measured} measured candidates by {by}, lower is better, with the confirmed main as a "
        f"step line: {found.kept} improvements."
    )
    shift = 26 if alone else 0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pg" viewBox="0 {-shift} {WIDTH} {HEIGHT + shift}" role="img" '
        f'aria-label="{_text(told)}">',
        f"<title>{_text(told)}</title>",
    ]
    if alone:
        title = f"{found.name}: {found.measured} experiments, {found.kept} kept improvements"
        parts += [
            f"<style>{STYLE}{FIGURE}</style>",
            f'<text class="t" x="{_LEFT}" y="-6">{_text(title)}</text>',
        ]
    parts += _axes(found, by, x, y)
    parts += _band(found, x, y, by)
    parts += _dots(found, by, x, y)
    parts += _way(found, by, x, y)
    parts.append("</svg>")
    return "".join(parts)


# ---- private ---------------------------------------------------------------------------------------------


def ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    """Round numbers between `low` and `high`, about `wanted` of them."""
    rough = (high - low) / max(1, wanted)
    if rough <= 0 or not math.isfinite(rough):
        return [low]
    power = 10 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 2.5, 5, 10) if m * power >= 0.999 * rough), rough)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def digits_for(low: float, high: float) -> int:
    """Decimals with which ticks between `low` and `high` differ."""
    spread = high - low
    return max(0, min(6, 1 - math.floor(math.log10(spread / 5)))) if spread > 0 else 3


def _x_of(found: Plot, by: By) -> Callable[[Dot | Rung | float], float]:
    most = float(found.trainings if by == "trainings" else found.hours)

    def place(thing: Dot | Rung | float) -> float:
        if isinstance(thing, (Dot, Rung)):
            value = float(thing.trainings if by == "trainings" else thing.hours)
        else:
            value = thing
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(1.0, value / most)

    return place


def _y_of(found: Plot) -> Callable[[float], float]:
    bottom = HEIGHT - _BOTTOM - _RAIL

    def place(level: float) -> float:
        share = (level - found.low) / (found.high - found.low)
        return bottom - (bottom - _TOP) * min(1.0, max(0.0, share))

    return place


def _axes(
    found: Plot, by: By, x: Callable[[Dot | Rung | float], float], y: Callable[[float], float]
) -> Iterable[str]:
    digits = digits_for(found.low, found.high)
    for level in ticks(found.low, found.high):
        at = y(level)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{level:.{digits}f}</text>'
    most = float(found.trainings if by == "trainings" else found.hours)
    places = 0 if by == "trainings" else digits_for(0, most)
    for value in ticks(0, most, 8):
        if by == "trainings" and value != int(value):
            continue
        yield f'<text x="{x(value):.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{value:,.{places}f}</text>'
    yield f'<path class="grid" d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}M{_LEFT} {HEIGHT - _BOTTOM - _RAIL}H{WIDTH - _RIGHT}"/>'
    label = "trainings of the run" if by == "trainings" else "hours since the run began"
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>'
    yield f'<text x="{_LEFT - 8}" y="{HEIGHT - _BOTTOM - 9}" text-anchor="end">failed</text>'
    yield (
        f'<text transform="translate(14 {(HEIGHT - _BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">'
        f"believed score ({_text(found.unit)}), lower is better</text>"
    )


def _corners(
    found: Plot, x: Callable[[Dot | Rung | float], float], by: By
) -> list[tuple[float, float, float]]:
    """Left, right and level of every step of main's way."""
    ends = [x(rung) for rung in found.rungs[1:]]
    last = x(float(found.trainings if by == "trainings" else found.hours))
    return [
        (x(r), end, r.level) for r, end in zip(found.rungs, [*ends, max(last, 0)], strict=False)
    ]


def _band(
    found: Plot, x: Callable[[Dot | Rung | float], float], y: Callable[[float], float], by: By
) -> Iterable[str]:
    for left, right, level in _corners(found, x, by):
        top, bottom = y(level + 2 * found.sigma), y(level - 2 * found.sigma)
        yield (
            f'<rect class="band" x="{left:.1f}" y="{top:.1f}" width="{max(0.0, right - left):.1f}" '
            f'height="{max(0.0, bottom - top):.1f}"/>'
        )


def _dots(
    found: Plot, by: By, x: Callable[[Dot | Rung | float], float], y: Callable[[float], float]
) -> Iterable[str]:
    rail = HEIGHT - _BOTTOM - _RAIL / 2
    many = len(found.dots) > _MANY
    path: list[str] = []
    for dot in found.dots:
        at = x(dot)
        if dot.level is None:
            if dot.word != "running":
                yield _marked(
                    dot, f'<path class="fail" d="M{at - 3:.1f} {rail - 3}l6 6m0-6l-6 6"/>'
                )
        elif dot.level > found.high:
            yield _marked(
                dot,
                f'<path class="rej" d="M{at - 3.5:.1f} {_TOP + 6}l3.5-6l3.5 6z"/>',
                " (far above)",
            )
        elif dot.word == "rejected" and many:
            path.append(f"M{at:.1f} {y(dot.level):.1f}h0")
        elif dot.word != "main":
            name, size = ("kept", 2.7) if dot.word == "kept" else ("rej", 2.4)
            yield _marked(
                dot,
                f'<circle class="{name}" cx="{at:.1f}" cy="{y(dot.level):.1f}" r="{size}"/>',
            )
    if path:
        yield f'<path class="many" d="{"".join(path)}"/>'


def _marked(dot: Dot, shape: str, more: str = "") -> str:
    level = dot.word if dot.level is None else f"{dot.level:.5f}, {dot.word}"
    return (
        f'<a href="#c{dot.number}" tabindex="-1"><g data-id="{dot.number}">'
        f"<title>#{dot.number} {_text(dot.title)}: {level}{more}</title>{shape}</g></a>"
    )


def _way(
    found: Plot, by: By, x: Callable[[Dot | Rung | float], float], y: Callable[[float], float]
) -> Iterable[str]:
    corners = _corners(found, x, by)
    if not corners:
        return
    d = f"M{corners[0][0]:.1f} {y(corners[0][2]):.1f}"
    for left, right, level in corners:
        d += f"H{left:.1f}V{y(level):.1f}H{right:.1f}"
    yield f'<path class="way" d="{d}"/>'
    taken: list[tuple[float, float, float]] = []  # left, right and height of labels
    for place, rung in enumerate(found.rungs):
        at, height = x(rung), y(rung.level)
        yield (
            f'<a href="#c{rung.number}"><g data-id="{rung.number}"><title>#{rung.number} {_text(rung.title)}: '
            f'{rung.level:.5f}, main</title><circle class="main" cx="{at:.1f}" cy="{height:.1f}" r="4.5"/></g></a>'
        )
        named = place in (0, len(found.rungs) - 1) or len(taken) < _LABELS
        if named and (made := _named(rung, at, height, taken)):
            yield made


def _named(
    rung: Rung, at: float, height: float, taken: list[tuple[float, float, float]]
) -> str | None:
    """A label below its step or above it, where no other one is; None where there is no room."""
    words = one_line(f"#{rung.number} {rung.title}", 34)
    width = 6.0 * len(words)
    anchor = "end" if at + width > WIDTH - _RIGHT else "start"
    left = at - width - 6 if anchor == "end" else at + 6
    for shift in (17, -9, 32, -24, 47, -39):
        line = height + shift
        if not _TOP < line < HEIGHT - _BOTTOM - _RAIL - 4:
            continue
        if all(
            right < left or left + width < start or abs(line - other) > 13
            for start, right, other in taken
        ):
            taken.append((left, left + width, line))
            start = left + width if anchor == "end" else left
            return f'<text class="name" x="{start:.1f}" y="{line:.1f}" text-anchor="{anchor}">{_text(words)}</text>'
    return None


def _text(text: str) -> str:
    """Plain text inside of XML: no control characters, no lone surrogates, nothing that is markup."""
    return escape(one_line(text).replace("\ufffe", " ").replace("\uffff", " "))
