"""Chooses which knobs to turn, and how far, by what the history says of each: the rules of `tune`.

Every knob offers a few steps (`moves`); a world is drawn from what is believed of them (`surface`), and the steps that
are best in that world are taken. So the untried and promising come first, with bold steps, then further ones where it
went well. Pure; every random choice comes from the caller.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from evolve.propose.knobs import Knob, Turn, in_force
from evolve.propose.lessons import FAILURES, Lessons, direction_of, number
from evolve.propose.moves import steps
from evolve.propose.presets import Setting
from evolve.propose.surface import Step, Surface

CAPACITY = -0.7  # of a bold step towards a larger model, where it costs nothing
_CAPACIOUS = frozenset(
    {"width", "count", "size", "power"}
)  # kinds of the category size that are capacity
LOOKED_AT = (
    24  # knobs among which a step is chosen, drawn by their weight: the others come another time
)


def turn(
    source: str,
    rng: random.Random,
    lessons: Lessons,
    surface: Surface,
    count: int = 1,
    setting: Setting = Setting(),  # noqa: B008 - frozen
    category: str = "",
) -> list[Turn]:
    """Choose `count` different knobs and a step for each; fewer when there are not so many.

    `category`: the only kind of knobs that may be chosen, "" = any.
    """
    knobs = in_force(source, setting)
    wanted = [knob for knob in knobs if category in {"", knob.kind.category}]
    offered: dict[Step, Turn] = {}
    for knob in _some(wanted, lessons, rng):
        for text in _untried(knob, knobs, rng, lessons):
            step = Step(
                knob.name, knob.text, text, knob.kind.name, knob.weight, lean(knob, setting)
            )
            offered[step] = Turn(knob, text)
    if not offered:
        return []
    drawn = surface.draw(tuple(offered), rng)
    turns: list[Turn] = []
    chosen = 0
    for step in sorted(offered, key=lambda step: drawn.effects[step]):
        if chosen < count and all(step.name != turned.knob.name for turned in turns):
            chosen += 1
            turns.append(offered[step])
            turns += companions(turns[-1], knobs, turns)
    return turns


def lean(knob: Knob, setting: Setting) -> float:
    """What more of a knob is expected to do before anything is known, in spreads; negative is better.

    When only tokens count, capacity is free: of the same tokens a larger model learns more (Kaplan et al. 2020). On
    the clock it has to be paid for with steps, and nothing is known beforehand.
    """
    grows = knob.kind.category == "size" and knob.kind.name in _CAPACIOUS
    return CAPACITY if setting.counts_tokens and grows else 0.0


def companions(turned: Turn, knobs: Sequence[Knob], turns: Sequence[Turn]) -> list[Turn]:
    """A smaller batch needs fewer rows at once, or it no longer divides into them; `turns` are made already."""
    knob, text = turned.knob, turned.text
    if knob.kind.name != "batch" or direction_of(knob.text, text) >= 0:
        return []
    batch, scope = number(text) or 0.0, knob.name.rpartition(".")[0]
    for other in knobs:
        if other.kind.name != "rows" or other.name.rpartition(".")[0] != scope:
            continue
        rows = number(other.text) or 0.0
        counted_in_tokens = rows > 1024
        if (counted_in_tokens and rows <= batch) or any(t.knob.name == other.name for t in turns):
            return []
        halves = steps(other.kind, other.name, other.text, {}, random.Random(0))  # noqa: S311
        return [Turn(other, half) for half in halves if direction_of(other.text, half) < 0][:1]
    return []


# ---- private ---------------------------------------------------------------------------------------------


def _some(knobs: Sequence[Knob], lessons: Lessons, rng: random.Random) -> list[Knob]:
    """Those that are looked at now: all that helped last, and others by their weight."""
    left = {knob: knob.weight for knob in knobs if knob.weight > 0}
    chosen = [knob for knob in left if lessons.helped(knob.name)]
    for knob in chosen:
        del left[knob]
    while left and len(chosen) < LOOKED_AT:
        chosen.append(rng.choices(list(left), list(left.values()))[0])
        del left[chosen[-1]]
    return chosen


def _untried(knob: Knob, knobs: Sequence[Knob], rng: random.Random, lessons: Lessons) -> list[str]:
    """Steps that were not taken from here, and not in a direction that led to no score at all."""
    siblings = {other.name: other.text for other in knobs}
    return [
        text
        for text in steps(knob.kind, knob.name, knob.text, siblings, rng)
        if text != knob.text
        and not lessons.tried(knob.name, knob.text, text)
        and lessons.broke(knob.name, direction_of(knob.text, text)) < FAILURES
    ]
