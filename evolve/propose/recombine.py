"""Crossover without a language model: a three-way merge of two parents over their common ancestor.

What only one parent changed is taken from it; where both changed the same lines, one of them wins, and numbers
that both moved may meet in the middle. Pure text; whether the child is any good is for the harness to say.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from evolve.propose.knobs import Turn, apply_turns, find_knobs
from evolve.propose.lessons import number
from evolve.propose.moves import literal
from evolve.propose.spans import parsed

UNION = 0.6  # share of crossovers that take everything that does not collide
MAX_CHANGES = 12  # named in a proposal


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `start`…`end` of a base are replaced by `lines`; an insertion has start == end."""

    start: int
    end: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recombination:
    """A child of two sources."""

    source: str
    changes: tuple[str, ...]  # against the first parent


def recombine(
    first: str, second: str, base: str | None, rng: random.Random, labels: tuple[str, str]
) -> Recombination | None:
    """Mix two sources; None when nothing new comes of it or the outcome does not parse.

    `base` is the common ancestor's source; without one, some of what `second` does differently is taken into
    `first`. `labels` name the parents in the changes, as "#3" and "#5".
    """
    merged = _merge(first, second, base or first, rng)
    if merged is None or not _parses(merged):
        return None
    child = _blend(merged, first, second, base, rng)
    if child in {first, second}:
        return None
    changes = _changes(first, child, labels)
    return Recombination(child, changes) if changes else None


@lru_cache(maxsize=16)
def hunks(base: str, other: str) -> tuple[Hunk, ...]:
    """What makes `other` of `base`; runs of changed lines are cut line by line where they match in number."""
    old, new = base.splitlines(), other.splitlines()
    found: list[Hunk] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        if i2 - i1 == j2 - j1:
            found += [Hunk(i1 + n, i1 + n + 1, (new[j1 + n],)) for n in range(i2 - i1)]
        else:
            found.append(Hunk(i1, i2, tuple(new[j1:j2])))
    return tuple(found)


def merge(base: str, chosen: Sequence[Hunk]) -> str:
    """`base` with hunks that do not collide."""
    lines = base.splitlines()
    for hunk in sorted(chosen, key=lambda h: (h.start, h.end), reverse=True):
        lines[hunk.start : hunk.end] = hunk.lines
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=32)
def definitions(source: str) -> dict[str, str]:
    """Functions and methods by name ("Block.forward"), without comments and layout; the rest is "script"."""
    found: dict[str, str] = {}
    rest: list[str] = []
    for statement in parsed(source).tree.body:
        if isinstance(statement, ast.FunctionDef):
            found[statement.name] = ast.unparse(statement)
        elif isinstance(statement, ast.ClassDef):
            for part in statement.body:
                name = part.name if isinstance(part, ast.FunctionDef) else "fields"
                key = f"{statement.name}.{name}"
                found[key] = found.get(key, "") + ast.unparse(part) + "\n"
        elif not isinstance(statement, (ast.Assign, ast.AnnAssign)):
            rest.append(ast.unparse(statement))
    return {**found, "script": "\n".join(rest)}


# ---- steps ---------------------------------------------------------------------------------------------


def _merge(first: str, second: str, base: str, rng: random.Random) -> str | None:
    ours = list(hunks(base, first))
    theirs = [hunk for hunk in hunks(base, second) if hunk not in ours]
    free = [hunk for hunk in theirs if not any(_collide(hunk, own) for own in ours)]
    disputed = [hunk for hunk in theirs if hunk not in free]
    taken = list(free)
    if not ours or rng.random() > UNION:
        taken = _some(free, rng, proper=not ours)
    for hunk in disputed:
        if rng.random() < 0.5:
            ours = [own for own in ours if not _collide(hunk, own)]
            taken.append(hunk)
    if not taken:
        return None
    return merge(base, [*ours, *taken])


def _collide(a: Hunk, b: Hunk) -> bool:
    """True when two hunks touch the same lines, or insert at the same place."""
    if a.start == a.end or b.start == b.end:
        return a.start <= b.end and b.start <= a.end
    return a.start < b.end and b.start < a.end


def _some(found: list[Hunk], rng: random.Random, *, proper: bool) -> list[Hunk]:
    """A random part; never nothing, and never everything when it is to be proper."""
    most = len(found) - 1 if proper else len(found)
    if most < 1:
        return []
    return rng.sample(found, rng.randint(1, most))


def _blend(merged: str, first: str, second: str, base: str | None, rng: random.Random) -> str:
    """Where both parents moved the same number, let one in two such numbers meet in the middle."""
    before = {k.name: k.text for k in find_knobs(base)} if base else {}
    theirs = {k.name: k.text for k in find_knobs(second)}
    ours = {k.name: k.text for k in find_knobs(first)}
    turns = []
    for knob in find_knobs(merged):
        a, b = ours.get(knob.name), theirs.get(knob.name)
        both_moved = a != b and before.get(knob.name) not in {a, b}
        if (
            a
            and b
            and both_moved
            and knob.kind.name not in {"heads", "width"}
            and rng.random() < 0.5
        ):
            middle = _middle(a, b)
            if middle and middle != knob.text:
                turns.append(Turn(knob, middle))
    return (apply_turns(merged, turns) or merged) if turns else merged


def _middle(a: str, b: str) -> str | None:
    """The geometric mean of two positive numbers, written as the first is; None when it is one of them."""
    x, y = number(a), number(b)
    if x is None or y is None or x <= 0 or y <= 0:
        return None
    text = literal(a, math.sqrt(x * y))
    return None if text in {a, b} or "**" in a else text


def _changes(first: str, child: str, labels: tuple[str, str]) -> tuple[str, ...]:
    """Constants by their values, code by the name of the definition."""
    before = {k.name: k.text for k in find_knobs(first)}
    after = {k.name: k.text for k in find_knobs(child)}
    changes = [
        f"{name}: {before[name]} -> {text}"
        for name, text in after.items()
        if name in before and before[name] != text
    ]
    old, new = definitions(first), definitions(child)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name, "") != new.get(name, ""):
            changes.append(f"{name}: {labels[0]} -> {labels[1]}")
    return tuple(changes[:MAX_CHANGES])


def _parses(source: str) -> bool:
    try:
        parsed(source)
    except SyntaxError:
        return False
    return True
