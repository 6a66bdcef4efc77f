"""What must be true of a workspace however often its engine was killed; a sentence for each thing that is not.

`always` may be asked at any moment, `quiet` of a run that is paused with nothing under way. Both look with their own
eyes: SQL, git and the trainings' ledger, not through the engine's modules (results.tsv excepted, whose text is theirs).
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from evolve.reader import Reader
from evolve.results import table
from tests.fuzz.facts import read_only
from tests.fuzz.ledger import Entry, read
from tests.fuzz.person import LIMIT, TITLE
from tests.fuzz.workshop import PEOPLE, Workshop, git

Row = sqlite3.Row
OURS = ("run.log", "__pycache__")  # what trainings leave in a worktree


class Journal:
    """The journal's rows, by SQL of our own."""

    def __init__(self, path: Path) -> None:
        with closing(read_only(path)) as db:
            db.row_factory = sqlite3.Row
            db.execute("BEGIN")
            self.sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
            self.orphans = db.execute("PRAGMA foreign_key_check").fetchall()
            ask = lambda sql: db.execute(sql).fetchall()  # noqa: E731
            self.runs: list[Row] = ask("SELECT * FROM run ORDER BY id")
            self.candidates: list[Row] = ask("SELECT * FROM candidate ORDER BY run, id")
            self.experiments: list[Row] = ask("SELECT * FROM experiment ORDER BY id")
            self.smokes: list[Row] = ask("SELECT * FROM smoke ORDER BY id")
            self.commands: list[Row] = ask("SELECT * FROM command ORDER BY id")
            self.calls: list[Row] = ask("SELECT * FROM llm_call ORDER BY id")
            self.changes: list[Row] = ask("SELECT * FROM setting_change ORDER BY id")
            self.events: list[Row] = ask("SELECT * FROM event ORDER BY id")

    def name(self, experiment: Row) -> str:
        """As the ledger calls it."""
        return f"{self.runs[experiment['run'] - 1]['name']}-e{experiment['id']}"


def always(shop: Workshop) -> list[str]:
    """What holds at every moment, engine or none."""
    journal = Journal(shop.journal)
    return [
        *_file(journal),
        *_numbers(journal),
        *_scores(journal),
        *_trained(journal, read(shop.ledger)),
        *_harvested(journal, shop),
        *_money(journal),
        *_commits(journal, shop.workspace),
    ]


def quiet(shop: Workshop) -> list[str]:
    """What holds besides once a run is paused, everything is answered and the slot is empty."""
    journal = Journal(shop.journal)
    return [
        *always(shop),
        *_settled(journal),
        *_refs(journal, shop.workspace),
        *_branch(journal, shop.workspace),
        *_checkout(shop.workspace),
        *_worktrees(journal, shop),
        *_table(shop),
        *_wishes(journal, shop),
        *_answers(journal),
    ]


# ---- at every moment -----------------------------------------------------------------------------------------


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


def _trained(journal: Journal, ledger: list[Entry]) -> Iterator[str]:
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
    for entry in ledger:
        if entry.what != "start" or entry.smoke:
            continue
        row = known.get(entry.name)
        if row is None:
            yield f"{entry.name} was trained, and the journal knows nothing of it."
        elif (entry.seed, entry.source) != (row["seed"], shas[row["run"], row["candidate"]]):
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
    checked = subprocess.run(
        ["git", "-C", str(workspace), "fsck", "--strict", "--no-dangling"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if line.strip()]
    if checked.returncode or said:
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


# ---- at a quiet moment ---------------------------------------------------------------------------------------


def _settled(journal: Journal) -> Iterator[str]:
    open_ = [e["id"] for e in journal.experiments if e["finished"] is None]
    if open_:
        yield f"Trainings are under way in a run that is paused: {open_}."
    training = [c["id"] for c in journal.candidates if c["state"] == "training"]
    if training:
        yield f"Candidates train without a training: {training}."
    pending = [c["id"] for c in journal.commands if c["state"] == "pending"]
    if pending:
        yield f"Nobody has answered the requests {pending}."


def _refs(journal: Journal, workspace: Path) -> Iterator[str]:
    lines = git(
        workspace, "for-each-ref", "--format=%(refname) %(objectname)", "refs/autoresearch/"
    )
    there = dict(line.split(" ") for line in lines.splitlines())
    names = {run["id"]: run["name"] for run in journal.runs}
    newest = max(names)
    wanted = {
        f"refs/autoresearch/{names[c['run']]}/{c['id']}": c["commit_oid"]
        for c in journal.candidates
    }
    for ref in sorted(there.keys() | wanted.keys()):
        if there.get(ref) != wanted.get(ref):
            yield f"{ref} is {there.get(ref)}, and the journal says {wanted.get(ref)} (run {newest})."


def _branch(journal: Journal, workspace: Path) -> Iterator[str]:
    """main is what the incumbent's promotion made of it, and nothing of it is lost."""
    run = journal.runs[-1]
    tip = git(workspace, "rev-parse", f"refs/heads/{run['branch']}").strip()
    base = run["base_commit"]
    own = {c["commit_oid"]: c for c in journal.candidates if c["run"] == run["id"]}
    line = git(workspace, "rev-list", "--first-parent", "--parents", tip).splitlines()
    parents = {words[0]: words[1:] for words in (entry.split(" ") for entry in line)}
    if base not in parents:
        yield f"{run['branch']} at {tip[:7]} does not follow {base[:7]}, where the run began."
        return
    incumbent = next((c for c in own.values() if c["id"] == run["incumbent"]), None)
    held = next((p for p in (tip, *parents[tip][1:]) if p in own), None)
    if incumbent is not None and held != incumbent["commit_oid"]:
        said = [e["text"] for e in journal.events if e["kind"] == "ratchet"][-1:]
        if not (said and "waits for" in said[0]):
            yield f"{run['branch']} is at {tip[:7]}, and the incumbent is #{incumbent['id']}: {said}."
    for oid in parents:
        if oid == base:
            break
        promoted = [own.get(p) for p in (oid, *parents[oid][1:])]
        if not any(c is not None for c in promoted):
            yield f"{oid[:7]} on {run['branch']} is nobody's."


def _checkout(workspace: Path) -> Iterator[str]:
    if said := git(workspace, "status", "--porcelain"):
        yield f"The checkout is not clean: {said.splitlines()[:4]}."
    if (workspace / PEOPLE).read_text() != "Mine.\n":
        yield f"{PEOPLE}, the person's own file, has changed."
    if git(workspace, "symbolic-ref", "HEAD").strip() != "refs/heads/main":
        yield "The checkout is on another branch."
    locks = [
        str(path.relative_to(workspace))
        for path in (workspace / ".git").rglob("*.lock")
        if path.is_file()
    ]
    if locks:
        yield f"Locks of a killed git lie about: {locks[:3]}."


def _worktrees(journal: Journal, shop: Workshop) -> Iterator[str]:
    run = journal.runs[-1]["id"]
    living = {
        c["id"]: c["commit_oid"] for c in journal.candidates if c["run"] == run and c["alive"]
    }
    folder = shop.state / "worktrees"
    there = {p.name for p in folder.glob("*")} if folder.is_dir() else set()
    if there != {str(number) for number in living}:
        yield f"There are worktrees {sorted(there)}, and {sorted(living)} live."
    listed = git(shop.workspace, "worktree", "list", "--porcelain")
    known = {
        words.split("\n")[0].removeprefix("worktree ") for words in listed.split("\n\n") if words
    }
    wanted = {str(folder / str(number)) for number in living} | {str(shop.workspace)}
    if known != wanted:
        yield f"git knows other worktrees than there should be: {sorted(known ^ wanted)[:4]}."
    for number, commit in living.items():
        path = folder / str(number)
        if str(number) in there and git(path, "rev-parse", "HEAD").strip() != commit:
            yield f"The worktree of #{number} shows another commit than its own."
        elif str(number) in there:
            changed = git(path, "status", "--porcelain").splitlines()
            if strange := [line for line in changed if line[3:].strip("/") not in OURS]:
                yield f"The worktree of #{number} is not clean: {strange[:3]}."


def _table(shop: Workshop) -> Iterator[str]:
    with Reader.open(shop.journal) as reader:
        memory = reader.peak_memory()
        wanted = table((c, memory.get(c.id)) for c in reader.candidates())
    path = shop.workspace / "results.tsv"
    if (path.read_text() if path.exists() else "") != wanted:
        yield "results.tsv is not what the journal says."


def _wishes(journal: Journal, shop: Workshop) -> Iterator[str]:
    """What was done is in force, and what was refused has changed nothing."""
    live = shop.state / "live.toml"
    in_force = tomllib.loads(live.read_text()) if live.exists() else {}
    section, _, key = LIMIT.partition(".")
    told = [
        (json.loads(c["args"])["value"], c["state"])
        for c in journal.commands
        if c["verb"] == "set" and json.loads(c["args"]).get("key") == LIMIT
    ]
    done = [value for value, state in told if state == "done"]
    now = in_force.get(section, {}).get(key)
    if done and str(now) != done[-1]:
        yield f"{LIMIT} was set to {done[-1]} last, and {now} is in force."
    noted = {change["new"] for change in journal.changes if change["key"] == LIMIT}
    for value, state in told:
        if (value in noted) != (state == "done"):
            yield f"{LIMIT} = {value} was {state}, and {'is' if value in noted else 'is not'} among the changes."
    titles = Counter(c["title"] for c in journal.candidates if c["title"].startswith(TITLE))
    for command in journal.commands:
        if command["verb"] == "inject":
            title = json.loads(command["args"])["title"]
            if titles[title] != (command["state"] == "done"):
                yield f"The request to inject “{title}” was {command['state']}, and made {titles[title]} candidates."


def _answers(journal: Journal) -> Iterator[str]:
    """What was paid for was used, or it is said why not; nothing is left reserved for a call that is over."""
    for call in journal.calls:
        if call["status"] == "answered" and call["candidate"] is None and not call["outcome"]:
            if call["operator"] not in ("reflect", "review"):
                yield f"The answer of call {call['id']} ({call['operator']}) was paid for and not used."
