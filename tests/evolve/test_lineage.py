"""Git as the lineage, against a real git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evolve.lineage import Lineage
from evolve.model import EvolveError

SEED = "import torch\nDEPTH = 2\n"


def git(repo: Path, *argv: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repo), *argv], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    (work / "trainer").mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / "trainer" / "train.py").write_text(SEED)
    (work / "README").write_text("mine\n")
    (work / ".gitignore").write_text(".autoresearch/\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "seed")
    return work


def lineage(repo: Path, run: str = "one") -> Lineage:
    return Lineage(repo, "auto", "auto", run)


def child(line: Lineage, number: int, text: str, *parents: str) -> str:
    commit = line.commit(
        number,
        SEED + text,
        list(parents),
        title=f"child {number}",
        body="Because.",
        trailers={"Candidate": f"#{number}", "Operator": "mutate"},
    )
    line.publish(number, commit)
    return commit


def test_a_candidate_is_a_commit_with_the_script_replaced_and_trailers(repo: Path) -> None:
    line = lineage(repo)
    head, source = line.head()
    assert source == SEED
    commit = child(line, 2, "A = 1\n", head)
    assert line.source(commit) == SEED + "A = 1\n"
    assert git(repo, "diff", "--name-only", head, commit) == "trainer/train.py"
    assert git(repo, "log", "-1", "--format=%(trailers:key=Candidate,valueonly)", commit) == "#2"
    assert git(repo, "rev-parse", "refs/autoresearch/one/2") == commit
    assert git(repo, "rev-parse", "main") == head
    assert git(repo, "status", "--porcelain") == ""
    assert "A = 1" in line.diff(head, commit)


def test_a_crossover_has_two_parents_and_the_graph_is_the_family_tree(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    a, b = child(line, 2, "A = 1\n", head), child(line, 3, "B = 1\n", head)
    both = child(line, 4, "A = 1\nB = 1\n", a, b)
    assert git(repo, "log", "-1", "--format=%P", both) == f"{a} {b}"
    assert git(repo, "log", "--graph", "--oneline", both).count("*") == 4
    assert git(repo, "fsck", "--strict") == ""


def test_text_of_a_model_is_data(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = line.commit(
        2, SEED + "X = 1\n", [head],
        title="--exec=evil \x1b[31m\nCandidate: #99",
        body="Candidate: #77\n\x00\x07text",
        trailers={"Candidate": "#2"},
    )  # fmt: skip
    assert git(repo, "log", "-1", "--format=%(trailers:key=Candidate,valueonly)", commit) == "#2"
    message = git(repo, "log", "-1", "--format=%B", commit)
    assert "\x1b" not in message
    assert message.splitlines()[0].startswith("#2 --exec=evil")
    with pytest.raises(EvolveError, match="no commit id"):
        line.diff("--output=/tmp/x", head)
    with pytest.raises(EvolveError, match="cannot name a run"):
        lineage(repo, "../evil")


def test_publishing_twice_is_fine_and_another_value_is_refused(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    line.publish(2, commit)
    with pytest.raises(EvolveError, match="update-ref"):
        line.publish(2, head)


def test_refs_are_repaired_from_the_journal(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    a, b = child(line, 2, "A = 1\n", head), child(line, 3, "B = 1\n", head)
    git(repo, "update-ref", "-d", "refs/autoresearch/one/2")
    git(repo, "update-ref", "refs/autoresearch/one/3", a)
    git(repo, "update-ref", "refs/autoresearch/one/9", a)
    line.sync({2: a, 3: b})
    refs = git(
        repo, "for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", "refs/autoresearch"
    )
    assert refs.splitlines() == [f"2 {a}", f"3 {b}"]


def test_worktrees_follow_the_population(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    a, b = child(line, 2, "A = 1\n", head), child(line, 3, "B = 1\n", head)
    line.sync_worktrees({2: a, 3: b})
    tree = repo / ".autoresearch" / "worktrees"
    assert (tree / "2" / "trainer" / "train.py").read_text() == SEED + "A = 1\n"
    (tree / "2" / "run.log").write_text("log")
    line.sync_worktrees({3: b})
    assert sorted(p.name for p in tree.iterdir()) == ["3"]
    import shutil

    shutil.rmtree(tree / "3")  # a person deletes it by hand
    line.sync_worktrees({3: b})
    assert (tree / "3" / "trainer" / "train.py").exists()
    assert line.source(a) == SEED + "A = 1\n"


def test_main_fast_forwards_and_a_clean_checkout_follows(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    moved = line.ratchet(commit, "#2 child", {"Val-Bpb": "1.0"})
    assert (moved.moved, moved.kind, moved.commit) == (True, "fast-forward", commit)
    assert git(repo, "rev-parse", "main") == commit
    assert (repo / "trainer" / "train.py").read_text() == SEED + "A = 1\n"
    assert git(repo, "status", "--porcelain") == ""
    assert line.ratchet(commit, "#2 child", {}).kind == "unchanged"


def test_a_commit_of_the_user_survives_the_ratchet_in_a_merge(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    (repo / "README").write_text("mine, edited meanwhile\n")
    git(repo, "commit", "-qam", "a note of mine")
    mine = git(repo, "rev-parse", "main")
    moved = line.ratchet(commit, "#2 child", {"Val-Bpb": "1.0", "Candidate": "#2"})
    assert (moved.moved, moved.kind) == (True, "merge")
    assert git(repo, "log", "-1", "--format=%P", "main") == f"{mine} {commit}"
    assert git(repo, "show", "main:README") == "mine, edited meanwhile"
    assert line.head()[1] == SEED + "A = 1\n"
    assert git(repo, "log", "-1", "--format=%(trailers:key=Val-Bpb,valueonly)", "main") == "1.0"


def test_a_dirty_checkout_defers_the_ratchet_and_is_not_touched(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    (repo / "trainer" / "train.py").write_text("half an idea")
    result = line.ratchet(commit, "#2 child", {})
    assert (result.moved, result.kind) == (False, "deferred")
    assert "uncommitted changes" in result.reason
    assert git(repo, "rev-parse", "main") == head
    assert (repo / "trainer" / "train.py").read_text() == "half an idea"


def test_main_moves_behind_another_branch(repo: Path) -> None:
    git(repo, "switch", "-qc", "mine")
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    (repo / "README").write_text("dirty, but on another branch\n")
    assert line.ratchet(commit, "#2 child", {}).moved
    assert git(repo, "rev-parse", "main") == commit
    assert git(repo, "rev-parse", "mine") == head


def _no_repository(repo: Path) -> None:
    import shutil

    shutil.rmtree(repo / ".git")


def _no_commit(repo: Path) -> None:
    _no_repository(repo)
    git(repo, "init", "-q", "-b", "main")


def _detached(repo: Path) -> None:
    git(repo, "switch", "-q", "--detach")


def _dirty(repo: Path) -> None:
    (repo / "README").write_text("changed")


def _no_script(repo: Path) -> None:
    git(repo, "rm", "-q", "trainer/train.py")
    git(repo, "commit", "-qm", "gone")


def _broken_script(repo: Path) -> None:
    (repo / "trainer" / "train.py").write_text("def f(:\n")
    git(repo, "commit", "-qam", "broken")


def _merging(repo: Path) -> None:
    (repo / ".git" / "MERGE_HEAD").write_text(git(repo, "rev-parse", "main") + "\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_no_repository, "is no git repository; `git init`"),
        (_no_commit, "no commit yet; commit your train.py"),
        (_detached, "detached HEAD"),
        (_dirty, r"uncommitted changes \(README\)"),
        (_no_script, "no train.py on main"),
        (_broken_script, r"does not parse \(line 1\)"),
        (_merging, "A merge is in progress"),
    ],
)
def test_an_unfit_workspace_is_refused_in_one_sentence(repo: Path, spoil, sentence: str) -> None:
    spoil(repo)
    with pytest.raises(EvolveError, match=sentence):
        lineage(repo).check()


def test_a_subfolder_is_no_workspace(repo: Path) -> None:
    with pytest.raises(EvolveError, match="run autoresearch there"):
        lineage(repo / "trainer")
