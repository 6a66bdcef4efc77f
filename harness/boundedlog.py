"""What a candidate printed: cleaned, bounded, and as much of it on the disk as fits there."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from harness.places import is_full
from harness.process import clean

LOG_HEAD = 256 << 10  # bytes kept of the start of a log
LOG_TAIL = 256 << 10  # and of its end
LINE_LIMIT = 64 << 10  # bytes of a line that has no end yet


class BoundedLog:
    """Head and tail of an endless stream of bytes, cleaned, in memory and in a file.

    Where the disk is full the file stays behind, and catches up when there is room before it is closed; `text` is whole.
    """

    def __init__(self, path: Path) -> None:
        """Starts an empty log at `path`."""
        self.total = 0  # bytes that came
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._written = 0  # bytes of the head that are in the file
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._line = b""  # the last line, which has no end yet
        self._dirty = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        lines, newline, rest = (self._line + data).rpartition(b"\n")
        # Of a line that is overwritten again and again only the last state is held.
        start = rest.rstrip(b"\r").rfind(b"\r") + 1
        self._line = rest[start:]
        if len(self._line) > LINE_LIMIT:
            lines, newline, self._line = lines + newline + self._line, b"\n", b""
        self._keep(clean((lines + newline).decode("utf-8", "replace")).encode())
        self._dirty = True

    def _keep(self, text: bytes) -> None:
        if room := min(len(text), LOG_HEAD - len(self._head)):
            self._head += text[:room]
            text = text[room:]
        if not text:
            return
        self._dropped += max(0, len(text) - LOG_TAIL)
        self._tail.append(text[-LOG_TAIL:])
        self._tail_size += len(self._tail[-1])
        while self._tail_size - len(self._tail[0]) >= LOG_TAIL:
            lost = self._tail.popleft()
            self._tail_size -= len(lost)
            self._dropped += len(lost)

    def flush(self) -> None:
        """Bring the file up to date, as far as there is room."""
        if not self._dirty:
            return
        data, at = memoryview(self._head[self._written :] + self._after_head()), self._written
        try:
            while data:
                count = os.pwrite(self._file, data, at)
                data, at = data[count:], at + count
            os.ftruncate(self._file, at)
        except OSError as fault:
            if not is_full(fault):
                raise
        else:
            self._written, self._dirty = len(self._head), False

    def _after_head(self) -> bytes:
        gap = f"\n[... {self._dropped:,} bytes left out ...]\n" if self._dropped else ""
        line = clean(self._line.decode("utf-8", "replace"))
        return gap.encode() + b"".join(self._tail) + line.encode()

    def text(self) -> str:
        """Everything that is kept, cleaned."""
        self.flush()
        return (bytes(self._head) + self._after_head()).decode("utf-8", "replace")

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        os.close(self._file)
