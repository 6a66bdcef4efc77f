"""Labels on a picture that cover neither each other nor what they are about: greedy, the most important ones first. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

_NARROW, _WIDE = frozenset("iljtfrI.,:;|!'()[] "), frozenset("mwMW@%—…")


def text_width(text: str, size: float) -> float:
    """About how wide a text is in a common sans serif of `size` pixels; rather too much than too little."""
    ems = 0.0
    for letter in text:
        if letter in _NARROW:
            ems += 0.33
        elif letter in _WIDE:
            ems += 0.92
        elif letter.isupper():
            ems += 0.7
        else:
            ems += 1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.57
    return ems * size * 1.05


def cut(text: str, size: float, width: float) -> str:
    """`text` as far as it fits into `width` pixels, with an ellipsis where it does not."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Have they a common area?"""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Is all of it inside?"""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, slots=True)
class Label:
    """Lines of text beside a point."""

    lines: tuple[str, ...]
    x: float  # of the end at the anchor
    y: float  # baseline of the first line
    anchor: str  # "start" or "end"
    box: Box
    lead: (
        tuple[float, float, float, float] | None
    )  # from the point to the text, where they are apart


@dataclass
class Canvas:
    """Where something is already; a grid of cells counts what a label would cover."""

    area: Box
    cell: float = 8.0
    _taken: list[Box] = field(default_factory=list)
    _weight: dict[tuple[int, int], float] = field(default_factory=dict)

    def mark(self, x: float, y: float, weight: float) -> None:
        """Something is there, which a label had rather not cover."""
        key = (int(x // self.cell), int(y // self.cell))
        self._weight[key] = self._weight.get(key, 0.0) + weight

    def stroke(self, points: Iterable[tuple[float, float]], weight: float) -> None:
        """The same of a line through these points, which stand closer than a cell."""
        for x, y in points:
            self.mark(x, y, weight)

    def take(self, box: Box) -> None:
        """No label may cover this."""
        self._taken.append(box)

    def place(
        self, x: float, y: float, lines: tuple[str, ...], size: float, *, near: float, far: float, limit: float
    ) -> Label | None:  # fmt: skip
        """Put a label beside a point, where it covers least and is near; None where all places cost more than `limit`.

        `near`: pixels that the mark itself takes; `far`: how many it may be away.
        """
        # The first line is bold.
        width = max(text_width(line, size) * (1.0 if place else 1.09) for place, line in enumerate(lines))  # fmt: skip
        height = len(lines) * size * 1.2
        best: tuple[float, Label] | None = None
        for dx, dy, anchor in _offers(near, far, height):
            at, top = x + dx, y + dy
            left = at if anchor == "start" else at - width
            box = Box(left - 2, top - 1, left + width + 2, top + height + 1)
            if not self.area.holds(box) or any(box.meets(other) for other in self._taken):
                continue
            away = max(0.0, abs(dx) - near - 6) + max(0.0, top - y, y - top - height)
            cost = self._covered(box) + away * 0.35
            if best is None or cost < best[0]:
                lead = None
                if away > 14:
                    lead = (x, y - near, at, top + height + 1) if dy < 0 else (x, y + near, at, top)
                best = cost, Label(lines, at, top + size * 0.95, anchor, box, lead)
        if best is None or best[0] > limit:
            return None
        self.take(best[1].box)
        return best[1]

    def _covered(self, box: Box) -> float:
        columns = range(int(box.left // self.cell), int(box.right // self.cell) + 1)
        rows = range(int(box.top // self.cell), int(box.bottom // self.cell) + 1)
        return sum(self._weight.get((column, row), 0.0) for column in columns for row in rows)


def _offers(near: float, far: float, height: float) -> Iterable[tuple[float, float, str]]:
    """Offsets of the text's end and top from the point: below first, for the good is below."""
    yield near + 3, -height / 2, "start"
    yield -near - 3, -height / 2, "end"
    steps = [near + 2 + 12 * n for n in range(int(far / 12) + 1)]
    for down in steps:
        for dx, anchor in (
            (4.0, "start"),
            (-4.0, "end"),
            (24.0, "start"),
            (-24.0, "end"),
            (60.0, "start"),
            (-60.0, "end"),
        ):
            yield dx, down, anchor
            yield dx, -down - height, anchor
