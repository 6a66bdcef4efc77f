"""Git as the lineage, against a real git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.lineage import Lineage, Ratchet
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


def ratchet(line: Lineage, commit: str, title: str, trailers: dict[str, str]) -> Ratchet:
    aim = line.aim(commit, title, trailers)
    return aim if isinstance(aim, Ratchet) else line.move(aim)


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
    assert message.splitlines()[0].startswith("candidate #2: --exec=evil")
    with pytest.raises(EvolveError, match="no commit id"):
        line.diff("--output=/tmp/x", head)
    with pytest.raises(EvolveError, match="cannot name a run"):
        lineage(repo, "../evil")


def test_publishing_twice_is_fine_and_what_was_there_is_kept(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    line.publish(2, commit)
    line.publish(2, head)  # an engine that was killed before its journal had the first one
    assert git(repo, "rev-parse", "refs/autoresearch/one/2") == head
    lost = git(repo, "for-each-ref", "--format=%(refname)", "refs/autoresearch-lost")
    assert lost == f"refs/autoresearch-lost/one/2-{commit[:12]}"


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
    # what only git knew is kept, and doing it again changes nothing
    lost = git(repo, "for-each-ref", "--format=%(refname)", "refs/autoresearch-lost")
    assert lost.splitlines() == [
        f"refs/autoresearch-lost/one/3-{a[:12]}",
        f"refs/autoresearch-lost/one/9-{a[:12]}",
    ]
    line.sync({2: a, 3: b})
    with pytest.raises(EvolveError, match="commits that this repository does not have"):
        line.sync({2: a, 3: b, 4: "1" * 40})


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
    shutil.rmtree(tree / "3")  # a person deletes it by hand
    line.sync_worktrees({3: b})
    assert (tree / "3" / "trainer" / "train.py").exists()
    assert line.source(a) == SEED + "A = 1\n"


def test_main_fast_forwards_and_a_clean_checkout_follows(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    moved = ratchet(line, commit, "#2 child", {"Val-Bpb": "1.0"})
    assert (moved.moved, moved.kind, moved.commit) == (True, "fast-forward", commit)
    assert git(repo, "rev-parse", "main") == commit
    assert (repo / "trainer" / "train.py").read_text() == SEED + "A = 1\n"
    assert git(repo, "status", "--porcelain") == ""
    assert ratchet(line, commit, "#2 child", {}).kind == "unchanged"


def test_a_commit_of_the_user_survives_the_ratchet_in_a_merge(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    (repo / "README").write_text("mine, edited meanwhile\n")
    git(repo, "commit", "-qam", "a note of mine")
    mine = git(repo, "rev-parse", "main")
    moved = ratchet(line, commit, "#2 child", {"Val-Bpb": "1.0", "Candidate": "#2"})
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
    result = ratchet(line, commit, "#2 child", {})
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
    assert ratchet(line, commit, "#2 child", {}).moved
    assert git(repo, "rev-parse", "main") == commit
    assert git(repo, "rev-parse", "mine") == head


def _no_repository(repo: Path) -> None:
    shutil.rmtree(repo / ".git")


def _no_commit(repo: Path) -> None:
    _no_repository(repo)
    git(repo, "init", "-q", "-b", "main")


def _detached(repo: Path) -> None:
    git(repo, "switch", "-q", "--detach")


def _dirty(repo: Path) -> None:
    (repo / "README").write_text("changed")


def _elsewhere(repo: Path) -> None:
    git(repo, "switch", "-qc", "mine")
    git(repo, "worktree", "add", "-q", str(repo.parent / "other"), "main")


def _uncommitted_script(repo: Path) -> None:
    git(repo, "rm", "-q", "--cached", "trainer/train.py")
    git(repo, "commit", "-qm", "gone")


def _linked_script(repo: Path) -> None:
    (repo / "trainer" / "train.py").unlink()
    (repo / "trainer" / "train.py").symlink_to("../README")
    git(repo, "commit", "-qam", "a link")


def _foreign_bytes(repo: Path) -> None:
    (repo / "trainer" / "train.py").write_bytes(b"x = '\xff'\n")
    git(repo, "commit", "-qam", "latin")


def _rebasing(repo: Path) -> None:
    (repo / ".git" / "rebase-merge").mkdir()


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
        (_rebasing, "A rebase is in progress"),
        (_elsewhere, "main is checked out in .*other"),
        (_uncommitted_script, "trainer/train.py is not committed on main; `git add"),
        (_linked_script, "is no ordinary file"),
        (_foreign_bytes, "is no UTF-8 text"),
    ],
)
def test_an_unfit_workspace_is_refused_in_one_sentence(
    repo: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(repo)
    with pytest.raises(EvolveError, match=sentence):
        lineage(repo).check()


def test_a_subfolder_is_no_workspace(repo: Path) -> None:
    with pytest.raises(EvolveError, match="run autoresearch there"):
        lineage(repo / "trainer")


def test_a_bare_repository_and_a_missing_folder_are_no_workspace(repo: Path) -> None:
    bare = repo.parent / "bare.git"
    git(repo, "clone", "-q", "--bare", str(repo), str(bare))
    with pytest.raises(EvolveError, match="has no checkout"):
        lineage(bare)
    with pytest.raises(EvolveError, match="There is no folder"):
        lineage(repo.parent / "nowhere")


def test_a_linked_worktree_is_a_workspace(repo: Path) -> None:
    other = repo.parent / "other"
    git(repo, "worktree", "add", "-qb", "try", str(other))
    line = Lineage(other, "auto", "try", "one")
    line.check()
    commit = child(line, 2, "A = 1\n", line.head()[0])
    assert ratchet(line, commit, "#2 child", {}).kind == "fast-forward"
    assert (other / "trainer" / "train.py").read_text() == SEED + "A = 1\n"
    assert git(repo, "rev-parse", "main") != commit
    assert git(other, "status", "--porcelain") == ""


def test_an_environment_that_points_elsewhere_is_refused(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(repo.parent / "x"))
    with pytest.raises(EvolveError, match="`unset GIT_DIR`"):
        lineage(repo)


def test_the_author_is_the_person_or_a_neutral_name(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(repo, "rev-parse", "main")
    git(repo, "config", "user.name", "Ann")
    git(repo, "config", "user.email", "ann@example.org")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME")
        monkeypatch.delenv(f"GIT_{role}_EMAIL")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    mine = child(lineage(repo), 2, "A = 1\n", head)
    assert git(repo, "log", "-1", "--format=%an <%ae> %cn", mine) == "Ann <ann@example.org> Ann"
    git(repo, "config", "--unset", "user.name")
    git(repo, "config", "--unset", "user.email")
    neutral = child(lineage(repo), 3, "A = 2\n", head)
    assert git(repo, "log", "-1", "--format=%an %ce", neutral) == (
        "autoresearch autoresearch@localhost"
    )


@pytest.mark.parametrize(
    "body", ["---\nCandidate: #9", "Val-Bpb: 0.1", "text\n\nVal-Bpb: 0.1\nCandidate: #9", ""]
)
def test_no_hypothesis_can_pose_as_a_trailer(repo: Path, body: str) -> None:
    line = lineage(repo)
    commit = line.commit(
        2, SEED, [line.head()[0]], title="t", body=body, trailers={"Candidate": "#2"}
    )
    message = git(repo, "log", "-1", "--format=%B", commit)
    parsed = subprocess.run(
        ["git", "-C", str(repo), "interpret-trailers", "--parse"],
        input=message + "\n",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert parsed == "Candidate: #2\n"


def test_a_script_keeps_its_bytes_its_mode_and_its_neighbours(repo: Path) -> None:
    (repo / "trainer" / "train.py").chmod(0o755)
    (repo / "trainer" / "ünï\tcode").write_text("x")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "more")
    line = lineage(repo)
    text = "x = 'ü'\r\n\n\n  # no line break at the end"
    commit = line.commit(
        2, text, [line.head()[0]], title="t", body="", trailers={"Candidate": "#2"}
    )
    assert line.source(commit) == text
    assert git(repo, "ls-tree", commit, "trainer/train.py").startswith("100755 blob")
    assert git(repo, "diff", "--name-only", "main", commit) == "trainer/train.py"
    grandchild = line.commit(3, SEED, [commit], title="t", body="", trailers={"Candidate": "#3"})
    assert git(repo, "ls-tree", "-r", "--name-only", grandchild) == git(
        repo, "ls-tree", "-r", "--name-only", "main"
    )
    assert git(repo, "merge-base", grandchild, "main") == git(repo, "rev-parse", "main")


def test_a_person_s_work_in_a_worktree_is_moved_aside(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commits = {n: child(line, n, f"A = {n}\n", head) for n in (2, 3, 4)}
    line.sync_worktrees(commits)
    tree = repo / ".autoresearch" / "worktrees"
    (tree / "2" / "trainer" / "train.py").write_text("an experiment of mine")
    git(tree / "3", "commit", "-qm", "mine", "--allow-empty")
    (tree / "4" / "run.log").write_text("log")
    line.sync_worktrees({})
    assert sorted(p.name for p in tree.iterdir()) == ["2-edited-1", "3-edited-1"]
    assert (tree / "2-edited-1" / "trainer" / "train.py").read_text() == "an experiment of mine"
    line.sync_worktrees({2: commits[2]})
    assert (tree / "2" / "trainer" / "train.py").read_text() == SEED + "A = 2\n"
    line.sync_worktrees({})
    assert not (tree / "2").exists()
    assert git(repo, "fsck", "--strict") == ""


def test_a_worktree_of_an_earlier_run_is_replaced(repo: Path) -> None:
    first = lineage(repo, "one")
    head, _ = first.head()
    first.worktree(2, child(first, 2, "A = 1\n", head))
    second = lineage(repo, "two")
    path = second.worktree(2, child(second, 2, "B = 1\n", head))
    assert (path / "trainer" / "train.py").read_text() == SEED + "B = 1\n"
    (path / ".git").unlink()  # a killed git leaves half of one
    path = second.worktree(2, git(repo, "rev-parse", "refs/autoresearch/two/2"))
    assert git(path, "status", "--porcelain") == ""


def test_what_a_person_committed_on_top_is_not_undone(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    ratchet(line, commit, "#2 child", {})
    (repo / "trainer" / "train.py").write_text(SEED + "MINE = 1\n")
    git(repo, "commit", "-qam", "my own idea")
    assert ratchet(line, commit, "#2 child", {}).kind == "unchanged"
    assert line.head()[1] == SEED + "MINE = 1\n"
    better = child(line, 3, "A = 2\n", commit)
    assert ratchet(line, better, "#3 child", {"Candidate": "#3"}).kind == "merge"
    assert line.head()[1] == SEED + "A = 2\n"
    assert ratchet(line, better, "#3 child", {}).kind == "unchanged"
    assert "my own idea" in git(repo, "log", "--format=%s", "main")


def test_main_can_go_back_to_an_ancestor_of_what_it_holds(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    older = child(line, 2, "A = 1\n", head)
    newer = child(line, 3, "A = 2\n", older)
    ratchet(line, newer, "#3 child", {})
    again = ratchet(line, older, "#2 child", {"Candidate": "#2"})
    assert (again.moved, again.kind) == (True, "merge")
    assert line.head()[1] == SEED + "A = 1\n"


def test_a_moment_s_obstacle_defers_and_a_later_try_moves(repo: Path) -> None:
    line = lineage(repo)
    head, _ = line.head()
    commit = child(line, 2, "A = 1\n", head)
    lock = repo / ".git" / "index.lock"
    lock.write_text("")
    tried = ratchet(line, commit, "#2 child", {})
    assert (tried.moved, tried.kind, tried.commit) == (False, "deferred", head)
    assert str(lock) in tried.reason
    assert git(repo, "rev-parse", "main") == head
    lock.unlink()
    assert ratchet(line, commit, "#2 child", {}).moved
    assert git(repo, "status", "--porcelain") == ""


def test_hooks_and_collection_of_the_user_stay_out(repo: Path) -> None:
    for hook in ("post-checkout", "post-merge", "reference-transaction", "pre-commit"):
        path = repo / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text('#!/bin/sh\ntouch "$(git rev-parse --git-common-dir)/ran-$0"\nexit 1\n')
        path.chmod(0o755)
    before = (repo / ".git" / "config").read_text()
    line = lineage(repo)
    commit = child(line, 2, "A = 1\n", line.head()[0])
    line.sync_worktrees({2: commit})
    assert ratchet(line, commit, "#2 child", {}).moved
    assert not list((repo / ".git").rglob("ran-*"))
    assert (repo / ".git" / "config").read_text() == before


def test_a_results_table_that_is_committed_does_not_hold_up_main(repo: Path) -> None:
    (repo / "results.tsv").write_text("old\n")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "my table")
    line = lineage(repo)
    commit = child(line, 2, "A = 1\n", line.head()[0])
    (repo / "results.tsv").write_text("new\n")
    line.check()
    assert ratchet(line, commit, "#2 child", {}).moved
    assert (repo / "results.tsv").read_text() == "new\n"
