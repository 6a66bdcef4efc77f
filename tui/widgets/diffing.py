"""What differs between two texts: lines aligned, similar ones paired, and in those the words that changed. Pure.

Lines are first made visible: what a terminal would hide or act on (escape sequences, direction overrides, tabs)
becomes characters that one can see, so that two lines look alike only when they are alike.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from zlib import crc32

LONGEST = 1_000  # characters of a line that are shown
TAB = 4  # columns
EXACT = 1_000_000  # products of lengths up to which lines are matched without heuristics
PAIRED = (
    4_096  # products of lengths up to which the lines of a changed block are paired by likeness
)
ALIKE = 0.5  # share of common words from which two lines are versions of one another
WORDY = 40_000  # products of numbers of words up to which two lines are compared word by word
NOISE = 0.75  # share of changed characters from which marking words says nothing

Marks = tuple[tuple[int, int], ...]  # from, to: characters of a line
_WORDS = re.compile(r"[0-9][\w.]*|\w+|\s+|[^\w\s]")
# What no terminal shows as itself: control, format, private and unassigned characters, odd blanks and line ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


class Kind(StrEnum):
    """What became of a line."""

    SAME = "same"
    CHANGED = "changed"  # in both, side by side
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the left text, of the right one, or of both; lines are counted from 0."""

    kind: Kind
    left: int | None
    right: int | None
    left_marks: Marks = ()
    right_marks: Marks = ()


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two texts beside each other."""

    rows: tuple[Row, ...]
    hunks: tuple[tuple[int, int], ...]  # runs of rows that differ: first, behind the last
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that are the same on both sides and not shown."""

    start: int
    end: int


# ---- characters ------------------------------------------------------------------------------------------


def visible_lines(text: str, *, ascii_only: bool = False) -> tuple[str, ...]:
    """The lines of a text as they are shown. Only `\\n` ends one, as in git; a missing last one makes no difference."""
    lines = text.removesuffix("\n").split("\n")
    return tuple(visible(line, ascii_only=ascii_only) for line in lines)


def visible(line: str, *, ascii_only: bool = False) -> str:
    """A line in which nothing is hidden; what is too long ends in its length and a checksum of what is left out."""
    tail = ""
    if len(line) > LONGEST:
        rest = line[LONGEST:]
        crc = crc32(rest.encode("utf-8", "surrogatepass"))
        tail = f" [{len(rest)} more characters, crc {crc:08x}]"
        line = line[:LONGEST]
    if not (line.isascii() and line.isprintable()):
        line = _shown(line, ascii_only)
    return line + tail


def _shown(line: str, ascii_only: bool) -> str:
    arrow = ">" if ascii_only else "→"
    parts: list[str] = []
    column = 0
    for character in line:
        if character == "\t":
            shown = arrow.ljust(TAB - column % TAB)
        else:
            shown = _character(character, ascii_only)
        parts.append(shown)
        column += len(shown)
    return "".join(parts)


@lru_cache(maxsize=4096)
def _character(character: str, ascii_only: bool) -> str:
    if character.isascii():
        return character if character.isprintable() else f"\\x{ord(character):02x}"
    odd = unicodedata.category(character) in _HIDDEN or "\ufe00" <= character <= "\ufe0f"
    return f"\\u{ord(character):04x}" if odd or ascii_only else character


# ---- lines -----------------------------------------------------------------------------------------------


def align(left: Sequence[str], right: Sequence[str]) -> Alignment:
    """Lay two texts side by side, line by line."""
    rows: list[Row] = []
    hunks: list[tuple[int, int]] = []
    for same, a, b in _blocks(left, right):
        start = len(rows)
        if same:
            rows += [Row(Kind.SAME, i, j) for i, j in zip(a, b, strict=True)]
        else:
            rows += _paired(left, right, a, b)
            hunks.append((start, len(rows)))
    changed = [row for row in rows if row.kind is not Kind.SAME]
    return Alignment(
        tuple(rows),
        tuple(hunks),
        added=sum(row.right is not None for row in changed),
        removed=sum(row.left is not None for row in changed),
    )


def _blocks(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[bool, range, range]]:
    """Runs of lines that are the same or not. What both begin and end with costs no search."""
    most = min(len(left), len(right))
    head = next((i for i in range(most) if left[i] != right[i]), most)
    room = most - head
    tail = next((i for i in range(room) if left[-1 - i] != right[-1 - i]), room)
    if head:
        yield True, range(head), range(head)
    a, b = left[head : len(left) - tail], right[head : len(right) - tail]
    # Beyond this size frequent lines are left out of the search, else hostile ones would take minutes.
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=len(a) * len(b) > EXACT)
    for tag, a1, a2, b1, b2 in matcher.get_opcodes():
        yield tag == "equal", range(head + a1, head + a2), range(head + b1, head + b2)
    if tail:
        ends = range(len(left) - tail, len(left)), range(len(right) - tail, len(right))
        yield True, *ends


def _paired(left: Sequence[str], right: Sequence[str], a: range, b: range) -> Iterator[Row]:
    """The rows of a changed block: like lines face each other, the others fill the gaps between them."""
    done_a, done_b = a.start, b.start
    for i, j in [*_likes(left, right, a, b), (a.stop, b.stop)]:
        yield from _facing(range(done_a, i), range(done_b, j))
        if i < a.stop:
            marks = changed_words(left[i], right[j])
            yield Row(Kind.CHANGED, i, j, *marks)
        done_a, done_b = i + 1, j + 1


def _facing(a: range, b: range) -> Iterator[Row]:
    """Lines that have nothing to do with each other, beside each other all the same."""
    for place in range(max(len(a), len(b))):
        i = a[place] if place < len(a) else None
        j = b[place] if place < len(b) else None
        kind = Kind.ADDED if i is None else Kind.REMOVED if j is None else Kind.CHANGED
        yield Row(kind, i, j)


def _likes(left: Sequence[str], right: Sequence[str], a: range, b: range) -> list[tuple[int, int]]:
    """Pairs of like lines in order, with the largest sum of likeness (an alignment by dynamic programming)."""
    if len(a) * len(b) > PAIRED:
        return []
    words_a, words_b = [_bag(left[i]) for i in a], [_bag(right[j]) for j in b]
    best = [[0.0] * (len(b) + 1) for _ in range(len(a) + 1)]
    like = [[_likeness(x, y) for y in words_b] for x in words_a]
    for i in range(len(a) - 1, -1, -1):
        for j in range(len(b) - 1, -1, -1):
            paired = like[i][j] + best[i + 1][j + 1] if like[i][j] >= ALIKE else 0.0
            best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
    return pairs


def _bag(line: str) -> Counter[str]:
    return Counter(word for word in _WORDS.findall(line) if not word.isspace())


def _likeness(a: Counter[str], b: Counter[str]) -> float:
    """Dice's coefficient of two bags of words: 0 = nothing in common, 1 = the same words."""
    size = a.total() + b.total()
    return 2 * (a & b).total() / size if size else 1.0


# ---- words -----------------------------------------------------------------------------------------------


def changed_words(left: str, right: str) -> tuple[Marks, Marks]:
    """Which characters of two versions of a line changed; nothing where almost everything did."""
    a, b = _WORDS.findall(left), _WORDS.findall(right)
    if len(a) * len(b) > WORDY:
        return (), ()
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    changed = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    ours = _ranges(a, [(code[1], code[2]) for code in changed])
    theirs = _ranges(b, [(code[3], code[4]) for code in changed])
    noisy = _covered(ours, left) > NOISE and _covered(theirs, right) > NOISE
    return ((), ()) if noisy else (ours, theirs)


def _ranges(words: Sequence[str], runs: Sequence[tuple[int, int]]) -> Marks:
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return tuple((starts[first], starts[end]) for first, end in runs if first < end)


def _covered(marks: Marks, line: str) -> float:
    return sum(end - start for start, end in marks) / max(1, len(line.strip()))


# ---- what is shown ---------------------------------------------------------------------------------------


def folded(alignment: Alignment, context: int) -> tuple[Row | Fold, ...]:
    """The rows with what is the same folded away, but for `context` rows around each change."""
    shown: list[Row | Fold] = []
    done = 0
    for start, end in alignment.hunks:
        begin = max(done, start - context)
        if begin > done:
            shown.append(Fold(done, begin))
        stop = min(len(alignment.rows), end + context)
        shown += alignment.rows[begin:stop]
        done = stop
    if done < len(alignment.rows):
        shown.append(Fold(done, len(alignment.rows)))
    return tuple(shown)


def patch(left: str, right: str, names: tuple[str, str]) -> str:
    """A unified diff that `patch` and `git apply` take, "" when there is no difference."""
    a, b = left.splitlines(keepends=True), right.splitlines(keepends=True)
    lines = []
    for line in difflib.unified_diff(a, b, f"a/{names[0]}", f"b/{names[1]}"):
        lines.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(lines)
