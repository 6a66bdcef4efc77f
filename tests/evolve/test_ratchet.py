"""Main moves once, whatever is killed in between, and never over a person's edit: against a real git."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolve.gitlocks import NOTE
from evolve.places import STATE
from tests.evolve.gitplace import SCRIPT, SEED, Place, git, new_repository

ROOT = Path(__file__).parents[2]
WON = SEED + "A = 1\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(new_repository(tmp_path / "work")).begin()
    yield made
    made.journal.close()


def test_a_move_is_in_the_journal_before_and_after(place: Place) -> None:
    child = place.child()
    assert place.follow(child) == ""
    assert (place.steps(), git(place.repo, "rev-parse", "main")) == (["moved"], child.commit)
    assert "main moved to #2 (fast-forward)." in place.told()
    assert place.follow(child) == ""
    assert place.steps() == ["moved"]
    assert place.is_whole()


# ---- every state in which a kill can leave a checkout, made by hand ------------------------------------------


def _untouched(repo: Path, target: str) -> None:
    git(repo, "update-ref", "ORIG_HEAD", "main")


def _file_gone(repo: Path, target: str) -> None:
    (repo / SCRIPT).unlink()


def _file_empty(repo: Path, target: str) -> None:
    (repo / SCRIPT).write_text("")


def _file_half(repo: Path, target: str) -> None:
    (repo / SCRIPT).write_text(WON[:-3])


def _file_new(repo: Path, target: str) -> None:
    (repo / SCRIPT).write_text(WON)


def _index_new(repo: Path, target: str) -> None:
    git(repo, "read-tree", target)


def _file_and_index_new(repo: Path, target: str) -> None:
    git(repo, "read-tree", "-m", "-u", "main", target)


def _moved_and_checkout_behind(repo: Path, target: str) -> None:
    git(repo, "update-ref", "refs/heads/main", target)


def _moved(repo: Path, target: str) -> None:
    git(repo, "merge", "-q", "--ff-only", target)


def _locks(repo: Path, target: str) -> None:
    _file_half(repo, target)
    (repo / STATE / NOTE).write_text("merge\n")
    for name in ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "refs/heads/main.lock"):
        (repo / ".git" / name).write_text("")


TORN = [
    *(_untouched, _file_gone, _file_empty, _file_half, _file_new, _index_new),
    *(_file_and_index_new, _moved_and_checkout_behind, _moved, _locks),
]


@pytest.mark.parametrize("tear", TORN)
def test_a_torn_move_is_put_in_order_at_the_next_start(
    place: Place, tear: Callable[[Path, str], None]
) -> None:
    child = place.child()
    place.intend(child)
    tear(place.repo, child.commit)
    after = place.again()
    assert after.journal.open_ratchet() is None
    assert after.is_whole()  # before anybody tries to move main again
    assert after.follow(child) == ""
    assert after.steps()[-1] == "moved"
    assert git(after.repo, "rev-parse", "main") == child.commit
    assert (after.repo / SCRIPT).read_text() == WON
    assert after.is_whole()
    after.journal.close()


@pytest.mark.parametrize("text", [WON + "MINE = 1\n", "half an idea", SEED + "A = 2\n"])
@pytest.mark.parametrize("tear", [_untouched, _index_new, _file_and_index_new])
def test_what_a_person_wrote_is_never_taken_for_a_torn_move(
    place: Place, tear: Callable[[Path, str], None], text: str
) -> None:
    child = place.child()
    place.intend(child)
    tear(place.repo, child.commit)
    (place.repo / SCRIPT).write_text(text)
    after = place.again()
    assert "uncommitted changes (trainer/train.py)" in after.follow(child)
    assert (after.repo / SCRIPT).read_text() == text
    git(after.repo, "checkout", "-q", "HEAD", "--", SCRIPT)
    assert after.follow(child) == ""
    assert after.is_whole()
    after.journal.close()


def test_edits_beside_a_torn_script_stay_and_defer(place: Place) -> None:
    child = place.child()
    place.intend(child)
    _file_and_index_new(place.repo, child.commit)
    (place.repo / "README").write_text("edited")
    after = place.again()
    assert (after.repo / SCRIPT).read_text() == SEED
    assert "uncommitted changes (README)" in after.follow(child)
    assert (after.repo / "README").read_text() == "edited"
    after.journal.close()


def test_a_commit_of_a_person_over_a_torn_move_stays(place: Place) -> None:
    """They committed another file while the script lay there torn: HEAD still has the old script."""
    child = place.child()
    place.intend(child)
    _file_and_index_new(place.repo, child.commit)
    (place.repo / "README").write_text("edited")
    git(place.repo, "commit", "-qm", "mine", "README")
    mine = git(place.repo, "rev-parse", "main")
    after = place.again()
    assert after.follow(child) == ""
    assert git(after.repo, "log", "-1", "--format=%P", "main") == f"{mine} {child.commit}"
    assert after.is_whole()
    after.journal.close()


def test_a_merge_of_a_person_keeps_a_torn_move_as_it_is(place: Place) -> None:
    child = place.child()
    place.intend(child)
    (place.repo / ".git" / "MERGE_HEAD").write_text(f"{child.commit}\n")
    _file_and_index_new(place.repo, child.commit)
    after = place.again()
    assert (after.repo / SCRIPT).read_text() == WON
    assert "a merge is in progress" in after.follow(child)
    git(after.repo, "reset", "-q", "--hard")
    assert after.follow(child) == ""
    after.journal.close()


# ---- kills ---------------------------------------------------------------------------------------------------

MOVE = """
import sys
from pathlib import Path
from tests.evolve.gitplace import Place
place = Place(Path(sys.argv[1]))
print(place.follow(place.journal.candidate(2)))
"""


def moving(repo: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Another engine moves main to #2; it may die of that."""
    argv = [sys.executable, "-c", MOVE, str(repo)]
    given = os.environ | environment
    return subprocess.run(argv, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("point", ["ratchet.before-move", "ratchet.after-move"])
def test_an_engine_killed_around_the_move_leaves_nothing(place: Place, point: str) -> None:
    child = place.child()
    assert moving(place.repo, AUTORESEARCH_CRASH=point).returncode == -signal.SIGKILL
    after = place.again()
    assert after.steps() == ["abandoned" if point == "ratchet.before-move" else "moved"]
    assert after.follow(child) == ""
    assert git(after.repo, "rev-parse", "main") == child.commit
    assert after.is_whole()
    after.journal.close()


def deadly_filter(repo: Path, victims: str) -> None:
    """A filter on the script that kills when git checks it out for the first time: in the middle of a merge."""
    flag = repo / ".git" / "was-deadly"
    kill = f"if test -e {flag}; then cat; else touch {flag}; {victims}; fi"
    git(repo, "config", "filter.deadly.smudge", kill)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "attributes").write_text(f"{SCRIPT} filter=deadly\n")


def test_a_git_that_is_killed_in_the_middle_of_the_move_is_made_good_at_once(place: Place) -> None:
    child = place.child()
    deadly_filter(place.repo, "kill -9 $PPID")
    waits = place.follow(child)
    assert (place.repo / ".git" / "was-deadly").exists()
    assert waits == "" or place.follow(child) == ""
    assert git(place.repo, "rev-parse", "main") == child.commit
    assert (place.repo / SCRIPT).read_text() == WON
    assert place.is_whole()


def test_an_engine_killed_with_its_git_in_the_middle_of_the_move(place: Place) -> None:
    child = place.child()
    # the engine is the parent of git, which is the parent of the filter
    deadly_filter(place.repo, "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); kill -9 $PPID")
    assert moving(place.repo).returncode == -signal.SIGKILL
    assert (place.repo / ".git" / "index.lock").exists()
    after = place.again()
    assert after.follow(child) == ""
    assert after.steps()[-1] == "moved"
    assert (after.repo / SCRIPT).read_text() == WON
    assert after.is_whole()
    after.journal.close()


# ---- main under a person's hands -----------------------------------------------------------------------------


def test_main_that_was_moved_back_by_hand_stays_there_until_a_better_one(place: Place) -> None:
    child = place.child()
    place.follow(child)
    git(place.repo, "reset", "-q", "--hard", "HEAD~1")
    after = place.again()
    assert "moved away from #2 by hand" in after.follow(child)
    assert git(after.repo, "show", f"main:{SCRIPT}") == SEED.strip()
    better = after.child("B = 1\n", parent=2)
    assert after.follow(better) == ""
    assert git(after.repo, "rev-parse", "main") == better.commit
    after.journal.close()


@pytest.mark.parametrize(
    "rewrite",
    [
        ("commit", "-q", "--amend", "-m", "in my words"),
        ("checkout", "-q", "-B", "main", "HEAD"),
        ("gc", "-q", "--prune=now"),
        ("reflog", "expire", "--expire=now", "--all"),
        ("repack", "-adq"),
        ("pack-refs", "--all"),
    ],
)
def test_history_that_a_person_rewrites_or_packs_stops_nothing(
    place: Place, rewrite: tuple[str, ...]
) -> None:
    first = place.child()
    place.follow(first)
    git(place.repo, *rewrite)
    second = place.child("B = 1\n", parent=2)
    assert place.follow(second) == ""
    assert git(place.repo, "show", f"main:{SCRIPT}") == (SEED + "B = 1").strip()
    assert place.again().is_whole()


def test_a_branch_that_is_gone_or_renamed_defers_and_comes_back(place: Place) -> None:
    child = place.child()
    git(place.repo, "branch", "-m", "main", "trunk")
    waits = place.follow(child)
    assert "no branch main any more" in waits
    assert waits == place.follow(child)
    git(place.repo, "branch", "main", "trunk")
    assert place.follow(child) == ""
    assert git(place.repo, "rev-parse", "main") == child.commit
    assert git(place.repo, "rev-parse", "trunk") != child.commit


def test_a_checkout_that_is_elsewhere_detached_or_busy(place: Place) -> None:
    repo = place.repo
    children = [place.child(f"A = {n}\n") for n in range(4)]
    git(repo, "switch", "-q", "--detach")
    assert place.follow(children[0]) == ""  # nobody has main: it moves behind
    other = repo.parent / "other"
    git(repo, "worktree", "add", "-q", str(other), "main")
    assert place.follow(children[1]) == ""
    assert (other / SCRIPT).read_text() == SEED + "A = 1\n"
    (other / SCRIPT).write_text("busy")
    assert "other has uncommitted changes" in place.follow(children[2])
    git(other, "checkout", "-q", "--", SCRIPT)
    (repo / ".git" / "worktrees" / "other" / "BISECT_LOG").write_text("")
    assert "a bisect is in progress" in place.follow(children[2])
    assert place.steps().count("moved") == 2
