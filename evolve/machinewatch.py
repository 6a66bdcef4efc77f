"""Watches over what a run stands on: room on its disks, the workspace's folder, sleep, the clock, the journal's log.

Looked at with every heartbeat. It says once what a person should know, and ends the loops where going on would cost
something: before the disk is full, so that a last commit still fits, and when the workspace is gone.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evolve import room
from evolve.holders import readers_of
from evolve.model import DiskFull, EvolveError
from evolve.places import JOURNAL
from evolve.weather import places
from harness import mishaps

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.lock import EngineLock
    from harness.device import Machine

ROOM_EVERY = 5  # heartbeats between two looks at the disks
SLEPT = 5.0  # seconds of sleep that are worth a word
JUMPED = 30.0  # seconds by which the clock must have been set to be worth one
LONG_LOG = (
    128 << 20
)  # bytes of the journal's log, which a reader that never ends keeps from being begun anew
PATIENCE = 30.0  # seconds that a device may take to say that it is there; a driver that wakes up takes a few


class MachineWatch:
    """One look with every heartbeat; a few microseconds, and every tenth second some more."""

    def __init__(self, context: Context, lock: EngineLock) -> None:
        self._context, self._lock = context, lock
        self._looks = 0
        self._told_low: set[Path] = set()
        self._told_log = False
        self._asleep, self._offset = mishaps.asleep(), _offset()

    def look(self) -> None:
        """Raises DiskFull before there is no room at all, and EvolveError when the workspace is not there any more."""
        if not self._lock.is_in_place:
            raise EvolveError(
                f"The workspace {self._context.workspace} was moved, deleted or unmounted, so the engine ends; "
                "bring it back, then `autoresearch run` goes on."
            )
        self._clocks()
        if self._looks % ROOM_EVERY == 0:
            self._room()
            self._log()
        self._looks += 1

    def _clocks(self) -> None:
        """Tell of sleep, and of a clock that was set. Nothing else is done: no rule of a run goes by that clock."""
        asleep, offset = mishaps.asleep(), _offset()
        if (slept := asleep - self._asleep) > SLEPT:
            self._tell(
                f"The machine slept for {_duration(slept)}; a training that ran meanwhile is void and is done again."
            )
        if abs(moved := offset - self._offset) > JUMPED:
            way = "forward" if moved > 0 else "back"
            self._tell(
                f"The machine's clock was set {way} by {_duration(abs(moved))}; no rule of the run goes by it."
            )
        self._asleep, self._offset = asleep, offset

    def _room(self) -> None:
        for left in room.rooms(places(self._context.workspace)):
            if left.full:
                self._tell(
                    f"The disk is almost full ({left}): the run waits until there is room again."
                )
                raise DiskFull(f"The disk is almost full ({left}); free some space.", left.folder)
            if left.low and left.folder not in self._told_low:
                self._told_low.add(left.folder)
                self._tell(
                    f"The disk fills up ({left}); the run waits when less than {room.in_words(left.reserve)} are."
                )
            elif not left.low:
                self._told_low.discard(left.folder)

    def _log(self) -> None:
        journal = self._context.state / JOURNAL
        try:
            size = journal.with_name(f"{JOURNAL}-wal").stat().st_size
        except OSError:
            return
        if size > LONG_LOG and not self._told_log:
            who = readers_of(journal) or "a process that reads it"
            self._tell(
                f"The journal's log has grown to {room.in_words(size)}, because {who} has not finished for long."
            )
        self._told_log = size > LONG_LOG

    def _tell(self, sentence: str) -> None:
        self._context.journal.record_event("fault", sentence)


def device_fault(machine: Machine, device: str) -> str:
    """Why the device cannot be used now, in a sentence; empty when it answers. Asked apart: a driver may hang for ever."""
    if device == "cpu":
        return ""
    gpu = machine.gpus[int(device.partition(":")[2] or 0)]
    look = "import sys; from harness.device import detect, memory_used_mb; detect(); memory_used_mb(int(sys.argv[1]))"
    wanted = f"{look}; sys.exit(not any(g.uuid == sys.argv[2] for g in detect().gpus))"
    try:
        found = subprocess.run(
            [sys.executable, "-c", wanted, str(gpu.index), gpu.uuid],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            cwd="/",
        )
    except subprocess.TimeoutExpired:
        return f"{gpu.name} does not answer within {PATIENCE:.0f} s."
    return "" if found.returncode == 0 else f"{gpu.name} is not to be seen."


def _offset() -> float:
    """Where the clock on the wall stands against one that nobody can set, in seconds."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `9 days`."""
    for unit, size, fits in (("days", 86400, 172800), ("h", 3600, 7200), ("min", 60, 120)):
        if seconds >= fits:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
