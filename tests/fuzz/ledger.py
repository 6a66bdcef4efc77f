"""What was really trained, written by the trainings themselves: the fuzzer's truth, which no engine can touch.

A file of JSON lines outside of the workspace; each is one write with O_APPEND and an fsync, so it is there as a whole
even when the writer is killed a moment later.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """A line: a training begins, is scored after an earlier one's weights, ends with a result, or finds another at work."""

    what: str  # "start", "resume", "end" or "overlap"
    name: str  # of the spec, RUN-e17 or RUN-s3, unique in a run
    source: str  # SHA-256 of the script
    seed: int
    pid: int
    time: float  # of the monotonic clock
    smoke: bool = False
    score: float | None = None


def note(ledger: Path, entry: Entry) -> None:
    """Append one line, durably."""
    line = json.dumps(entry.__dict__) + "\n"
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(ledger: Path) -> list[Entry]:
    """All lines so far, in the order in which they were written."""
    try:
        return [Entry(**json.loads(line)) for line in ledger.read_text().splitlines()]
    except FileNotFoundError:
        return []


@contextmanager
def alone(ledger: Path, begun: Entry) -> Iterator[None]:
    """Hold the only place for a training on this machine; a second one at the same time is noted, not stopped.

    The kernel frees the place however its holder ends, so what is noted is an overlap of living processes.
    """
    place = os.open(ledger.with_suffix(".place"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(ledger, Entry(**begun.__dict__ | {"what": "overlap", "time": time.monotonic()}))
        note(ledger, begun)
        yield
    finally:
        os.close(place)
