"""What git and the folders of trainings still know of a run when its journal does not.

Each candidate is a commit under `refs/autoresearch/RUN/NUMBER`, with its operator in the trailers; each training that ended
has left `spec.json` and `result.json`. Both are brought back as rows, with no more in them than these say. It only reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from evolve.gitrun import GitRunner, check_oid
from evolve.model import EvolveError, Operator
from evolve.propose.vetting import code_hash
from evolve.pruning import loss_form
from evolve.rows import as_json, result_columns
from evolve.salvage import Row
from harness.rundir import read_result
from harness.spec import Outcome, Result

_SEPARATOR = "\x1f"
_ASKED = _SEPARATOR.join(
    ("%P", "%ct", "%s", "%(trailers:key=Operator,valueonly,separator=)",
     "%(trailers:key=Proposer,valueonly,separator=)", "%(trailers:key=Category,valueonly,separator=)")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that ended, as its folder tells."""

    number: int
    source_sha: str
    seed: int
    ended: float  # unix seconds
    result: Result


def commits(workspace: Path, run: str) -> dict[int, str]:
    """Candidates of a run that git has: number → commit. Empty where there is no repository."""
    prefix = f"refs/autoresearch/{run}/"
    try:
        told = GitRunner(workspace).read(
            "for-each-ref", "--format=%(refname) %(objectname)", "--", prefix
        )
    except EvolveError:
        return {}
    found = {}
    for line in told.decode().splitlines():
        name, _, commit = line.partition(" ")
        if (number := name.removeprefix(prefix)).isdecimal():
            found[int(number)] = commit
    return found


def candidate(
    workspace: Path, script: str, number: int, commit: str, known: Mapping[str, int]
) -> Row:
    """The row of a candidate by its commit; `known`: commits of all candidates → their numbers.

    Raises EvolveError where git cannot read it.
    """
    git = GitRunner(workspace)
    told = git.read("log", "-1", f"--format={_ASKED}", check_oid(commit), "--").decode()
    commits_of, created, title, operator, proposer, category = told.rstrip("\n").split(_SEPARATOR)
    source = git.read("cat-file", "blob", f"{check_oid(commit)}:{script}").decode()
    parents = sorted(known[oid] for oid in commits_of.split() if known.get(oid, number) < number)
    return {
        "id": number,
        "operator": operator
        if operator in [str(word) for word in Operator]
        else _operator(parents),
        "proposer": proposer or "human",
        "title": title.removeprefix(f"candidate #{number}: "),
        "hypothesis": "",
        "category": category or "other",
        "commit_oid": commit,
        "source_sha": sha256(source.encode()).hexdigest(),
        "code_hash": code_hash(source),
        "lines": len(source.splitlines()),
        "created": float(created),
        "state": "ready",
        "generation": 0 if not parents else 1,
        "prompt_version": "",
        "model": "",
        "priority": 0,
        "changes": "[]",
        "parents": as_json(parents),
        "loss_form": loss_form(source),
    }


def trained(experiments: Path) -> list[Trained]:
    """Every training whose folder has a result, in their order; folders that cannot be read are left out."""
    found = []
    for folder in experiments.iterdir() if experiments.is_dir() else ():
        if not folder.name.isdecimal():
            continue
        try:
            spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
            result = read_result(folder)
            source, seed = str(spec["source"]), int(spec["seed"])
            ended = (folder / "result.json").stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if result is not None:
            sha = sha256(source.encode()).hexdigest()
            found.append(Trained(int(folder.name), sha, seed, ended, result))
    return sorted(found, key=lambda training: training.number)


def experiment(training: Trained, of: int, purpose: str) -> Row:
    """The row of a training that ended."""
    result = training.result
    scored = result.val_bpb if result.outcome is Outcome.OK else None
    return {
        "id": training.number,
        "candidate": of,
        "purpose": purpose,
        "seed": training.seed,
        "directory": str(training.number),
        "started": training.ended - result.total_seconds,
        "finished": training.ended,
        "fitness": scored,
        **result_columns(result),
    }


def _operator(parents: list[int]) -> str:
    return str((Operator.SEED, Operator.MUTATE, Operator.CROSSOVER)[len(parents)])
