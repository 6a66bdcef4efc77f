"""One engine per workspace: a lock held for life, which also tells clients who holds it and that it is alive.

The kernel releases the lock however the engine ends, so a stale one cannot exist; the text inside is for people
and clients, never the proof. Not for network file systems, where such locks mean little.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve.model import EvolveError
from harness.places import is_full

WIDTH = 2048  # bytes of the text, blanks and all, if it is no longer
ACQUIRE_TRIES = 25
ACQUIRE_PAUSE = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds, or last held, a workspace's engine lock."""

    pid: int
    start_ticks: (
        int  # of the process, since boot; with boot_id it cannot be mistaken for another one
    )
    boot_id: str
    started: float  # unix seconds
    doing: str = ""
    waits: str = ""  # for what, when a fault keeps it from working: a clause; empty = it works
    # CLOCK_MONOTONIC when the stop rule's hours began, less those of earlier engines; that clock stands while the
    # machine sleeps, and nobody can set it. None = not told.
    awake_since: float | None = None
    alive: bool = False
    heartbeat_age: float = 0.0  # seconds


class EngineLock:
    """A context manager that holds the lock. Raises EvolveError when another engine has it."""

    def __init__(self, path: Path) -> None:
        """`path`: the lock file, made when it is missing."""
        self.path = path
        self._descriptor: int | None = None
        self._told: dict[str, object] = {}
        self._width = WIDTH

    def __enter__(self) -> Self:
        self.take()
        return self

    def take(self) -> None:
        """Take the lock; nothing happens where this object holds it already, as it does between two boots."""
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EvolveError(
                f"{self.path} cannot be written ({(error.strerror or 'fault').lower()}); check whose it is, and that "
                "the file system is not mounted read-only."
            ) from None
        if not _acquire(descriptor, self.path):
            os.close(descriptor)
            other = holder(self.path)
            since = time.strftime("%H:%M:%S", time.localtime(other.started)) if other else "?"
            raise EvolveError(
                f"Another engine (pid {other.pid if other else '?'}) works here since {since}; look at it with "
                "`autoresearch`, or end it with `autoresearch stop`."
            )
        self._descriptor = descriptor
        pid = os.getpid()
        self._told = asdict(Holder(pid, start_ticks(pid), boot_id(), time.time()))
        self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let go of the lock and take our name out of it."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)  # a clean end leaves no name behind
            os.close(self._descriptor)
            self._descriptor = None

    def beat(self, doing: str = "", waits: str = "") -> None:
        """A sign of life; the file's time is the heartbeat, `doing` is what the proposer is at.

        `waits`: for what the engine waits while a fault lasts that keeps it even from its journal.
        """
        if self._descriptor is None:
            return
        if (doing, waits) != (self._told.get("doing"), self._told.get("waits")):
            self._told |= {"doing": doing, "waits": waits}
            self._write()
        else:
            os.utime(self._descriptor)

    @property
    def awake_since(self) -> float | None:
        """As in `Holder`."""
        since = self._told.get("awake_since")
        return float(str(since)) if since is not None else None

    def count_from(self, awake_since: float) -> None:
        """Tell clients from when on the stop rule's hours count."""
        self._told["awake_since"] = awake_since
        self._write()

    @property
    def is_in_place(self) -> bool:
        """Is the file that we hold still the one at its path? Not when the workspace was moved, deleted or unmounted."""
        assert self._descriptor is not None  # noqa: S101 - only asked while the lock is held
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def _write(self) -> None:
        """Overwrite the text, and on a full disk at least the time: it is a sign of life, and no authority."""
        assert self._descriptor is not None  # noqa: S101 - only called while the lock is held
        text = json.dumps(
            {k: v for k, v in self._told.items() if k not in ("alive", "heartbeat_age")}
        )
        try:
            # Of one length, for a client may read between two writes; JSON ignores the blanks.
            self._width = max(self._width, len(text.encode()))
            os.pwrite(self._descriptor, text.encode().ljust(self._width), 0)
        except OSError as error:
            if not is_full(error):
                raise
            os.utime(self._descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the lock, or held it until it was killed; None where no engine ran or it ended cleanly."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.read() or b"null")
            age = max(0.0, time.time() - os.fstat(file.fileno()).st_mtime)
            alive = _is_held(file.fileno())
    except (OSError, ValueError):
        return None
    if told is None:
        return None
    return Holder(**told, alive=alive, heartbeat_age=age)


def start_ticks(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 for one that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[19])


def boot_id() -> str:
    """Names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _acquire(descriptor: int, path: Path) -> bool:
    """Take the lock. A client that looks holds it shared for an instant; only a live engine is a refusal."""
    for _ in range(ACQUIRE_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = holder(path)
            if other is not None and start_ticks(other.pid) == other.start_ticks:
                return False
            select.select([], [], [], ACQUIRE_PAUSE)
        else:
            return True
    return False


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
