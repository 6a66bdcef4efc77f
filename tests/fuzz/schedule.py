"""Who is killed when: a pure function of the seed, so that a failure can be played again.

An episode is one workspace that lives through several kills. What a kill does is `tests.fuzz.kills`' to say.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from harness.crashpoints import POINTS

Training = Literal["sleep", "real"]
Proposer = Literal["builtin", "claude"]
KILLS_AN_EPISODE = 15
REAL_KILLS = 5  # of an episode with real trainings

# Which kinds there are, and how often each is drawn.
KINDS = {
    "instant": 22,  # the engine, some time after its boot
    "write": 20,  # the engine, close behind a write to its journal
    "point": 30,  # the engine or its runner, at a crash point
    "boot": 8,  # engines, several in a row, while they boot
    "runner": 5,  # the runner alone
    "both": 5,  # engine and runner
    "everything": 4,  # all there is, as when the power goes
    "git": 5,  # the engine in the middle of a git command, and git with it
    "frozen": 2,  # the engine stands still for a while, and is killed
    "twins": 4,  # nobody: several engines are started at once
    "app": 3,  # the app that looks at the engine
    "keeper": 4,  # an engine below its keeper, which starts another one; then the keeper; then that engine
}
REAL_KINDS = {
    "instant": 3,
    "both": 2,
    "everything": 1,
    "meter": 2,
    "scorer": 2,
    "runner": 2,
    "point": 2,
}
# Seldom or never passed while trainings sleep and nothing is bought.
OF_BOOTS = tuple(point for point in POINTS if point.startswith("boot."))
OF_CALLS = tuple(point for point in POINTS if point.startswith("ledger."))


@dataclass(frozen=True)
class Kill:
    """One kill."""

    number: int  # within the whole campaign, from 1
    kind: str
    point: str = ""
    passage: int = 1
    delay: float = 0.0  # 0…1 of what its kind makes of it
    unseen: bool = False  # no client is connected from the death to the next boot
    anew: bool = False  # the engine is told that it follows a dead one, as by its keeper


@dataclass(frozen=True)
class Episode:
    """One workspace and what befalls it."""

    number: int
    training: Training
    proposer: Proposer
    kills: tuple[Kill, ...]


def campaign(seed: int, kills: int, *, points: tuple[str, ...] = POINTS) -> list[Episode]:
    """Episodes with `kills` kills in all. Every crash point comes up before one comes up twice."""
    left = iter(_in_turn(points, random.Random(f"{seed}:points"), kills))
    episodes: list[Episode] = []
    begun = 0
    while begun < kills:
        number = len(episodes) + 1
        rng = random.Random(f"{seed}:{number}")
        training: Training = "real" if number % 8 == 5 else "sleep"
        proposer: Proposer = "claude" if number % 3 == 2 and training == "sleep" else "builtin"
        count = min(REAL_KILLS if training == "real" else KILLS_AN_EPISODE, kills - begun)
        drawn = [
            _kill(begun + i + 1, rng, training, proposer, left, first=i == 0) for i in range(count)
        ]
        episodes.append(Episode(number, training, proposer, tuple(drawn)))
        begun += count
    return episodes


def _in_turn(points: tuple[str, ...], rng: random.Random, at_least: int) -> list[str]:
    """All points in a random order, again and again."""
    told: list[str] = []
    while len(told) < at_least:
        told += rng.sample(points, len(points))
    return told


def _kill(
    number: int,
    rng: random.Random,
    training: Training,
    proposer: Proposer,
    left: object,
    *,
    first: bool,
) -> Kill:
    kinds = REAL_KINDS if training == "real" else KINDS
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    point = ""
    if kind == "point":
        point = next(left)  # type: ignore[call-overload]
        if point in OF_CALLS and proposer == "builtin":
            kind, point = "write", ""
    passage = 1 if point in OF_BOOTS or first else rng.choice((1, 1, 2, 3, 5, 9))
    return Kill(number, kind, point, passage, rng.random(), rng.random() < 0.5, rng.random() < 0.5)
