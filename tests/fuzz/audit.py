"""What is true of a workspace at every moment, however often its engine was killed; a sentence for each thing that is not.

It looks with its own eyes: SQL, git and the trainings' ledger, not through the engine's modules.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.fuzz.facts import read_only
from tests.fuzz.ledger import Entry, read
from tests.fuzz.workshop import Workshop

Row = sqlite3.Row
AGAIN, LATER = 5, 0.4  # looks at what may be in the making, and seconds between them


class Journal:
    """The journal's rows, by SQL of our own."""

    def __init__(self, path: Path) -> None:
        with closing(read_only(path)) as db:
            db.row_factory = sqlite3.Row
            db.execute("BEGIN")
            self.sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
            self.orphans = db.execute("PRAGMA foreign_key_check").fetchall()

            def ask(question: str) -> list[Row]:
                return db.execute(question).fetchall()

            self.runs = ask("SELECT * FROM run ORDER BY id")
            self.candidates = ask("SELECT * FROM candidate ORDER BY run, id")
            self.experiments = ask("SELECT * FROM experiment ORDER BY id")
            self.smokes = ask("SELECT * FROM smoke ORDER BY id")
            self.commands = ask("SELECT * FROM command ORDER BY id")
            self.calls = ask("SELECT * FROM llm_call ORDER BY id")
            self.changes = ask("SELECT * FROM setting_change ORDER BY id")
            self.events = ask("SELECT * FROM event ORDER BY id")

    def name(self, experiment: Row) -> str:
        """As the ledger calls it."""
        return f"{self.runs[experiment['run'] - 1]['name']}-e{experiment['id']}"


def always(shop: Workshop) -> list[str]:
    """What holds at every moment, engine or none."""
    begun = read(shop.ledger)  # before the journal, so that it has to know of all these
    try:
        journal = Journal(shop.journal)
    except sqlite3.DatabaseError as error:
        return [f"The journal cannot be read: {error}."]
    return [
        *_file(journal),
        *_numbers(journal),
        *_scores(journal),
        *_trained(journal, begun, read(shop.ledger)),
        *_harvested(journal, shop),
        *_money(journal),
        *_commits(journal, shop.workspace),
    ]


# ---- one by one ----------------------------------------------------------------------------------------------


def _file(journal: Journal) -> Iterator[str]:
    if journal.sound != ["ok"]:
        yield f"The journal is damaged: {journal.sound[:3]}."
    if journal.orphans:
        yield f"Rows of the journal point nowhere: {[tuple(row) for row in journal.orphans[:3]]}."


def _numbers(journal: Journal) -> Iterator[str]:
    for run in journal.runs:
        ids = [c["id"] for c in journal.candidates if c["run"] == run["id"]]
        if ids != list(range(1, len(ids) + 1)):
            yield f"The candidates of {run['name']} are not numbered without a gap: {ids[-8:]}."
    ids = [e["id"] for e in journal.experiments]
    if ids != list(range(1, len(ids) + 1)):
        yield f"The experiments are not numbered without a gap: {ids[-8:]}."


def _scores(journal: Journal) -> Iterator[str]:
    """Scores of a candidate are those of its trainings, each seed is scored once, and one training runs at most."""
    for candidate in journal.candidates:
        own = [
            e
            for e in journal.experiments
            if (e["run"], e["candidate"]) == (candidate["run"], candidate["id"])
        ]
        scores = [e["val_bpb"] for e in own if e["outcome"] == "ok"]
        if not candidate["voided"] and json.loads(candidate["scores"]) != scores:
            yield f"#{candidate['id']} has the scores {candidate['scores']}, its trainings {scores}."
        for seed, times in Counter(e["seed"] for e in own if e["outcome"] == "ok").items():
            if times > 1:
                yield f"#{candidate['id']} was scored {times} times with seed {seed}."
    if sum(e["finished"] is None for e in journal.experiments) > len(journal.runs):
        yield "More than one training of a run is under way in the journal."


def _trained(journal: Journal, begun: list[Entry], ledger: list[Entry]) -> Iterator[str]:
    """Every training began once, alone, in the journal's name, and never after its score was there."""
    known = {journal.name(e): e for e in journal.experiments}
    shas = {(c["run"], c["id"]): c["source_sha"] for c in journal.candidates}
    starts = Counter(entry.name for entry in ledger if entry.what == "start")
    ended = {entry.name: entry for entry in ledger if entry.what == "end" and not entry.smoke}
    for name, times in starts.items():
        if times > 1:
            yield f"{name} was started {times} times."
    yield from (
        f"{e.name} began while another training ran." for e in ledger if e.what == "overlap"
    )
    for entry in begun:
        if entry.what != "start" or entry.smoke:
            continue
        row = known.get(entry.name)
        if row is None:
            yield f"{entry.name} was trained, and the journal knows nothing of it."
        elif (entry.seed, entry.source) != (row["seed"], shas.get((row["run"], row["candidate"]))):
            yield f"{entry.name} trained another script or seed than the journal says."
    for name, row in known.items():
        if row["outcome"] == "ok" and (name not in ended or ended[name].score != row["val_bpb"]):
            yield f"{name} has the score {row['val_bpb']}, which no training has come to."
    yield from _repeated(journal, ledger, known)


def _repeated(journal: Journal, ledger: list[Entry], known: dict[str, Row]) -> Iterator[str]:
    """A script and seed whose score is in the journal are not trained again."""
    scored: dict[tuple[str, int], str] = {}
    outcomes = {name: row["outcome"] for name, row in known.items()}
    for entry in ledger:
        if entry.smoke:
            continue
        key = (entry.source, entry.seed)
        if entry.what == "start" and scored.get(key, entry.name) != entry.name:
            yield f"{entry.name} repeats {scored[key]}, whose score was there."
        if entry.what == "end" and entry.score is not None and outcomes.get(entry.name) == "ok":
            scored[key] = entry.name


def _harvested(journal: Journal, shop: Workshop) -> Iterator[str]:
    """A result that was on the disk is what the journal says, however it came there."""
    results = shop.unharvested()
    for experiment in journal.experiments:
        result: dict[str, Any] | None = results.get(journal.name(experiment))
        if result is None or experiment["finished"] is None or experiment["killed"]:
            continue
        if result["outcome"] != experiment["outcome"]:
            yield (
                f"{journal.name(experiment)} came to {result['outcome']} on the disk, and is "
                f"{experiment['outcome']} in the journal: {experiment['reason']}"
            )


def _money(journal: Journal) -> Iterator[str]:
    for run in journal.runs:
        paid = sum(
            c["dollars"]
            for c in journal.calls
            if c["run"] == run["id"] and c["status"] != "reserved"
        )
        if abs(paid - run["dollars"]) > 1e-9:
            yield f"{run['name']} says that ${run['dollars']:.6f} were spent, its calls ${paid:.6f}."


def _commits(journal: Journal, workspace: Path) -> Iterator[str]:
    """Every candidate's commit is there with its script, and the repository is sound."""
    said = _fsck(workspace)
    for _ in range(AGAIN):  # a worktree that git is adding right now has no commit yet
        if not said:
            break
        time.sleep(LATER)
        said = _fsck(workspace)
    if said:
        yield f"git fsck is not content: {said[:3]}."
    oids = "\n".join(c["commit_oid"] for c in journal.candidates)
    told = subprocess.run(
        ["git", "-C", str(workspace), "cat-file", "--batch-check"],
        input=oids,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    yield from (f"A commit is gone: {line}." for line in told if " commit " not in line)


def _fsck(workspace: Path) -> list[str]:
    """What git has to say against the repository."""
    checked = subprocess.run(
        ["git", "-C", str(workspace), "fsck", "--strict", "--no-dangling"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if line.strip()]
    return said or [f"status {checked.returncode}"] * bool(checked.returncode)
