"""Who holds a lock on the journal, as the kernel tells it: for people, and never proof of anything.

In WAL mode a writer holds byte 120 of the `-shm` file (SQLite's file format, section 2.3, "WAL locks"), and a reader
one of the bytes 123 to 127. /proc/locks names the processes of those locks, all that our pid namespace can see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

WRITER = 120  # the byte of the -shm file that a writer locks
READERS = range(123, 128)  # those of readers, one for each mark


def writer_of(journal: Path) -> str:
    """`sqlite3 (process 4711)`: another process that holds the write lock; empty when none is seen."""
    found = [pid for pid, first, last in _locks(journal, "WRITE") if first <= WRITER <= last]
    return _named(found)


def readers_of(journal: Path) -> str:
    """Other processes that are in the middle of reading, likewise."""
    found = [pid for pid, first, last in _locks(journal, "READ") if first in READERS]
    return _named(found)


def _named(pids: list[int]) -> str:
    names = [f"{_name(pid)} (process {pid})" for pid in dict.fromkeys(pids)]
    return ", ".join(names)


def _locks(journal: Path, kind: str) -> Iterator[tuple[int, int, int]]:
    """Process, first and last byte of each POSIX lock on the journal's shared memory that is not ours."""
    try:
        status = journal.with_name(f"{journal.name}-shm").stat()
        text = Path("/proc/locks").read_text(encoding="ascii", errors="replace")
    except OSError:
        return
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in text.splitlines():
        words = line.split()  # 1: POSIX ADVISORY WRITE 4711 fe:01:1234 120 120
        if len(words) != 8 or words[1] not in ("POSIX", "OFDLCK") or words[3] != kind:
            continue
        pid, first, last = int(words[4]), int(words[6]), words[7]
        if words[5] == device and pid not in (os.getpid(), 0, -1):
            yield pid, first, 1 << 62 if last == "EOF" else int(last)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process"
