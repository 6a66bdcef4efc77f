"""What a salvaged journal lacks is filled in from git and the folders of trainings, and what is derived is counted anew.

It invents nothing: a candidate of which nothing is left keeps its number, because numbers have no gaps, and is dropped; what
became of one that only git knows is found out anew, by the search itself.
"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

from evolve import traces
from evolve.model import EvolveError
from evolve.places import EXPERIMENTS
from evolve.rows import as_json
from evolve.salvage import Row

SHOWN = 10  # candidates that a sentence names
LOST = "It was lost with a damaged journal."


@dataclass(slots=True)
class Mended:
    """What was brought back from elsewhere, and what is lost."""

    from_git: list[int] = field(default_factory=list)  # candidates
    from_folders: list[int] = field(default_factory=list)  # trainings
    lost: list[int] = field(default_factory=list)  # candidates
    homeless: int = 0  # rows that belonged to rows that are lost

    def __str__(self) -> str:
        told = [
            f"{_numbers(self.from_git)} came back from git" if self.from_git else "",
            f"{_count(len(self.from_folders), 'training')} from their folders"
            if self.from_folders
            else "",
            f"{_numbers(self.lost)} could not be brought back" if self.lost else "",
            f"{_count(self.homeless, 'row')} belonged to what is lost" if self.homeless else "",
        ]
        return "; ".join(part for part in told if part)


def mend(db: sqlite3.Connection, workspace: Path, folder: Path, script: str) -> Mended:
    """Fill in what is missing in `db`, whose rules are off and whose transaction is open."""
    mended = Mended()
    mended.homeless += _without(db, "candidate", "run NOT IN (SELECT id FROM run)")
    for run in db.execute("SELECT * FROM run ORDER BY id").fetchall():
        _candidates(db, run, workspace, script, mended)
    _trainings(db, folder, mended)
    for table in ("experiment", "smoke", "ratchet"):
        mended.homeless += _without(
            db, table, "(run, candidate) NOT IN (SELECT run, id FROM candidate)"
        )
    mended.homeless += _without(db, "curve", "experiment NOT IN (SELECT id FROM experiment)")
    for table in ("llm_call", "setting_change", "scratchpad", "event"):
        mended.homeless += _without(db, table, "run NOT IN (SELECT id FROM run)")
    _links(db)
    _states(db)
    _counts(db)
    _story(db, mended)
    return mended


# ---- candidates and trainings ------------------------------------------------------------------------------


def _candidates(
    db: sqlite3.Connection, run: sqlite3.Row, workspace: Path, script: str, mended: Mended
) -> None:
    """Every number has its candidate, up to the last one that anything tells of."""
    there = {
        row["id"]: row["commit_oid"]
        for row in db.execute("SELECT id, commit_oid FROM candidate WHERE run = ?", (run["id"],))
    }
    in_git = traces.commits(workspace, run["name"])
    named = db.execute(
        "SELECT coalesce(max(candidate), 0) FROM (SELECT run, candidate FROM experiment UNION ALL "
        "SELECT run, candidate FROM event) WHERE run = ?",
        (run["id"],),
    ).fetchone()[0]
    known = {commit: number for number, commit in (in_git | there).items()}
    for number in range(1, max([named, *there, *in_git]) + 1):
        if number in there:
            continue
        row: Row | None = None
        if number in in_git:
            try:
                row = traces.candidate(workspace, script, number, in_git[number], known)
            except EvolveError:
                row = None
        (mended.lost if row is None else mended.from_git).append(number)
        _insert(db, "candidate", {"run": run["id"], **(row or _nobody(run, number))})


def _nobody(run: sqlite3.Row, number: int) -> Row:
    return {
        "id": number,
        **{"operator": "human", "proposer": "human", "title": "lost", "hypothesis": LOST},
        **{
            "category": "other",
            "commit_oid": run["base_commit"],
            "source_sha": "",
            "code_hash": "",
        },
        **{"lines": 0, "created": run["created"], "state": "dropped", "verdict": "dropped"},
        **{"verdict_reason": LOST, "generation": 0, "prompt_version": "", "model": ""},
        **{"priority": 0, "changes": "[]", "parents": "[]"},
    }


def _trainings(db: sqlite3.Connection, folder: Path, mended: Mended) -> None:
    """Trainings of the newest run that ended, and whose rows are gone; folders are numbered through all runs."""
    there = {row[0] for row in db.execute("SELECT id FROM experiment")}
    run = db.execute("SELECT max(id) FROM run").fetchone()[0]
    scripts = dict(
        db.execute(
            "SELECT source_sha, id FROM candidate WHERE run = ? ORDER BY id DESC", (run,)
        ).fetchall()
    )
    for training in traces.trained(folder / EXPERIMENTS):
        of = scripts.get(training.source_sha)
        if training.number in there or of is None:
            continue
        before = db.execute(
            "SELECT count(*) FROM experiment WHERE run = ? AND candidate = ?", (run, of)
        ).fetchone()[0]
        purpose = "baseline" if of == 1 else "confirm" if before else "screen"
        _insert(db, "experiment", {"run": run, **traces.experiment(training, of, purpose)})
        mended.from_folders.append(training.number)


# ---- what is derived ---------------------------------------------------------------------------------------


def _links(db: sqlite3.Connection) -> None:
    """Parents as every candidate names them; those that are not there, or came later, are no parents."""
    db.execute("DELETE FROM parent")
    there = {(row["run"], row["id"]) for row in db.execute("SELECT run, id FROM candidate")}
    for row in db.execute("SELECT run, id, parents FROM candidate").fetchall():
        named = json.loads(row["parents"])
        parents = [p for p in named if p < row["id"] and (row["run"], p) in there]
        if parents != named:
            _set(db, row, parents=as_json(parents))
        db.executemany(
            "INSERT INTO parent VALUES (?, ?, ?, ?)",
            [(row["run"], row["id"], place, parent) for place, parent in enumerate(parents)],
        )
    db.execute(
        """UPDATE candidate SET children = coalesce((SELECT count(*) FROM parent AS p
        WHERE p.run = candidate.run AND p.parent = candidate.id), 0)"""
    )


def _states(db: sqlite3.Connection) -> None:
    """One training at a time, of a candidate that is training; what is open beside it was lost."""
    over = {"now": time.time(), "why": LOST}
    for table in ("experiment", "smoke"):
        db.execute(
            f"""UPDATE {table} SET finished = :now, outcome = 'void', reason = :why WHERE finished IS NULL
            AND id NOT IN (SELECT max(id) FROM {table} WHERE finished IS NULL GROUP BY run)""",  # noqa: S608
            over,
        )
    db.execute(
        """UPDATE experiment SET finished = :now, outcome = 'void', reason = :why WHERE finished IS NULL AND
        (SELECT state FROM candidate AS c WHERE c.run = experiment.run AND c.id = experiment.candidate)
        = 'dropped'""",
        over,
    )
    db.execute(
        """UPDATE candidate SET state = 'training' WHERE EXISTS (SELECT 1 FROM experiment AS e
        WHERE e.run = candidate.run AND e.candidate = candidate.id AND e.finished IS NULL)"""
    )
    db.execute(
        """UPDATE candidate SET state = CASE WHEN verdict IS NOT NULL THEN 'judged' ELSE 'ready' END
        WHERE state = 'training' AND NOT EXISTS (SELECT 1 FROM experiment AS e
        WHERE e.run = candidate.run AND e.candidate = candidate.id AND e.finished IS NULL)"""
    )
    # who has a score and waits for its first training is a contender: the search judges it
    db.execute(
        """UPDATE candidate SET state = 'contender' WHERE state = 'ready' AND id != 1 AND EXISTS
        (SELECT 1 FROM experiment AS e WHERE e.run = candidate.run AND e.candidate = candidate.id
        AND e.outcome = 'ok' AND e.discounted = '')"""
    )
    db.execute(
        """UPDATE ratchet SET state = 'abandoned', reason = :why, ended = :now WHERE state = 'intended'
        AND id NOT IN (SELECT max(id) FROM ratchet GROUP BY run)""",
        over,
    )


def _counts(db: sqlite3.Connection) -> None:
    """Scores, money and main by the facts behind them."""
    scores: dict[tuple[int, int], tuple[list[float], list[float]]] = {}
    for row in db.execute(
        "SELECT run, candidate, val_bpb, coalesce(fitness, val_bpb) AS fitness FROM experiment "
        "WHERE outcome = 'ok' AND discounted = '' ORDER BY id"
    ):
        found = scores.setdefault((row["run"], row["candidate"]), ([], []))
        found[0].append(row["val_bpb"])
        found[1].append(row["fitness"])
    for row in db.execute("SELECT run, id, scores, fitness FROM candidate").fetchall():
        raw, fitness = scores.get((row["run"], row["id"]), ([], []))
        if [*map(json.loads, (row["scores"], row["fitness"]))] != [raw, fitness]:
            _set(db, row, scores=as_json(raw), fitness=as_json(fitness))
    db.execute(
        """UPDATE run SET dollars = (SELECT coalesce(sum(c.dollars), 0) FROM llm_call AS c
        WHERE c.run = run.id AND c.status != 'reserved')"""
    )
    db.execute(
        """UPDATE run SET incumbent = (SELECT id FROM candidate AS c WHERE c.run = run.id
            AND verdict IN ('baseline', 'promoted') ORDER BY judged DESC, id DESC LIMIT 1)
        WHERE incumbent IS NOT NULL AND incumbent NOT IN
            (SELECT id FROM candidate AS c WHERE c.run = run.id AND verdict IS NOT NULL)"""
    )


def _story(db: sqlite3.Connection, mended: Mended) -> None:
    """The repair is an event, whose number is behind every one that is referred to."""
    last = db.execute(
        """SELECT max(coalesce((SELECT max(id) FROM event), 0), coalesce((SELECT max(judged) FROM candidate), 0),
        coalesce((SELECT max(promotion) FROM run), 0))"""
    ).fetchone()[0]
    words = str(mended)
    text = f"The journal was damaged and has been repaired{f': {words}' if words else ''}."
    run = db.execute("SELECT max(id) FROM run").fetchone()[0]
    _insert(
        db,
        "event",
        {
            "id": last + 1,
            "run": run,
            "time": time.time(),
            "kind": "journal",
            "text": text,
            "data": "{}",
        },
    )


def _numbers(found: list[int]) -> str:
    named = ", ".join(f"#{number}" for number in found[:SHOWN])
    return named + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# ---- SQL -----------------------------------------------------------------------------------------------------


def _insert(db: sqlite3.Connection, table: str, row: Row) -> None:
    db.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",  # noqa: S608
        row,
    )


def _set(db: sqlite3.Connection, row: sqlite3.Row, **columns: object) -> None:
    db.execute(
        f"UPDATE candidate SET {', '.join(f'{c} = :{c}' for c in columns)} WHERE run = :of AND id = :number",  # noqa: S608
        columns | {"of": row["run"], "number": row["id"]},
    )


def _without(db: sqlite3.Connection, table: str, which: str) -> int:
    """Take rows out; `which` is our own words."""
    return db.execute(f"DELETE FROM {table} WHERE {which}").rowcount  # noqa: S608
