"""Text as data: a line is a tuple of spans, a span is a piece of text with a role (its ink).

Everything that the app paints is made of these, so a painter is a pure function that a test can read. What
candidates and language models wrote is only ever data here: control characters are removed, nothing is
interpreted as markup, and no line can grow wider than it was asked to be.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from rich.cells import get_character_cell_size


class Ink(StrEnum):
    """What a piece of text means; the canvas decides how that looks. Never hue alone: words carry it too."""

    PLAIN = "plain"
    DIM = "dim"
    BOLD = "bold"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    CURVE = "curve"  # the running candidate
    RIVAL = "rival"  # what main holds
    RULE = "rule"
    CURSOR = "cursor"
    # of a script: signs and reverse say what changed, the colours only repeat it
    KEYWORD = "keyword"
    DEFINED = "defined"  # the name of a function or a class where it is made
    STRING = "string"
    NUMBER = "number"
    COMMENT = "comment"
    ADDED = "added"
    REMOVED = "removed"
    ADDED_WORD = "added word"
    REMOVED_WORD = "removed word"


Span = tuple[str, Ink]
Line = tuple[Span, ...]
Cell = tuple[str, Ink]  # the text of one column; "" is the right half of a wide character


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The symbols of the screen: line drawing and braille, or plain ASCII."""

    rule: str
    side: str
    full: str
    empty: str
    ellipsis: str
    dot: str
    arrow: str
    times: str
    sigma: str
    plus_minus: str
    braille: bool
    solid: str  # of the legend
    dashed: str
    dotted: str
    cross: str  # where a curve is expected to end
    opened: str  # a branch whose children are shown
    closed: str
    trunk: str  # on the way to main
    up: str  # sorted with the smallest first
    down: str


UNICODE = Glyphs(
    "─",
    "│",
    "█",
    "░",
    "…",
    "·",
    "←",
    "×",
    "σ",
    "±",
    True,
    "──",
    "┄┄",
    "··",
    "┼",
    "▾",
    "▸",
    "┃",
    "▴",
    "▾",
)
ASCII = Glyphs(
    "-",
    "|",
    "#",
    ".",
    "..",
    "-",
    "<-",
    "x",
    "sigma",
    "+-",
    False,
    "**",
    "..",
    "::",
    "o",
    "v",
    ">",
    "=",
    "^",
    "v",
)

# Cs, Co, Cn: not characters; Zl, Zp: line ends in disguise; Cf: bidi overrides and joiners that change widths.
_REMOVED = frozenset({"Cf", "Cs", "Co", "Cn"})
_SPACED = frozenset({"Cc", "Zl", "Zp", "Zs"})


def plain(text: str, *, ascii_only: bool = False) -> str:
    """Return `text` as one printable line: control characters become spaces, invisible ones vanish."""
    if text.isascii() and text.isprintable():
        return text
    kept = []
    for character in text:
        kind = unicodedata.category(character)
        if kind in _SPACED:
            kept.append(" ")
        elif kind in _REMOVED or "︀" <= character <= "️":
            continue
        else:
            kept.append(character if character.isascii() or not ascii_only else "?")
    return "".join(kept)


@lru_cache(maxsize=4096)
def _width(character: str) -> int:
    return get_character_cell_size(character)


def width(text: str) -> int:
    """Columns that `text` takes."""
    return len(text) if text.isascii() else sum(_width(character) for character in text)


def line_width(line: Line) -> int:
    """Columns that a line takes."""
    return sum(width(text) for text, _ in line)


def cells(line: Line) -> list[Cell]:
    """Split a line into its columns. A zero-width character joins the column before it."""
    result: list[Cell] = []
    for text, ink in line:
        if text.isascii():
            result.extend((character, ink) for character in text)
            continue
        for character in text:
            size = _width(character)
            if size == 0:
                if result:
                    before, its_ink = result[-1]
                    result[-1] = (before + character, its_ink)
                continue
            result.append((character, ink))
            result.extend(("", ink) for _ in range(size - 1))
    return result


def cut(text: str, columns: int, glyphs: Glyphs) -> str:
    """Shorten `text` to at most `columns` columns, with an ellipsis where something was lost."""
    if width(text) <= columns:
        return text
    room = columns - len(glyphs.ellipsis)
    if room <= 0:
        return glyphs.ellipsis[: max(0, columns)]
    kept, used = [], 0
    for character in text:
        used += _width(character)
        if used > room:
            break
        kept.append(character)
    return "".join(kept).rstrip() + glyphs.ellipsis


def fit(line: Line, columns: int) -> Line:
    """Return `line` with exactly `columns` columns: cut at the right, or padded with blanks."""
    if line_width(line) == columns and all(text for text, _ in line):
        return line
    result: list[Span] = []
    left = columns
    for text, ink in line:
        size = width(text)
        if size <= left:
            result.append((text, ink))
            left -= size
            continue
        kept = ""
        for character in text:
            if _width(character) > left:
                break
            kept += character
            left -= _width(character)
        result.append((kept, ink))
        break
    if left:
        result.append((" " * left, Ink.PLAIN))
    return tuple(span for span in result if span[0])


def row(left: Line, right: Line, columns: int) -> Line:
    """`left` at the left edge and `right` at the right one; the left part gives way."""
    room = max(0, columns - line_width(right))
    return fit(fit(left, room) + right, columns)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a one-line summary. The highest `rank` is left out first when the line is too long."""

    rank: int
    text: str
    ink: Ink = Ink.PLAIN


def pack(parts: Sequence[Part], columns: int, gap: str = "  ") -> Line:
    """Join the most important parts, in their order, into at most `columns` columns."""
    kept = [part for part in parts if part.text]
    while len(kept) > 1 and _joined(kept, gap) > columns:
        kept.remove(max(reversed(kept), key=lambda part: part.rank))
    spans: list[Span] = []
    for part in kept:
        if spans:
            spans.append((gap, Ink.DIM))
        spans.append((part.text, part.ink))
    return tuple(spans)


def _joined(parts: Sequence[Part], gap: str) -> int:
    return sum(width(part.text) for part in parts) + width(gap) * (len(parts) - 1)


def rule(left: Line, right: Line, columns: int, glyphs: Glyphs) -> Line:
    """A title rule: `─ left ───────── right ─`."""
    head: Line = ((f"{glyphs.rule} ", Ink.RULE), *left, (" ", Ink.RULE)) if left else ()
    tail: Line = ((" ", Ink.RULE), *right, (f" {glyphs.rule}", Ink.RULE)) if right else ()
    if tail and line_width(head) + line_width(tail) > columns:
        tail = ()
    gap = columns - line_width(head) - line_width(tail)
    return fit((*head, (glyphs.rule * max(0, gap), Ink.RULE), *tail), columns)


def wrap(text: str, columns: int) -> list[str]:
    """Break `text` into lines of at most `columns` columns at blanks, or inside words that are too long."""
    lines: list[str] = []
    current = ""
    for word in text.split(" "):
        while width(word) > columns > 0:
            taken = word[: max(1, columns - width(current) - bool(current))]
            lines.append(f"{current} {taken}" if current else taken)
            current, word = "", word[len(taken) :]
        if current and width(current) + 1 + width(word) > columns:
            lines.append(current)
            current = word
        else:
            current = f"{current} {word}" if current else word
    lines.append(current)
    return lines


def same_ink(line: Line, ink: Ink) -> Line:
    """The line in a single ink, as for the row under the cursor."""
    return (("".join(text for text, _ in line), ink),)


def text_of(lines: Iterable[Line]) -> str:
    """The lines as plain text, for tests, for copying, and for terminals that only want words."""
    return "\n".join("".join(text for text, _ in line) for line in lines)


# ---- numbers for people --------------------------------------------------------------------------------


def clock(seconds: float) -> str:
    """`3:07` or `2:31:20`."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{secs:02}" if hours else f"{minutes}:{secs:02}"


def count(number: float) -> str:
    """`950`, `12.3k`, `412k`, `1.2M`."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            value = number / size
            return f"{value:.0f}{unit}" if value >= 100 else f"{value:.1f}{unit}"
    return f"{number:.0f}"


def times(number: int, one: str, many: str = "") -> str:
    """`1 child`, `3 children`, `2 trainings`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def bpb(score: float | None) -> str:
    """`0.9712`, or a dash when there is no score."""
    return "-" if score is None else f"{score:.4f}"


def bar(fraction: float, columns: int, glyphs: Glyphs) -> str:
    """A determinate bar of `columns` columns."""
    full = round(min(1.0, max(0.0, fraction)) * columns)
    return glyphs.full * full + glyphs.empty * (columns - full)
