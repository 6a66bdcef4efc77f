"""The main job, for real: a fresh workspace, one command, trained candidates, lineage in git, a table of results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.model import Experiment
from evolve.reader import Reader
from harness.spec import Outcome

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# The rehearsal, cut to the bone: every mechanism runs, no score is worth anything.
SMALL = (
    *("--set", "budget.tokens=40960"),
    *("--set", "data.eval_tokens=8192"),
    *("--set", "data.local_mb=2"),
    *("--set", "acceptance.baseline_repeats=2"),
    *("--set", "acceptance.max_repeats=2"),
    *("--set", "scoring.audit_probes=32"),
    *("--set", "scoring.champion_probes=64"),
)


def autoresearch(workspace: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui", "-C", str(workspace), *argv],
        capture_output=True,
        text=True,
        timeout=390,
        env=dict(os.environ),
    )


def git(workspace: Path, *argv: str) -> str:
    return subprocess.run(
        ["git", "-C", str(workspace), *argv], capture_output=True, text=True, check=True
    ).stdout


def measured(workspace: Path) -> tuple[Experiment, ...]:
    with Reader.open(workspace / ".autoresearch" / "journal.db") as reader:
        return reader.all_experiments()


def test_one_command_evolves_train_py(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    made = autoresearch(tmp_path, "init", str(workspace))
    assert made.returncode == 0, made.stderr

    ran = autoresearch(workspace, "run", "--headless", "--max", "6", *SMALL)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 candidates" in ran.stdout

    results = json.loads(autoresearch(workspace, "results", "--json").stdout)
    children = [row for row in results if row["parents"]]
    assert len(children) >= 6
    assert len({row["operator"] for row in children}) >= 2
    assert any(row["scores"] for row in children)
    assert not any(row["voided"] for row in results)  # every one of them is honest

    # What is believed of them, and what each kind of idea came to, is there for people and programs.
    scored = [row for row in results if row["scores"]]
    assert all(row["belief"]["n"] == len(row["fitness"]) for row in scored)
    assert all(row["fitness"] == row["scores"] for row in scored)  # nothing else is priced
    trends = json.loads(autoresearch(workspace, "trends", "--by", "operator", "--json").stdout)
    tried = [row for row in children if row["verdict"] not in (None, "dropped")]
    assert sum(trend["attempts"] for trend in trends) == len(tried)
    operators = json.loads(autoresearch(workspace, "operators", "--json").stdout)
    assert sum(share["share"] for share in operators) == pytest.approx(1.0)
    outlook = json.loads(autoresearch(workspace, "status", "--json").stdout)["outlook"]
    assert outlook["policy"] == "confirmed"
    assert outlook["noise"]["n"] >= 1
    trained = [experiment for experiment in measured(workspace) if experiment.outcome is Outcome.OK]
    assert all(experiment.host_memory_mb for experiment in trained)

    # Every candidate is a commit under its own ref, and has the parents that the table says.
    refs = git(workspace, "for-each-ref", "refs/autoresearch", "--format=%(objectname)").split()
    assert len(refs) == len(results)
    for row in children:
        made_of = git(workspace, "log", "-1", "--format=%P", row["commit"]).split()
        assert len(made_of) == len(row["parents"])
        assert f"Candidate: #{row['id']}" in git(
            workspace, "log", "-1", "--format=%B", row["commit"]
        )
    assert git(workspace, "fsck", "--no-dangling").strip() == ""
    assert git(workspace, "status", "--porcelain", "--untracked-files=no") == ""

    # The living have a worktree with their train.py and the log of their last training.
    for row in results:
        log = workspace / ".autoresearch" / "worktrees" / str(row["id"]) / "run.log"
        assert log.exists() == row["alive"]
        assert not row["alive"] or "val_bpb" in log.read_text()

    # The ancestor's table, and a status that anyone can read.
    header, baseline, *_ = (workspace / "results.tsv").read_text().splitlines()
    assert header.split("\t") == ["commit", "val_bpb", "memory_gb", "status", "description"]
    assert baseline.split("\t")[3] == "keep"
    status = json.loads(autoresearch(workspace, "status", "--json").stdout)
    assert status["run"]["state"] == "finished"

    # What is done is done: the same command again has nothing to do, and says so.
    again = autoresearch(workspace, "run", "--headless", "--max", "6", *SMALL)
    assert again.returncode == 3
    assert "Nothing to do" in again.stderr
    assert "Traceback" not in ran.stderr + again.stderr
