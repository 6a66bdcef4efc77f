"""What stands around the lineage's picture: its heading, axes, rails and the legend; and the same in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from evolve.export.escaping import drawn, xml
from evolve.export.labels import cut, text_width
from evolve.export.layout import DROPPED, OVER, WAITING, Layout
from evolve.export.scales import duration
from evolve.export.svgmarks import FATES, fate_of, paint
from evolve.model import Operator, Verdict

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_RAILS = {
    OVER: "worse than shown",
    WAITING: "no score yet",
    DROPPED: "dropped",
    "ok": "score voided",
}


def facts(gathered: Gathered) -> list[str]:
    """What the heading says, as separate phrases."""
    people = gathered.everybody
    verdicts = Counter(c.verdict for c in people)
    told = [f"{len(people):,} candidate{'s' * (len(people) != 1)}"]
    told.append(f"{sum(c.alive for c in people):,} alive")
    told.append(f"main moved {max(0, len(gathered.path) - 1)}×")
    if verdicts[Verdict.FAILED]:
        told.append(f"{verdicts[Verdict.FAILED]:,} failed")
    told.append(duration(max(0.0, (gathered.run.finished or gathered.at) - gathered.run.created)))
    return told


def outcome(gathered: Gathered) -> str:
    """Where main stands, beside where it began."""
    main, path = gathered.run.incumbent, gathered.path
    if main is None or main not in gathered.beliefs:
        return "main holds nothing yet"
    now = gathered.beliefs[main]
    text = f"main is #{main} at {now.mean:.4f} ± {now.sd:.4f} bpb"
    if path and path[0].candidate != main and path[0].candidate in gathered.beliefs:
        then = gathered.beliefs[path[0].candidate]
        text += f"; it began with #{path[0].candidate} at {then.mean:.4f} ± {then.sd:.4f}"
    return text


def description(gathered: Gathered, layout: Layout) -> str:
    """The picture in words, for those who do not see it."""
    across = "time" if layout.by == "time" else "generation"
    way = ", ".join(f"#{number}" for number in gathered.main[:200]) or "nobody yet"
    fails = ", ".join(f"{_RAILS.get(rail.name, rail.name)}: {rail.count}" for rail in layout.rails)
    return xml(
        f"{'; '.join(facts(gathered))}. {outcome(gathered)}. Across is {across}, upwards the score as it is believed, so that "
        f"better ones stand further down. Main's way: {way}."
        + (f" Without a place: {fails}." if fails else "")
    )


def header(gathered: Gathered, layout: Layout, prefix: str) -> Iterator[str]:
    """Name, facts, and where main stands."""
    room = layout.width - 48
    name = cut(gathered.run.name, 19, room - 120)
    yield (
        f'<g {paint(prefix, "ink")}><text x="24" y="30" font-size="19" font-weight="600">Lineage of {drawn(name, 60)}</text>'
        f'<text x="24" y="50" font-size="13">{xml(cut(_sentence(outcome(gathered)), 13, room))}</text></g>'
    )
    line = cut(" · ".join(facts(gathered)), 12, room)
    yield f'<text {paint(prefix, "muted")} x="24" y="67">{xml(line)}</text>'


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def axes(gathered: Gathered, layout: Layout, prefix: str) -> Iterator[str]:
    """Grid, figures, what they are, and the rails."""
    box = layout.plot
    ticks = [tick for tick in layout.scores.ticks(9) if box.top + 2 <= tick.at <= box.bottom + 1]
    lines = "".join(f"M{box.left:.1f} {tick.at:.1f}H{box.right:.1f}" for tick in ticks)
    base = f"M{box.left:.1f} {box.bottom:.1f}H{box.right:.1f}"
    yield f'<path {paint(prefix, "grid")} fill="none" d="{lines}{base}"/>'
    yield f'<g {paint(prefix, "muted")} font-size="11">'
    for tick in ticks:
        yield f'<text x="{box.left - 8:.1f}" y="{tick.at + 4:.1f}" text-anchor="end">{tick.text}</text>'  # fmt: skip
    # Turned text at the left, so that nobody takes a descent for a decline.
    middle = (box.top + box.bottom) / 2
    what = "score as believed, bpb · better is further down ↓"
    yield f'<text transform="translate(18 {middle:.1f}) rotate(-90)" text-anchor="middle">{what}</text>'  # fmt: skip
    foot = _foot(layout)
    for tick in layout.across:
        yield f'<text x="{tick.at:.1f}" y="{foot:.1f}" text-anchor="middle">{xml(tick.text)}</text>'
    about = "generation" if layout.clock is None else "time since the first candidate"
    yield f'<text x="{box.right:.1f}" y="{foot + 16:.1f}" text-anchor="end">{about}</text></g>'
    yield from _pauses(layout, prefix)
    yield from _rails(layout, prefix)


def _foot(layout: Layout) -> float:
    """The base line of the figures of the axis across, below all rails."""
    return max([layout.plot.bottom + 4, *(rail.y for rail in layout.rails)]) + 20


def _pauses(layout: Layout, prefix: str) -> Iterator[str]:
    """Where the axis of time was cut short."""
    if layout.clock is None:
        return
    box = layout.plot
    for at, seconds in layout.clock.pauses:
        yield (
            f'<path {paint(prefix, "faint")} fill="none" stroke-dasharray="1 4" d="M{at:.1f} {box.top:.1f}V{box.bottom:.1f}"/>'
            f'<text {paint(prefix, "muted")} font-size="10" x="{at:.1f}" y="{box.top + 10:.1f}" text-anchor="middle">'
            f"pause of {duration(seconds)}</text>"
        )


def _rails(layout: Layout, prefix: str) -> Iterator[str]:
    box = layout.plot
    for rail in layout.rails:
        name = _RAILS.get(rail.name, rail.name)
        yield (
            f'<path {paint(prefix, "rail")} d="M{box.left:.1f} {rail.y:.1f}H{box.right:.1f}"/>'
            f'<text {paint(prefix, "muted")} font-size="10.5" x="{box.left - 8:.1f}" y="{rail.y + 3.5:.1f}" '
            f'text-anchor="end">{_short(name)} {rail.count}</text>'
        )


def _short(name: str) -> str:
    return "worse" if name == _RAILS[OVER] else "no score" if name == _RAILS[WAITING] else drawn(name, 9)  # fmt: skip


def legend(gathered: Gathered, layout: Layout, prefix: str) -> tuple[float, list[str]]:
    """Where the picture ends, and shapes and fills that occur and the lines, in as many rows as they need."""
    way = frozenset(gathered.main)
    people = [spot.candidate for spot in layout.spots.values()]
    operators = Counter(c.operator for c in people)
    fates = Counter(fate_of(c, way) for c in people)
    items = [(_mark(prefix, "m-open", f"{op}-key"), f"{op} {operators[op]:,}") for op in Operator if operators[op]]  # fmt: skip
    for fate in FATES:
        if fates[fate]:
            name = "x" if fate.key == "failed" else f"{_common(operators)}-key"
            items.append((_mark(prefix, f"m-{fate.key}", name), f"{fate.about} {fates[fate]:,}"))
    if len(way) > 1:
        items.append((_stroke(prefix, "way", 3.2, ""), "main's way"))
        items.append((_stroke(prefix, "way", 3.2, ' stroke-dasharray="0.1 6" stroke-linecap="round"'), "to one that is no child of it"))  # fmt: skip
        items.append((_stroke(prefix, "kin", 1.8, ""), "main's ancestors"))
    if operators[Operator.CROSSOVER]:
        items.append((_stroke(prefix, "living", 1.4, ' stroke-dasharray="3 3"'), "second parent"))
    items.append((f'<rect {paint(prefix, "band")} opacity="0.18" x="-3" y="-6" width="24" height="12"/>', "main ± 2σ of one training"))  # fmt: skip
    return _flow(items, layout, prefix)


def _common(operators: Counter[Operator]) -> Operator:
    return operators.most_common(1)[0][0]


def _mark(prefix: str, name: str, shape: str) -> str:
    return f'<use {paint(prefix, name)} stroke-width="1.1" href="#{prefix}-{shape}" x="9" y="0"/>'


def _stroke(prefix: str, name: str, width: float, more: str) -> str:
    return f'<path {paint(prefix, name)} stroke-width="{width}"{more} d="M-2 0H20"/>'


def _flow(items: list[tuple[str, str]], layout: Layout, prefix: str) -> tuple[float, list[str]]:
    x, y = layout.plot.left, _foot(layout) + 40
    parts = [f'<g {paint(prefix, "muted")} font-size="11">']
    for mark, text in items:
        wide = 28 + text_width(text, 11) + 14
        if x + wide > layout.width - 12:
            x, y = layout.plot.left, y + 20
        parts.append(f'<g transform="translate({x:.1f} {y:.1f})">{mark}<text x="27" y="4">{xml(text)}</text></g>')  # fmt: skip
        x += wide
    return y + 22, [*parts, "</g>"]
