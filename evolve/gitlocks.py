"""Locks that a killed git left behind, and gits that outlived their engine: what may be removed, and when.

The repository belongs to a person, so nearly nothing here is ours. A lock file is removed only by an engine (which
holds the workspace's lock), only if its owner is us, only while no process of ours has it open or runs git in this
repository, and only by one of these rules:

| lock | is removed |
|---|---|
| below `refs/autoresearch*`, in the administration of our worktrees | always: nobody else has work there |
| `index`, `HEAD`, `ORIG_HEAD` of a checkout, the moved branch, `packed-refs` | if it was made while a git of ours ran that was then killed, or before this machine was started |
| `config`, `shallow`, other refs, anything else | never: the engine does not take these |

That a git of ours was killed is known by a note in the state folder: written before each command that takes locks,
removed when that has ended by itself. Times are compared as the file system stamps them. A person's git that waits
in an editor is alive, so its lock stays, for however long.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from evolve.lock import start_ticks
from evolve.places import WORKTREES

NOTE = "git.running"
MARK = "AUTORESEARCH_GIT"  # in the environment of our gits: PID:START TICKS:STATE FOLDER
WINDOW = 120.0  # seconds after a note in which a lock is of that command: its time limit, with room
FAREWELL = 2.0  # seconds that a git which outlived its engine gets to end by itself
_OF_A_CHECKOUT = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock")


class Locks:
    """The locks of the repository with the common directory `common`, seen from the engine of one workspace."""

    def __init__(self, common: Path, state: Path, branch: str) -> None:
        """`state`: the workspace's state folder; `branch`: the one that the ratchet moves."""
        self._common = common
        self._state = state
        self._branch = branch
        self._note = state / NOTE

    @property
    def mark(self) -> str:
        """What tells a git of this process from all others, as the value of `MARK`."""
        return f"{os.getpid()}:{start_ticks(os.getpid())}:{self._state}"

    def note(self, command: str) -> None:
        """A command that takes locks is about to run."""
        self._state.mkdir(mode=0o700, exist_ok=True)
        self._note.write_text(f"{command}\n", encoding="utf-8")

    def forget(self) -> None:
        """It has ended by itself, so it has put its locks away."""
        self._note.unlink(missing_ok=True)

    def sweep(self) -> list[Path]:
        """Remove what may be removed; returns that. Ends gits of engines that are dead first."""
        self.end_orphans()
        swept = [lock for lock in [*self._own(), *self._shared()] if self.clear(lock)]
        self.forget()
        return swept

    def clear(self, lock: Path) -> bool:
        """Remove one lock if the rules allow it."""
        try:
            found = lock.lstat()
        except OSError:
            return False
        if found.st_uid != os.getuid():
            return False
        if lock not in self._own() and not (
            lock in self._shared() and self._is_stale(found.st_ctime)
        ):
            return False
        if self._at_work(lock):
            return False
        lock.unlink(missing_ok=True)
        return True

    def end_orphans(self) -> list[int]:
        """End gits of this workspace whose engine is dead, after a moment for them to end; returns their ids."""
        orphans = [pid for pid in _processes() if self._is_orphan(pid)]
        deadline = time.monotonic() + FAREWELL
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                descriptor = os.pidfd_open(pid)
                try:
                    _wait(descriptor, deadline - time.monotonic())
                    if self._is_orphan(pid):
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                        _wait(descriptor, FAREWELL)
                finally:
                    os.close(descriptor)
        return orphans

    # ---- private ---------------------------------------------------------------------------------------

    def _own(self) -> list[Path]:
        """Lock files in places where only this program works."""
        found: list[Path] = []
        for name in ("autoresearch", "autoresearch-lost"):
            for folder, _, files in os.walk(self._common / "refs" / name):
                found += [Path(folder, file) for file in files if file.endswith(".lock")]
        for admin in self._admins():
            if self._is_ours(admin):
                found += admin.glob("*.lock")
        return found

    def _shared(self) -> list[Path]:
        """Lock files that a command of ours takes, and a person's too."""
        places = [
            self._common / "packed-refs.lock",
            self._common / "refs" / "heads" / f"{self._branch}.lock",
        ]
        checkouts = [self._common, *(a for a in self._admins() if not self._is_ours(a))]
        places += [folder / name for folder in checkouts for name in _OF_A_CHECKOUT]
        return [place for place in places if place.exists()]

    def _admins(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [p for p in (self._common / "worktrees").iterdir() if p.is_dir()]
        return []

    def _is_ours(self, admin: Path) -> bool:
        """Does this folder administrate a worktree of the population?"""
        pointer = _text(admin / "gitdir").strip()
        return bool(pointer) and Path(pointer).is_relative_to(self._state / WORKTREES)

    def _is_stale(self, changed: float) -> bool:
        """Was a shared lock, last changed at `changed`, left by a killed git of ours or before the boot?"""
        if changed < _booted():
            return True
        try:
            noted = self._note.stat().st_mtime
        except OSError:
            return False
        return noted <= changed <= noted + WINDOW

    def _at_work(self, lock: Path) -> bool:
        """Does a process of ours have the lock open, or run git in this repository?"""
        folders = {self._common, self._common.parent, self._state.parent}
        folders |= {Path(_text(a / "gitdir").strip()).parent for a in self._admins()}
        roots = [str(folder) for folder in folders if folder.is_absolute() and folder != Path("/")]
        return any(_has_open(pid, lock) or _is_git_in(pid, roots) for pid in _processes())

    def _is_orphan(self, pid: int) -> bool:
        for entry in _text(Path(f"/proc/{pid}/environ")).split("\0"):
            name, _, value = entry.partition("=")
            if name == MARK:
                engine, ticks, state = [*value.split(":", 2), "", ""][:3]
                gone = not engine.isdigit() or str(start_ticks(int(engine))) != ticks
                return gone and state == str(self._state)
        return False


def _processes() -> Iterable[int]:
    """Processes of this user, without this one."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all it takes
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError):
                if Path("/proc", name).stat().st_uid == os.getuid():
                    yield int(name)


def _has_open(pid: int, file: Path) -> bool:
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if entry.readlink() == file:
                    return True
    return False


def _is_git_in(pid: int, roots: list[str]) -> bool:
    """Is this a git that works in, or was pointed at, one of these folders?"""
    place = Path(f"/proc/{pid}")
    if not _text(place / "comm").startswith("git"):
        return False
    words = _text(place / "cmdline").split("\0")
    with contextlib.suppress(OSError):
        words.append(str((place / "cwd").readlink()))
    return any(_names(word, root) for word in words for root in roots)


def _names(word: str, root: str) -> bool:
    start = word.find(root)
    return start >= 0 and word[start + len(root) :][:1] in ("", "/")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _booted() -> float:
    """When this machine was started, unix seconds; 0 where that cannot be known, which makes nothing stale."""
    for line in _text(Path("/proc/stat")).splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _wait(descriptor: int, seconds: float) -> None:
    """Until the process behind a pidfd has ended, or so many seconds."""
    select.select([descriptor], [], [], max(0.0, seconds))
