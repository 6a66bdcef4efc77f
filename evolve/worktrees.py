"""Worktrees of the living population, which a person can enter; a projection of the journal.

Leaving the population removes the worktree and never a commit. One that a person has worked in, or that git no
longer knows, is moved aside instead; one that a person has locked stays. What cannot be done now is said and done
later: no training needs a worktree. Git's worktree commands are not safe in parallel, so one engine calls them one
after another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from evolve.gitfaults import GitFault
from evolve.gitrun import GitRunner, check_oid
from harness.crashpoints import reached
from harness.places import is_full

_OURS = ("run.log", "__pycache__/")  # what trainings leave behind
_MAKING = "initializing"  # git's own reason for the lock of a worktree that it is making


class Worktrees:
    """The folder `WORKSPACE/.autoresearch/worktrees`."""

    def __init__(self, git: GitRunner, folder: Path) -> None:
        self._git = git
        self._folder = folder

    def add(self, number: int, commit: str) -> Path:
        """The candidate's worktree at `commit`, made when it is missing or shows another commit."""
        path = self._folder / str(int(number))
        if shown_commit(path) == commit:
            return path
        self.drop(number, None)
        self._folder.mkdir(parents=True, exist_ok=True)
        reached("worktree.before-add")
        # --force: git may remember a folder that a person has deleted
        flags = ("--quiet", "--force", "--detach")
        self._git.run("worktree", "add", *flags, str(path), check_oid(commit))
        reached("worktree.after-add")
        return path

    def drop(self, number: int, commit: str | None) -> None:
        """Remove a candidate's worktree. With changes of a person in it, or at another commit than `commit`
        (None: any), it is moved aside to `NUMBER-edited-N`."""
        path = self._folder / str(int(number))
        reached("worktree.before-drop")
        admin = _admin(path)
        if admin is not None and _lock_of(admin) == _MAKING:  # git was killed while it made this
            shutil.rmtree(path, ignore_errors=True)
            shutil.rmtree(admin, ignore_errors=True)
        elif shown_commit(path) is None:
            self._drop_unknown(path)
        elif _edited(self._git.at(path)) or commit not in (None, shown_commit(path)):
            self._git.run("worktree", "move", str(path), str(_aside(path)))
        else:
            self._git.run("worktree", "remove", "--force", str(path))

    def sync(self, expected: dict[int, str], commit_of: Callable[[int], str | None]) -> list[str]:
        """Give exactly `expected` (candidate to commit) a worktree; `commit_of` knows those that leave.

        Returns what stood in the way, one sentence each.
        """
        there = {int(p.name) for p in self._folder.glob("*") if p.name.isdigit() and p.is_dir()}
        faults = []
        for number in sorted(there | expected.keys()):
            try:
                if number in expected:
                    self.add(number, expected[number])
                elif not _locked_by_hand(self._folder / str(number)):
                    self.drop(number, commit_of(number))
            except GitFault as error:
                faults.append(f"The worktree of #{number} waits: {error}")
            except OSError as error:
                if is_full(error):
                    raise
                faults.append(
                    f"The worktree of #{number} waits: {error.filename} {(error.strerror or 'fault').lower()}; "
                    "check who may write there."
                )
        self._prune()
        return faults

    def _drop_unknown(self, path: Path) -> None:
        """A folder that is no worktree: files in it are a person's, or of a worktree that a person has pruned."""
        if not path.is_dir():
            return
        if any(p.name not in (".git", "run.log", "__pycache__") for p in path.iterdir()):
            path.rename(_aside(path))
        else:
            shutil.rmtree(path, ignore_errors=True)

    def _prune(self) -> None:
        """Let git forget worktrees of ours whose folder is gone. A person's may lie on a disk that is not there now."""
        listed = self._git.run("worktree", "list", "--porcelain", "-z").split("\0\0")
        for entry in listed:
            lines = entry.split("\0")
            path = Path(lines[0].removeprefix("worktree "))
            gone = path.parent == self._folder and not path.exists()
            if gone and not any(line.startswith("locked") for line in lines):
                self._git.run("worktree", "remove", "--force", str(path))


def shown_commit(path: Path) -> str | None:
    """The commit that a worktree shows, or None when it is none; read from its files, which costs no process."""
    admin = _admin(path)
    try:
        if admin is None or _lock_of(admin) == _MAKING:
            return None
        return (admin / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _admin(path: Path) -> Path | None:
    """Git's own folder for a worktree, as the worktree names it."""
    try:
        pointer = (path / ".git").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    admin = Path(pointer.removeprefix("gitdir:").strip())
    return admin if pointer.startswith("gitdir:") and admin.parent.name == "worktrees" else None


def _lock_of(admin: Path) -> str | None:
    """Why git may not remove a worktree; None when it may."""
    try:
        return (admin / "locked").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _locked_by_hand(path: Path) -> bool:
    admin = _admin(path)
    return admin is not None and _lock_of(admin) not in (None, _MAKING)


def _aside(path: Path) -> Path:
    """A name beside a worktree that is free."""
    count = 1
    while (aside := path.with_name(f"{path.name}-edited-{count}")).exists():
        count += 1
    return aside


def _edited(git: GitRunner) -> bool:
    """Has a person changed or added a file?"""
    try:
        listed = git.run("status", "--porcelain", "-z").split("\0")
    except GitFault:
        return True  # unreadable is no reason to remove it
    return any(entry[3:] not in _OURS for entry in listed if entry)
