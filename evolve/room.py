"""Room on the disks that a run writes to: how much is left, when that is too little, and whether a write succeeds.

Both what a file system says and a trial write are asked: quotas do not show in the first, and a reserve for root or
delayed allocation not in the second. Nothing is set aside beforehand: the engine stops writing while the last
RESERVE is still free, so that what it has to say about that still fits into the journal.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.places import is_full

WARN = 1 << 30  # bytes; below that a person is told, once
RESERVE = 64 << 20  # bytes; below that nothing new is begun, and what runs goes to its end
ENOUGH = 2  # times the reserve must be free before the engine goes on, so that it does not do so by fits and starts
TRIAL = 1 << 20  # bytes that a trial writes, more than one commit to the journal


@dataclass(frozen=True, slots=True)
class Room:
    """What is left on one file system, in bytes, for somebody who is not root."""

    folder: Path  # that was asked about
    free: int  # 0 where no file can be made, however many bytes there are
    total: int

    @property
    def reserve(self) -> int:
        """Below that the engine waits; a small file system has a small reserve."""
        return min(RESERVE, self.total // 16)

    @property
    def low(self) -> bool:
        """Is it time to tell a person?"""
        return self.free < min(WARN, self.total // 4)

    @property
    def full(self) -> bool:
        """Is it time to wait, so that what must be written still can be?"""
        return self.free < self.reserve

    def __str__(self) -> str:
        """`12 MB of 400 MB left for /tmp/w`."""
        return f"{in_words(self.free)} of {in_words(self.total)} left for {self.folder}"


def room(folder: Path) -> Room | None:
    """What is left where `folder` lies; None when it is gone, which is no matter of room."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    no_more_files = found.f_files > 0 and found.f_favail == 0
    free = 0 if no_more_files else found.f_bavail * found.f_frsize
    return Room(folder, free, found.f_blocks * found.f_frsize)


def rooms(folders: Iterable[Path]) -> list[Room]:
    """What is left for each of the folders, one for each file system."""
    found: dict[int, Room] = {}
    for folder in folders:
        with contextlib.suppress(OSError):
            if (left := room(folder)) is not None:
                found.setdefault(folder.stat().st_dev, left)
    return list(found.values())


def refuses(folder: Path) -> bool:
    """Whether a trial write in `folder` fails for want of room; any other fault is somebody else's matter."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TRIAL))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return is_full(error)
    return False


def is_back(folders: Iterable[Path]) -> bool:
    """Whether there is so much room again that a run may go on."""
    folders = list(folders)
    enough = all(left.free >= ENOUGH * left.reserve for left in rooms(folders))
    return enough and not any(refuses(folder) for folder in folders)


def in_words(size: float) -> str:
    """`512 MB`, `1.5 GB`."""
    return f"{size / (1 << 30):.1f} GB" if size >= 1 << 30 else f"{size / (1 << 20):.0f} MB"
