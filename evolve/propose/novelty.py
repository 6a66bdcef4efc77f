"""Says when a proposal is an old one in other words: the same code but for a third digit, or a dead end once more.

Pure, and without embeddings: the normal form with rounded numbers, and the tokens of what changed. A proposer that is
not told so repeats itself (karpathy/autoresearch #590: 42 of 43 proposals were one idea; ShinkaEvolve gates by an
embedding and a judge). The move of a constant in another direction, or by clearly more or less, is new.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from evolve.propose.vetting import Problem, normalise
from evolve.syntax import parse

DIGITS = 2  # significant ones, beyond which two numbers count as the same
EXACT_BELOW = 100  # whole numbers below this are counts and sizes, and never rounded
ALIKE = 0.9  # share of what two changes have in common, from which they are one
CLEARLY = 0.1  # relative difference from which a number is another one

_NUMBER = re.compile(r"(?<![\w.])(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?!\w)")
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PLACE = "#"  # of a number in a line; no token of Python's

Shingle = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a version changed in its parent, with the numbers taken out of the lines."""

    shingles: tuple[tuple[Shingle, int], ...]  # of removed and added lines, with how often
    numbers: tuple[tuple[str, tuple[float, ...]], ...]  # of each added line; equal lines in order

    @property
    def size(self) -> int:
        """How much it is."""
        return sum(count for _, count in self.shingles)


@dataclass(frozen=True, slots=True)
class Precedent:
    """An earlier version, as far as it says what is new."""

    id: int
    form: str  # `rounded` of its source
    change: Change | None = None  # against its first parent; None without one
    fate: str = ""  # where it was a dead end: "was rejected", "ran out of memory"; else empty


def novel(source: str, parents: Sequence[str], precedents: Sequence[Precedent]) -> Problem | None:
    """Why a vetted `source` is nothing new beside `precedents`, or None. `parents`: sources, the edited one first.

    Raises SyntaxError.
    """
    form = rounded(source)
    for parent in parents:
        if form == rounded(parent):
            return Problem(
                "novelty", "it hardly differs from its parent: no number has other first digits"
            )
    for known in precedents:
        if form == known.form:
            words = f"it is #{known.id} again, with numbers that hardly differ"
            return Problem("novelty", words + (f"; that one {known.fate}" if known.fate else ""))
    ours = change(parents[0], source) if parents else None
    for known in precedents:
        if (
            ours
            and known.fate
            and known.change
            and (share := likeness(ours, known.change)) >= ALIKE
        ):
            return Problem(
                "novelty",
                f"it repeats #{known.id}, which {known.fate}: {share:.0%} of what it changes is the same, and no "
                f"number differs by more than {CLEARLY:.0%}",
            )
    return None


def rounded(source: str) -> str:
    """A key of the normal form with its numbers rounded to `DIGITS` significant digits. Raises SyntaxError."""
    return sha256(_rounded_form(source).encode()).hexdigest()


@lru_cache(maxsize=64)
def change(parent: str, source: str) -> Change:
    """What `source` changes in `parent`, both in their normal form, whatever was only moved. Raises SyntaxError."""
    before, after = Counter(_lines(parent)), Counter(_lines(source))
    removed, added = before - after, after - before
    shingles: Counter[Shingle] = Counter()
    for sign, lines in (("-", removed), ("+", added)):
        for line in lines.elements():
            shingles.update(_shingles(sign, _NUMBER.sub(_PLACE, line)))
    numbers = sorted((_NUMBER.sub(_PLACE, line), _numbers(line)) for line in added.elements())
    return Change(tuple(sorted(shingles.items())), tuple(numbers))


def holds(source: str, parent: str, child: str) -> bool:
    """Does `source` do already what `child` changes in `parent`: has it all new lines, and none of the old ones?

    All in the normal form, with rounded numbers. Raises SyntaxError.
    """
    ours, before, after = (Counter(_rounded_lines(text)) for text in (source, parent, child))
    added, removed = after - before, before - after
    return added <= ours and all(ours[line] <= after[line] for line in removed)


def likeness(a: Change, b: Change) -> float:
    """How alike two changes are, 0…1: the share of token triples that they have in common; 0 where a number of theirs
    is clearly another one."""
    total = a.size + b.size
    if not total or _clearly_other(a, b):
        return 0.0
    left, right = Counter(dict(a.shingles)), Counter(dict(b.shingles))
    return 2 * (left & right).total() / total


def _clearly_other(a: Change, b: Change) -> bool:
    """Does a line that both add hold a number that differs by more than `CLEARLY`?"""
    theirs: dict[str, list[tuple[float, ...]]] = {}
    for line, numbers in b.numbers:
        theirs.setdefault(line, []).append(numbers)
    for line, numbers in a.numbers:
        rivals = theirs.get(line)
        if rivals and not any(_near(numbers, rival) for rival in rivals):
            return True
    return False


def _near(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    return all(
        abs(x - y) <= CLEARLY * max(abs(x), abs(y)) for x, y in zip(ours, theirs, strict=True)
    )


def _round(value: float) -> float:
    if isinstance(value, bool) or (isinstance(value, int) and value < EXACT_BELOW):
        return value
    return float(f"{value:.{DIGITS}g}") if abs(value) < 1e300 else value


@lru_cache(maxsize=64)
def _rounded_form(source: str) -> str:
    tree = parse(normalise(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
            node.value = _round(node.value)
    return ast.unparse(tree)


def _rounded_lines(source: str) -> list[str]:
    return [line.strip() for line in _rounded_form(source).splitlines() if line.strip()]


def _lines(source: str) -> list[str]:
    return [line.strip() for line in normalise(source).splitlines() if line.strip()]


def _numbers(line: str) -> tuple[float, ...]:
    return tuple(float(number.replace("_", "")) for number in _NUMBER.findall(line))


def _shingles(sign: str, line: str) -> Iterator[Shingle]:
    """Triples of tokens of one line, its sign in front and an end behind, so that the shortest line has one too."""
    tokens = [sign, *_TOKEN.findall(line), ""]
    return zip(tokens, tokens[1:], tokens[2:], strict=False)
