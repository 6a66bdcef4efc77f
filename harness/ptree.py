"""Trees of processes as /proc shows them: who descends from whom, how much they hold, and their end.

Numbers of processes are used again, soonest while somebody forks without end, so nothing is killed before a handle
to it has been seen to mean the same process. It waits for nobody longer than a few seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

KILL_PATIENCE = 5.0  # seconds until killed processes are gone; the kernel needs milliseconds
_HANDLES = 200  # ends awaited at once: each takes a descriptor, of which there may be few


class Seen(NamedTuple):
    """One process at the time of a scan."""

    parent: int
    threads: int
    started: int  # ticks since boot: with the pid, one process and no other


def scan() -> dict[int, Seen]:
    """All processes that we can see, zombies too."""
    pids = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    return {pid: seen for pid in pids if (seen := look(pid))}


def look(pid: int) -> Seen | None:
    """One process; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - thousands of times
            words = file.read(4096).rpartition(b")")[2].split()
    except OSError:
        return None
    return Seen(int(words[1]), int(words[17]), int(words[19])) if len(words) > 19 else None


def below(root: int, skip: set[int] | None = None) -> dict[int, Seen]:
    """The processes below `root`, without the trees of the pids in `skip`."""
    everyone = scan()
    children: dict[int, list[int]] = {}
    for pid, seen in everyone.items():
        children.setdefault(seen.parent, []).append(pid)
    found, front = {}, [root]
    while front:
        for pid in children.get(front.pop(), ()):
            if pid not in (skip or ()):
                found[pid] = everyone[pid]
                front.append(pid)
    return found


def kill(found: Mapping[int, Seen]) -> int:
    """SIGKILL those that are still who they were; waits until they are gone, for some hundreds at least."""
    handles: list[int] = []
    for pid, seen in found.items():
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            now = look(pid)
            if now and now.started == seen.started:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            if len(handles) < _HANDLES:
                handles.append(handle)
            else:
                os.close(handle)
    _await(handles)
    return len(found)


def _await(handles: list[int]) -> None:
    """Wait until all these have ended, and close the handles."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    deadline, alive = time.monotonic() + KILL_PATIENCE, set(handles)
    while alive and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(1000 * left):
            poll.unregister(handle)
            alive.discard(handle)
    for handle in handles:
        os.close(handle)


def resident_mb(pid: int) -> float:
    """Private and shared-memory pages of one process, in MiB; files that it maps are not its own."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0.0
    kilobytes = re.findall(r"^(?:RssAnon|RssShmem):\s+(\d+)", status, re.M)
    return sum(map(int, kilobytes)) / 1024


def tasks_of_machine() -> int | None:
    """Processes and threads of everybody, at no cost; None where the system does not tell."""
    try:
        words = Path("/proc/loadavg").read_text().split()
        return int(words[3].partition("/")[2]) or None
    except (OSError, ValueError, IndexError):
        return None
