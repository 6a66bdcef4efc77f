"""A journal of as many candidates as one likes, written in seconds: for whatever must stay fluent with 100,000.

`python -m tests.tui.many DIR COUNT` makes one. The story is a search as they go: children of the fittest of late, one in
ten a crossover, one in ten a failure, one in eight repeated, a new incumbent now and then.
"""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from evolve.database import without_rules
from evolve.journal import Journal
from evolve.places import JOURNAL, state_folder
from tests.tui.live_run import SETTINGS

ALIVE = 24
CATEGORIES = ("architecture", "optimizer", "schedule", "attention", "size", "init")
STATE, PARENTS = "judged", (1,)


@dataclass
class Story:
    """The rows of a search, made one candidate after the other."""

    count: int
    rng: random.Random = field(default_factory=lambda: random.Random(7))
    pool: list[tuple[float, int]] = field(
        default_factory=list
    )  # (true score, number), the fittest first
    true: list[float] = field(default_factory=lambda: [0.0])
    generation: list[int] = field(default_factory=lambda: [0])
    children: list[int] = field(default_factory=lambda: [0])
    candidates: list[tuple[object, ...]] = field(default_factory=list)
    parents: list[tuple[int, ...]] = field(default_factory=list)
    experiments: list[tuple[object, ...]] = field(default_factory=list)
    events: list[tuple[object, ...]] = field(default_factory=list)
    best: tuple[float, int] = (9.0, 1)

    def tell(self) -> None:
        """Make all of it."""
        for number in range(1, self.count + 1):
            self._add(number)

    def _parents(self, number: int) -> tuple[int, ...]:
        if number == 1:
            return ()
        first = self.rng.choice(self.pool)[1]
        if len(self.pool) > 3 and self.rng.random() < 0.1:
            second = self.rng.choice(self.pool)[1]
            return (first,) if second == first else (first, second)
        return (first,)

    def _add(self, number: int) -> None:
        rng, parents = self.rng, self._parents(number)
        floor = min((self.true[p] for p in parents), default=1.2)
        harder = 0.012 * number / self.count  # gains become rare, as they do
        true = floor + (rng.gauss(0.004 + harder, 0.005) if parents else 0.0) * (floor - 0.9) * 3
        failed = number > 1 and rng.random() < 0.1
        luck = [rng.gauss(true, 0.001) for _ in range(1 if rng.random() < 0.875 else 3)]
        scores = [] if failed else luck
        for parent in parents:
            self.children[parent] += 1
        self.true.append(true)
        self.children.append(0)
        self.generation.append(1 + max((self.generation[p] for p in parents), default=-1))
        verdict = self._verdict(number, true, failed=failed)
        operator = (
            "seed"
            if not parents
            else "crossover"
            if len(parents) > 1
            else rng.choice(("mutate", "tune"))
        )
        self.candidates.append((
            number, operator, ("builtin", "claude")[number % 2], f"try {number}: a larger matrix learning rate",
            "A larger step early on should pay, because the loss still falls fast there.",
            CATEGORIES[number % 6], f"{number:040x}", f"{number:064x}", f"{number:064x}", 612 + number % 9,
            1.79e9 + 300 * number, verdict, "worse than the weakest member" if verdict == "rejected" else "", number,
            int(len(scores) < 2), self.generation[-1], json.dumps(parents),
            json.dumps(["MATRIX_LR: 0.04 -> 0.05"]), json.dumps(scores), json.dumps(scores),
            "crash" if failed else "ok",
        ))  # fmt: skip
        self.parents += [(number, place, parent) for place, parent in enumerate(parents)]
        for seed, score in enumerate(scores or [None]):
            started = 1.79e9 + 300 * number + 90 * seed
            purpose = "baseline" if number == 1 else "confirm" if seed else "screen"
            ended = ("crash", None, None) if score is None else ("ok", score, score)
            self.experiments.append((number, purpose, seed, started, started + 60, *ended))
        self.events.append((1.79e9 + 300 * number, "queued", f"#{number} is queued.", number))
        self.events.append((1.79e9 + 300 * number + 99, "verdict", f"#{number} {verdict}.", number))

    def _verdict(self, number: int, true: float, *, failed: bool) -> str:
        if failed:
            return "failed"
        if len(self.pool) == ALIVE and true >= self.pool[-1][0]:
            return "rejected"
        self.pool = sorted([*self.pool, (true, number)])[:ALIVE]
        if true < self.best[0]:
            self.best = (true, number)
            return "baseline" if number == 1 else "promoted"
        return "kept"


def write(workspace: Path, count: int) -> None:
    """Make a workspace whose run has `count` candidates, all judged."""
    story = Story(count)
    story.tell()
    with Journal.open(state_folder(workspace) / JOURNAL) as journal:
        journal.create_run(
            name="nov21", branch="main", base_commit="0" * 40, settings=SETTINGS, fingerprint={}
        )
        db = journal._db
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA synchronous = OFF")
        with without_rules(db):  # its rows come in as they ended
            _insert(db, story)
            db.execute(
                "UPDATE run SET incumbent = ?, promotion = 2 * ?", (story.best[1], story.best[1])
            )


def _insert(db: sqlite3.Connection, story: Story) -> None:
    alive = {number for _, number in story.pool}
    stamps = db.execute("SELECT sql FROM sqlite_master WHERE name = 'candidate_begins'").fetchone()[
        0
    ]
    db.execute("DROP TRIGGER candidate_begins")  # a hundred thousand calls of it take seconds
    db.executemany(
        """INSERT INTO candidate (run, id, operator, proposer, title, hypothesis, category, commit_oid, source_sha,
        code_hash, lines, created, state, verdict, verdict_reason, judged, provisional, generation, parents, changes,
        scores, fitness, outcome, alive, children, touched, prompt_version, model, priority)
        VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'judged', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0)""",
        ((*row, int(row[0] in alive), story.children[row[0]], row[0]) for row in story.candidates),  # type: ignore[call-overload, index]
    )
    db.execute(stamps)
    db.executemany("INSERT INTO parent VALUES (1, ?, ?, ?)", story.parents)
    db.executemany(
        """INSERT INTO experiment (run, candidate, purpose, seed, directory, started, finished, outcome, val_bpb,
        fitness, total_seconds, train_seconds) VALUES (1, ?, ?, ?, '', ?, ?, ?, ?, ?, 60, 50)""",
        story.experiments,
    )
    db.executemany(
        "INSERT INTO event (run, time, kind, text, candidate, data) VALUES (1, ?, ?, ?, ?, '{}')",
        story.events,
    )


if __name__ == "__main__":
    began = time.perf_counter()
    write(Path(sys.argv[1]), int(sys.argv[2]))
    print(f"{time.perf_counter() - began:.1f} s")
