"""Which process this is, in words that stay true when its number is used again: for what must outlive a runner.

A pid alone names a stranger soon after. It never calls a process dead that it cannot judge, one of another namespace.
"""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path


def me() -> str:
    """This process: its pid namespace, its pid, and when it started in ticks since boot."""
    return _name(os.getpid())


@functools.lru_cache(maxsize=1)
def _name(pid: int) -> str:  # a fork asks anew
    return f"{_namespace()}.{pid}.{started(pid)}"


def is_dead(name: str) -> bool:
    """Whether the process that `me` called so has ended; False for what is no such name, or cannot be known."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", name)
    if not found or found[1] != _namespace():
        return False
    return started(int(found[2])) != int(found[3])


def started(pid: int) -> int | None:
    """When a process started, in ticks since boot; None for one that is gone or a zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if words[0] in (b"Z", b"X") else int(words[19])


@functools.cache
def boot() -> str:
    """Names this boot of the machine; ticks since boot mean nothing in another one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@functools.cache
def _namespace() -> str:
    """The number of our pid namespace."""
    return Path("/proc/self/ns/pid").readlink().name[len("pid:[") : -1]
