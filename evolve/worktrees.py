"""Worktrees of the living population, which a person can enter; a projection of the journal.

Leaving the population removes the worktree and never a commit. One that a person has worked in is moved aside
instead. Git's worktree commands are not safe in parallel, so one engine calls them one after another.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from evolve.gitrun import GitRunner, check_oid
from evolve.model import EvolveError
from harness.crashpoints import reached

_OURS = ("run.log", "__pycache__/")  # what trainings leave behind


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
        # --force: git may remember a folder that a person has deleted
        flags = ("--quiet", "--force", "--detach")
        reached("worktree.before-add")
        self._git.run("worktree", "add", *flags, str(path), check_oid(commit))
        reached("worktree.after-add")
        return path

    def drop(self, number: int, commit: str | None) -> None:
        """Remove a candidate's worktree. With changes of a person in it, or at another commit than `commit`
        (None: any), it is moved aside to `NUMBER-edited-N`."""
        path = self._folder / str(int(number))
        if shown_commit(path) is None:
            shutil.rmtree(
                path, ignore_errors=True
            )  # half-made by a killed git, or no worktree at all
        elif _edited(path) or commit not in (None, shown_commit(path)):
            self._move_aside(path)
        else:
            reached("worktree.before-drop")
            self._git.run("worktree", "remove", "--force", str(path))

    def sync(self, expected: dict[int, str], commit_of: Callable[[int], str | None]) -> None:
        """Give exactly `expected` (candidate to commit) a worktree; `commit_of` knows those that leave."""
        there = {int(p.name) for p in self._folder.glob("*") if p.name.isdigit() and p.is_dir()}
        for number in sorted(there - expected.keys()):
            self.drop(number, commit_of(number))
        for number, commit in expected.items():
            self.add(number, commit)

    def _move_aside(self, path: Path) -> None:
        count = 1
        while (aside := path.with_name(f"{path.name}-edited-{count}")).exists():
            count += 1
        self._git.run("worktree", "move", str(path), str(aside))


def shown_commit(path: Path) -> str | None:
    """The commit that a worktree shows, or None when it is none; read from its files, which costs no process."""
    try:
        pointer = (path / ".git").read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        return (Path(pointer) / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _edited(path: Path) -> bool:
    """Has a person changed or added a file?"""
    try:
        listed = GitRunner(path).run("status", "--porcelain", "-z").split("\0")
    except EvolveError:
        return True  # unreadable is no reason to remove it
    return any(entry[3:] not in _OURS for entry in listed if entry)
