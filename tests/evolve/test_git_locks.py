"""Which locks of a killed git go and which stay, time limits, and gits that outlive their engine: with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolve import gitrun
from evolve.gitfaults import GitBusy, GitFault, ObjectsMissing, fault
from evolve.gitlocks import MARK, NOTE
from evolve.gitrun import GitRunner
from evolve.lock import start_ticks
from evolve.model import DiskFull, EvolveError, Passing
from evolve.places import STATE
from tests.evolve.gitplace import SCRIPT, Place, git, new_repository


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(new_repository(tmp_path / "work")).begin()
    made.child()
    made.line.worktree(2, made.journal.candidate(2).commit)
    yield made
    made.journal.close()


OWN = [
    "refs/autoresearch/try/9.lock",
    "refs/autoresearch-lost/try/9.lock",
    "worktrees/2/index.lock",
]
SHARED = ["index.lock", "HEAD.lock", "ORIG_HEAD.lock", "refs/heads/main.lock", "packed-refs.lock"]
FOREIGN = ["config.lock", "shallow.lock", "refs/heads/other.lock", "refs/tags/v1.lock"]


def locked(place: Place, name: str) -> Path:
    lock = place.repo / ".git" / name
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    return lock


def noted(place: Place) -> None:
    (place.repo / STATE / NOTE).write_text("merge\n")


@pytest.mark.parametrize("name", OWN)
def test_a_lock_where_only_we_work_goes_at_once(place: Place, name: str) -> None:
    lock = locked(place, name)
    assert place.line.sweep() == [lock]
    assert not lock.exists()


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_lock_goes_only_if_a_git_of_ours_was_killed(place: Place, name: str) -> None:
    lock = locked(place, name)
    assert place.line.sweep() == []  # a person's git left it: it is theirs to remove
    lock.unlink()
    noted(place)
    lock = locked(place, name)
    assert place.line.sweep() == [lock]
    assert not (place.repo / STATE / NOTE).exists()


@pytest.mark.parametrize("name", FOREIGN)
def test_locks_that_we_never_take_stay(place: Place, name: str) -> None:
    noted(place)
    lock = locked(place, name)
    assert place.line.sweep() == []
    assert lock.exists()


def test_a_lock_from_before_the_boot_goes_and_one_older_than_the_note_stays(place: Place) -> None:
    lock = locked(place, "index.lock")
    time.sleep(0.02)
    noted(place)
    assert place.line.sweep() == []
    assert lock.exists()
    # a machine that was started after it was made: nobody can hold it any more
    import evolve.gitlocks

    original = evolve.gitlocks._booted
    evolve.gitlocks._booted = lambda: time.time() + 60
    try:
        assert place.line.sweep() == [lock]
    finally:
        evolve.gitlocks._booted = original


@contextmanager
def editing(repo: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A person commits, and their editor is open: git holds index.lock all the while."""
    (repo / "README").write_text("edited")
    opened = repo.parent / "editor-is-open"
    editor = f"sh -c 'touch {opened}; exec sleep 60'"
    person = subprocess.Popen(
        ["git", "-C", str(repo), "commit", "-a"],
        env=os.environ | {"GIT_EDITOR": editor, "GIT_AUTHOR_NAME": "A", "EMAIL": "a@b"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until(opened.exists)
        yield person
    finally:
        os.killpg(person.pid, signal.SIGKILL)
        person.wait()


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_lock_of_a_person_who_types_a_message_is_never_removed(place: Place) -> None:
    child = place.journal.candidate(2)
    lock = place.repo / ".git" / "index.lock"
    noted(place)  # even where a git of ours had been killed a moment before
    with editing(place.repo):
        assert lock.exists()
        assert place.line.sweep() == []
        assert place.follow(child) != ""
        assert lock.exists()
        assert (place.repo / "README").read_text() == "edited"
    lock.unlink(missing_ok=True)
    git(place.repo, "checkout", "-q", "HEAD", "--", "README")
    assert place.follow(child) == ""


def test_a_lock_that_a_program_has_open_stays(place: Place) -> None:
    """Programs that are no git, an editor's plug-in say, keep the file open while they work."""
    lock = place.repo / ".git" / "refs" / "autoresearch" / "try" / "9.lock"
    code = f"import sys; f = open({str(lock)!r}, 'w'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert place.line.sweep() == []
        other.communicate()
    assert place.line.sweep() == [lock]


def test_a_stale_lock_that_is_met_on_the_way_is_no_obstacle(place: Place) -> None:
    locked(place, "refs/autoresearch/try/3.lock")
    assert place.child("B = 1\n").id == 3
    assert place.is_whole() or place.line.sync_worktrees({})


def test_a_lock_that_somebody_holds_for_a_moment_is_waited_for(place: Place) -> None:
    child = place.journal.candidate(2)
    lock = locked(place, "refs/heads/main.lock")
    with subprocess.Popen(["sh", "-c", f"sleep 0.3; rm {lock}"]):
        assert place.follow(child) == ""
    assert git(place.repo, "rev-parse", "main") == child.commit


# ---- time limits, kills, orphans -----------------------------------------------------------------------------


def filtered(repo: Path, command: str) -> None:
    git(repo, "config", "filter.odd.smudge", command)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "attributes").write_text(f"{SCRIPT} filter=odd\n")


def test_a_git_that_hangs_is_ended_with_all_it_started_and_its_locks_go(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = place.journal.candidate(2)
    pid = place.repo.parent / "filter.pid"
    filtered(place.repo, f"echo $$ > {pid}; exec sleep 600")
    monkeypatch.setattr(gitrun, "LIMIT", 2.0)
    began = time.monotonic()
    assert "did not end within 2 s" in place.follow(child)
    assert time.monotonic() - began < 20
    until(lambda: start_ticks(int(pid.read_text())) == 0)
    assert not (place.repo / ".git" / "index.lock").exists()
    git(place.repo, "config", "filter.odd.smudge", "cat")
    assert place.follow(child) == ""
    place.line.sync_worktrees({})
    assert place.is_whole()


def test_a_git_of_a_dead_engine_is_ended_and_one_of_a_live_engine_is_not(place: Place) -> None:
    gone = subprocess.Popen(["true"])
    ticks = start_ticks(gone.pid)
    gone.wait()
    state = place.repo / STATE
    dead, live = (
        f"{gone.pid}:{ticks or 1}:{state}",
        f"{os.getpid()}:{start_ticks(os.getpid())}:{state}",
    )
    hanging = [
        subprocess.Popen(["sleep", "600"], env=os.environ | {MARK: mark}) for mark in (dead, live)
    ]
    try:
        place.line.sweep()
        assert hanging[0].wait(5) == -signal.SIGKILL
        assert hanging[1].poll() is None
    finally:
        for process in hanging:
            process.kill()
            process.wait()


def test_git_leaves_no_process_and_no_descriptor_behind(place: Place) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        place.line.diff(place.journal.candidate(1).commit, place.journal.candidate(2).commit)
        with pytest.raises(EvolveError):
            place.line.source(f"{number:040x}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    assert not [c for c in children if "git" in Path(f"/proc/{c}/comm").read_text()]


def test_a_folder_that_is_gone_is_no_reason_to_look_elsewhere(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    runner = GitRunner(gone)
    gone.rmdir()
    monkeypatch.chdir(place.repo)
    with pytest.raises(GitFault, match="cannot change to"):
        runner.run("rev-parse", "HEAD")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "fatal: Unable to create '/r/.git/index.lock': File exists.\n\nAnother git",
            GitBusy,
            "index",
        ),
        ("error: unable to write file: No space left on device", DiskFull, "disk is full"),
        ("fatal: cannot lock ref: Disk quota exceeded", DiskFull, "disk is full"),
        ("error: insufficient permission for adding an object", GitBusy, "chmod -R u\\+w .git"),
        ("fatal: Unable to create '/r/.git/index.lock': Read-only file system", GitBusy, "chmod"),
        ("fatal: trying to write ref 'x' with nonexistent object 12", ObjectsMissing, "git fsck"),
        ("fatal: loose object 12 (stored in x) is corrupt", ObjectsMissing, "git fsck"),
        ("fatal: detected dubious ownership in repository at '/r'", GitFault, "safe.directory /r"),
        ("", GitFault, "no reason given"),
    ],
)
def test_what_git_says_becomes_a_kind_and_a_sentence(
    said: str, kind: type[EvolveError], words: str
) -> None:
    found = fault("merge", said)
    assert type(found) is kind
    with pytest.raises(kind, match=words):
        raise found
    assert isinstance(found, Passing) == (kind in (GitBusy, DiskFull))
