"""The lock of an experiment's folder: whoever runs the experiment holds it for life, and says in it who that is.

The engine takes the lock before it starts a runner and hands it over as a descriptor, for a flock belongs to the open
file and not to a process: there is no instant at which a started runner holds no lock. The kernel lets go of it
however the runner ends. The text is for signals and for people, never the proof of life.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import identity, ptree
from harness.rundir import LOCK
from harness.spec import HarnessError

PATIENCE = 1.0  # seconds; a reader's test holds the lock for microseconds
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Runner:
    """One process and no other: a pid alone names a stranger soon after."""

    pid: int
    started: int  # ticks since boot
    boot: str

    @property
    def alive(self) -> bool:
        """Is it still there, and no zombie?"""
        return self.boot == identity.boot() and identity.started(self.pid) == self.started

    def age(self) -> float:
        """Seconds since its start on a clock that nobody sets; those that the machine slept count."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / _TICK

    def ask_to_end(self) -> bool:
        """SIGTERM, if it is still who it was; it then ends its training as VOID. False when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(handle, signal.SIGTERM)
                    return True
            finally:
                os.close(handle)
        return False

    def end(self) -> bool:
        """SIGKILL it and all that descends from it; returns whether it is gone, within a few seconds."""
        if self.alive:
            found = ptree.below(self.pid)
            if this := ptree.look(self.pid):
                found[self.pid] = this
            ptree.kill(found)
        return not self.alive


def runner_in(directory: Path) -> Runner | None:
    """Who runs, or ran last, the experiment in `directory`, by what stands in its lock; None when nothing does."""
    try:
        pid, started, boot = (directory / LOCK).read_text().split()
        return Runner(int(pid), int(started), boot)
    except (OSError, ValueError):
        return None


def take(directory: Path) -> int:
    """Take the lock for a runner that is about to start: a descriptor to hand over and to close.

    Raises HarnessError when another runner holds it.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, directory)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sign(descriptor: int, pid: int) -> None:
    """Write into a held lock who runs the experiment now; by the one that starts it, or by the runner itself."""
    text = f"{pid} {identity.started(pid) or 0} {identity.boot()}\n".encode()
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))


def beat(descriptor: int) -> None:
    """A sign of life: the time of the file. Whoever watches it goes by changes, not by the clock on the wall."""
    os.utime(descriptor)


def last_beat(directory: Path) -> int:
    """A number that changes with every sign of life of the runner in `directory`; 0 before there is any."""
    try:
        return (directory / LOCK).stat().st_mtime_ns
    except OSError:
        return 0


@contextlib.contextmanager
def hold(directory: Path, handed: int | None = None) -> Iterator[int]:
    """Hold the lock for life and sign it, one that was `handed` over or one of our own; gives its descriptor.

    Raises HarnessError when another runner holds it, or when what was handed over is no such lock.
    """
    descriptor = take(directory) if handed is None else _accepted(directory, handed)
    try:
        sign(descriptor, os.getpid())
        yield descriptor
    finally:
        os.close(descriptor)


def _accepted(directory: Path, handed: int) -> int:
    """A descriptor from whoever started us; what we start must not keep the lock when we are gone."""
    try:
        os.set_inheritable(handed, False)
        same = os.path.samestat(os.fstat(handed), (directory / LOCK).stat())
    except OSError as fault:
        raise HarnessError(
            f"Descriptor {handed} is not the lock of {directory} ({fault}); leave --lock-fd out."
        ) from fault
    if not same:
        raise HarnessError(
            f"Descriptor {handed} is not the lock of {directory}; leave --lock-fd out."
        )
    _lock(handed, directory)  # ours already, if it was taken; else this takes it
    return handed


def _lock(descriptor: int, directory: Path) -> None:
    """Take the lock; a reader that tests it at this moment must not look like another runner."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HarnessError(
                    f"The experiment in {directory} is already running; wait for it, or stop the engine."
                ) from None
            os.sched_yield()
