"""What is true of a workspace at a quiet moment: a run that is paused, with everything answered and the slot empty.

It looks with its own eyes as `tests.fuzz.audit`; only the text of results.tsv is the engine's own.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evolve.reader import Reader
from evolve.results import table
from tests.fuzz.audit import Journal, always
from tests.fuzz.person import LIMIT, SIZE, TITLE
from tests.fuzz.workshop import PEOPLE, Workshop, git

OURS = ("run.log", "__pycache__")  # what trainings leave in a worktree


def quiet(shop: Workshop) -> list[str]:
    """What holds besides once a run is paused, everything is answered and the slot is empty."""
    problems = always(shop)
    try:
        journal = Journal(shop.journal)
        for problem in (
            _settled(journal),
            _refs(journal, shop.workspace),
            _branch(journal, shop.workspace),
            _checkout(shop.workspace),
            _worktrees(journal, shop),
            _table(shop),
            _wishes(journal, shop),
            _answers(journal),
        ):
            problems += problem
    except (sqlite3.DatabaseError, subprocess.CalledProcessError) as error:
        problems.append(f"It cannot be looked at: {error}.")
    return problems


# ---- one by one ----------------------------------------------------------------------------------------------


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
    own = workspace / PEOPLE
    if not own.exists() or own.read_text() != "Mine.\n":
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
    on_disk = tomllib.loads(live.read_text()) if live.exists() else {}
    for wanted in (LIMIT, SIZE):
        section, _, key = wanted.partition(".")
        told = [
            (json.loads(c["args"])["value"], c["state"])
            for c in journal.commands
            if c["verb"] == "set" and json.loads(c["args"]).get("key") == wanted
        ]
        noted = [change["new"] for change in journal.changes if change["key"] == wanted]
        done = [value for value, state in told if state == "done"]
        if done and noted and noted[-1] != done[-1]:
            yield f"{wanted} was set to {done[-1]} last, and {noted[-1]} is in force."
        if done and (now := on_disk.get(section, {}).get(key)) != int(done[-1]):
            yield f"{wanted} was set to {done[-1]} last, and live.toml says {now}."
        if wanted != LIMIT:
            continue
        for value, state in told:
            if (value in noted) != (state == "done"):
                words = "is" if value in noted else "is not"
                yield f"{wanted} = {value} was {state}, and {words} among the changes."
    titles = Counter(c["title"] for c in journal.candidates if c["title"].startswith(TITLE))
    for command in journal.commands:
        if command["verb"] == "inject":
            title = json.loads(command["args"])["title"]
            if titles[title] != (command["state"] == "done"):
                yield f"The request to inject “{title}” was {command['state']}, and made {titles[title]} candidates."


def _answers(journal: Journal) -> Iterator[str]:
    """What was paid for was used, or it is said why not; nothing is left reserved for a call that is over."""
    for call in journal.calls:
        child = call["operator"] not in ("reflect", "review")
        used = call["candidate"] is not None or call["outcome"]
        if call["status"] == "answered" and child and not used:
            yield f"The answer of call {call['id']} ({call['operator']}) was paid for and not used."
