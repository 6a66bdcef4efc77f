"""Whose a folder is: what others could put into our state or our caches is refused, what others could read is closed.

The judgement about the workspace itself is git's (`safe.directory`), which every command asks first.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from evolve.model import EvolveError


def make_private(folder: Path) -> list[str]:
    """Let nobody else read or write the state folder and the files in it; returns the names of what others could see.

    Raises EvolveError for a link in place of one of them, and for what belongs to another user: somebody else could
    have put it there.
    """
    opened = _close(folder, 0o700)
    seen = bool(
        opened
    )  # what lies in a closed folder nobody can reach, whatever its own rights are
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                _refuse_others(Path(entry.path), entry.stat(follow_symlinks=False))
            else:
                opened += _close(Path(entry.path), 0o600)
    return opened if seen else []


def refuse_open(folder: Path, what: str) -> None:
    """Raise EvolveError when others could put something into this folder; a sticky one, such as /tmp, is fine.

    `what` it is, in words. One that is not there yet is nobody's.
    """
    try:
        state = folder.stat()
    except FileNotFoundError:
        return
    if state.st_mode & stat.S_IWOTH and not state.st_mode & stat.S_ISVTX:
        raise EvolveError(
            f"Everybody may write to {folder}, {what}, and so could replace what runs there; `chmod o-w {folder}`, "
            "then run again."
        )


def refuse_strangers(folder: Path, what: str) -> None:
    """Raise EvolveError when the folder belongs to another user, or others could put something into it."""
    refuse_open(folder, what)
    if folder.exists() and (owner := folder.stat().st_uid) not in (os.geteuid(), 0):
        raise EvolveError(
            f"{folder}, {what}, belongs to another user (uid {owner}); run as that user with `sudo -u '#{owner}'`, or "
            "choose a folder of your own."
        )


def _close(path: Path, mode: int) -> list[str]:
    """Take the rights of all others away; returns the name if there were any."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # a file that SQLite has just removed
        return []
    try:
        state = os.fstat(descriptor)
        _refuse_others(path, state)
        if not state.st_mode & 0o077:
            return []
        # The name could lead elsewhere by now; the descriptor cannot.
        Path(f"/proc/self/fd/{descriptor}").chmod(mode)
        return [path.name]
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, state: os.stat_result) -> None:
    if stat.S_ISLNK(state.st_mode):
        raise EvolveError(
            f"{path} is a link, which could lead the run's state anywhere; move it away, or put the folder itself there."
        )
    if state.st_uid != os.geteuid():
        raise EvolveError(
            f"{path} belongs to another user (uid {state.st_uid}); run as that user with `sudo -u '#{state.st_uid}'`, "
            "or move it away."
        )
