"""engine.log: the output of engines in the background, kept to a size, read and followed across its rotations.

An engine and its keeper write to it through descriptors that they inherited, so a full log is renamed and these are
pointed at a new file: nothing is copied, and no line is lost or torn. A line that anybody else still writes to the
old file is in the old file. It never rotates a file that is not its own output.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

LIMIT = 5 << 20  # bytes of a file
KEPT = 3  # older files: engine.log.1 is the newest of them
OUTPUTS = (1, 2)  # descriptors
CHUNK = 1 << 16  # bytes read at a time


class EngineLog:
    """The log as its writer sees it; of a process that writes elsewhere it does nothing."""

    def __init__(self, path: Path, limit: int = LIMIT, kept: int = KEPT) -> None:
        """`path`: engine.log; it is ours if stdout or stderr is that file."""
        self._path, self._limit, self._kept = path, limit, kept
        self._ours = [descriptor for descriptor in OUTPUTS if _is(descriptor, path)]

    @property
    def ours(self) -> bool:
        """Does this process write to it?"""
        return bool(self._ours)

    def tend(self) -> None:
        """Before something is written: a full file is put away, and one that another process put there is taken up."""
        if not self._ours:
            return
        if not _is(self._ours[0], self._path):
            self._reopen()
        elif os.fstat(self._ours[0]).st_size >= self._limit:
            rotate(self._path, self._kept)
            self._reopen()

    def _reopen(self) -> None:
        fresh = open_to_append(self._path)
        for descriptor in self._ours:
            os.dup2(fresh, descriptor)
        os.close(fresh)


def open_to_append(path: Path) -> int:
    """A descriptor for the end of the log, which is made where there is none; nobody else may read it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, kept: int = KEPT) -> None:
    """Put the file away: engine.log becomes engine.log.1, that .2, and the oldest one goes."""
    for number in range(kept, 0, -1):
        newer = path if number == 1 else _older(path, number - 1)
        if newer.exists():
            newer.replace(_older(path, number))


def lines(path: Path, last: int | None = None) -> list[str]:
    """The last lines of the log, all that is kept without `last`, oldest first; undecodable bytes are replaced."""
    with Tail(path) as tail:
        found = deque(tail.more(), maxlen=last)
        if tail.rest and last != 0:
            found.append(tail.rest.decode("utf-8", "replace"))
    return list(found)


class Tail:
    """Reads all that is kept, then on from where it was read last, through rotations. A context manager."""

    def __init__(self, path: Path) -> None:
        """`path`: engine.log; it need not be there yet."""
        self._path = path
        self.rest = b""  # of a line that has no end yet
        self._file: int | None = None

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def more(self) -> Iterator[str]:
        """The lines that have come since; one that has no end yet comes the next time."""
        yield from self._read()
        if self._path.exists() and (self._file is None or not _is(self._file, self._path)):
            yield from self._read()  # what was written between the last read and the rotation
            for file in reversed(self._missed()):
                self._turn_to(file)
                yield from self._read()

    def _missed(self) -> list[Path]:
        """Files that began after the one which is open, newest first: several, where the log grows fast."""
        found = []
        for file in [self._path, *(_older(self._path, n) for n in range(1, KEPT + 1))]:
            if not file.exists() or (self._file is not None and _is(self._file, file)):
                break
            found.append(file)
        return found

    def _turn_to(self, file: Path) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file = os.open(file, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self) -> Iterator[str]:
        while self._file is not None and (data := os.read(self._file, CHUNK)):
            *whole, self.rest = (self.rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in whole)


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _is(descriptor: int, path: Path) -> bool:
    """Is the open file the one that lies at `path`?"""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
