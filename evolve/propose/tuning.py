"""Chooses which constants to turn and how far: the operator `tune` of the built-in proposer.

Two ways share the work: a draw from the response surface of all attempts (`turns`), and, where optuna is installed and
enough variants of the parent are measured, TPE on a few promising knobs at once.
Pure; every random choice comes from the caller.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolve.propose.knobs import Knob, Turn, apply_turns, in_force
from evolve.propose.lessons import Lessons
from evolve.propose.operators import Brief, Relative
from evolve.propose.presets import Setting
from evolve.propose.reasons import reason
from evolve.propose.surface import Surface
from evolve.propose.tpe import TpeSearch, available, skeleton, values
from evolve.propose.turns import turn

TPE_SHARE = 0.25  # of the tunings, once there is enough to learn from
TPE_TRIALS = 8  # measured variants of the parent that are enough
TPE_KNOBS = (2, 3, 4)  # that a suggestion may turn: of forty at once, most would be turned blindly
TPE_TRIES = 6  # suggestions looked at for one that is new


@dataclass(frozen=True, slots=True)
class Tuned:
    """A source with some constants turned."""

    source: str
    turns: tuple[Turn, ...]
    why: str


def tuned(
    source: str,
    lessons: Lessons,
    surface: Surface,
    rng: random.Random,
    count: int,
    setting: Setting,
    category: str = "",
) -> Tuned | None:
    """Turn `count` knobs by the rules, of one category if it is named; None when there is nothing to turn."""
    turns = turn(source, rng, lessons, surface, count, setting, category)
    child = apply_turns(source, turns) if turns else None
    if child is None:
        return None
    return Tuned(child, tuple(turns), " ".join(_why(t, lessons) for t in turns))


def suggestions(brief: Brief, rng: random.Random, setting: Setting) -> Iterator[Tuned]:
    """Variants of the first parent by TPE, a few to choose from; none while there is too little to learn from."""
    source = brief.parents[0].source
    measured = _variants(source, brief.relatives)
    if len(measured) < TPE_TRIALS or not available():
        return
    search = TpeSearch(source, setting, seed=rng.getrandbits(31), startup=TPE_TRIALS)
    for texts, score in measured:
        search.tell(texts, score)
    able = {axis.name for axis in search.axes}
    knobs = [knob for knob in in_force(source, setting) if knob.name in able]
    names = _some(knobs, rng)
    for _, found in zip(range(TPE_TRIES), search.ask(names), strict=False):
        why = f"TPE expects a gain here after {len(measured)} measured variants of these constants."
        yield Tuned(found.source, found.turns, why)


# ---- private ---------------------------------------------------------------------------------------------


def _variants(
    source: str, relatives: Sequence[Relative]
) -> list[tuple[dict[str, str], float | None]]:
    """Literals and scores of the relatives that differ from `source` in constants only."""
    own = _anatomy(source)[0]
    found = ((_anatomy(relative.source), relative.score) for relative in relatives)
    return [(dict(texts), score) for (bones, texts), score in found if bones == own]


@lru_cache(maxsize=128)  # as many as a brief has relatives
def _anatomy(source: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A source without its constants, as a hash, and the constants."""
    return skeleton(source), tuple(values(source).items())


def _some(knobs: Sequence[Knob], rng: random.Random) -> tuple[str, ...]:
    """A few names, drawn by weight."""
    left = {knob.name: knob.weight for knob in knobs}
    names: list[str] = []
    for _ in range(rng.choice(TPE_KNOBS)):
        if any(left.values()):
            names.append(rng.choices(list(left), list(left.values()))[0])
            del left[names[-1]]
    return tuple(names)


def _why(turned: Turn, lessons: Lessons) -> str:
    """The reason of one turn in words, the history's part in it included."""
    knob = turned.knob
    words = f"{knob.name} {knob.text} -> {turned.text}: {reason(knob.kind, knob.text, turned.text)}"
    last = lessons.helped(knob.name)
    if last is not None:
        words += f" The step {last.old} -> {last.new} helped before."
    return words
