"""Who is killed when: a pure function of the seed, so that a failure can be played again.

An episode is one workspace that lives through several kills. What a kill does is `tests.fuzz.kills`' to say.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.crashpoints import POINTS

Training = Literal["sleep", "real"]
Proposer = Literal["builtin", "claude"]
KILLS_AN_EPISODE = 15
REAL_KILLS = 5  # of an episode with real trainings

# Which kinds there are, and how often each is drawn.
KINDS = {
    "instant": 20,  # the engine, some time after its boot
    "write": 12,  # the engine, close behind a write to its journal
    "commit": 16,  # the engine, just before or after one of its first commits
    "point": 26,  # the engine or its runner, at a crash point
    "boot": 6,  # engines, several in a row, while they boot
    "runner": 4,  # the runner alone
    "both": 5,  # engine and runner
    "everything": 4,  # all there is, as when the power goes
    "git": 5,  # the engine in the middle of a git command, and git with it
    "frozen": 2,  # the engine stands still for a while, and is killed
    "twins": 5,  # several engines are started at once
    "app": 3,  # the app that looks at the engine
    "keeper": 4,  # an engine below its keeper, which starts another one; then the keeper; then that engine
}
REAL_KINDS = {
    "instant": 3,
    "both": 2,
    "everything": 1,
    "meter": 2,
    "scorer": 2,
    "runner": 1,
    "point": 6,
}
COMMITS = ("journal.before-commit", "journal.after-commit")
MANY = 60  # commits of an engine that are counted, at most

# Points that are passed only where something else is going on, and where that is.
_PLACES = {
    "boot.seeding": "first",
    "dataset.": "first",
    "ledger.": "claude",
    "scratchpad.": "claude",
    "runner.": "sleep real",
    "meter.": "real",
    "scorer.": "real",
    "committed.": "real",
    "compilecache.": "a GPU",
    "repair.": "`autoresearch doctor --repair`",
}


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


def points(place: str) -> list[str]:
    """Crash points that are passed there: first, sleep, claude or real; `sleep` is where all others are."""
    found = []
    for point in POINTS:
        where = next((w for start, w in _PLACES.items() if point.startswith(start)), "sleep")
        if place in where.split():
            found.append(point)
    return found


def campaign(seed: int, kills: int) -> list[Episode]:
    """Episodes with `kills` kills in all. Every crash point of a place comes up before one comes up twice."""
    left = {
        place: _in_turn(points(place), random.Random(f"{seed}:{place}"))
        for place in ("first", "sleep", "claude", "real")
    }
    episodes: list[Episode] = []
    begun = 0
    while begun < kills:
        number = len(episodes) + 1
        rng = random.Random(f"{seed}:{number}")
        training: Training = "real" if number % 6 == 5 else "sleep"
        proposer: Proposer = "claude" if number % 3 == 2 and training == "sleep" else "builtin"
        count = min(REAL_KILLS if training == "real" else KILLS_AN_EPISODE, kills - begun)
        drawn = [_kill(begun + i + 1, rng, training, proposer, left, i) for i in range(count)]
        episodes.append(Episode(number, training, proposer, tuple(drawn)))
        begun += count
    return episodes


def _in_turn(points: list[str], rng: random.Random) -> Iterator[str]:
    """All points in a random order, again and again."""
    while True:
        yield from rng.sample(points, len(points))


def _kill(
    number: int,
    rng: random.Random,
    training: Training,
    proposer: Proposer,
    left: dict[str, Iterator[str]],
    before: int,
) -> Kill:
    """The next kill of an episode in which there were so many before."""
    kinds = REAL_KINDS if training == "real" else KINDS
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    point, passage = "", 1
    if kind == "commit":
        point, passage = rng.choice(COMMITS), rng.randint(1, MANY)
    elif before == 0 and rng.random() < 0.5:
        kind, point = "point", next(left["first"])
    elif kind == "point":
        place = "claude" if proposer == "claude" and rng.random() < 0.5 else training
        point, passage = next(left[place]), rng.choice((1, 1, 1, 2, 4))
        if point.startswith(
            ("boot.", "backup.", "runner.", "keeper.", "meter.", "scorer.", "committed.")
        ):
            passage = 1  # passed once by each process
    return Kill(number, kind, point, passage, rng.random(), rng.random() < 0.5, rng.random() < 0.5)
