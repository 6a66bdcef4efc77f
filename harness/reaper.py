"""Ends what candidates left behind whose runner died before it could: only levels without a pid namespace need it.

It must never touch a living experiment, be it of another runner, another workspace or another container.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness import identity, ptree

# Variables of a candidate's environment: who would end it, as `identity.me` says, and its name.
RUNNER, EXPERIMENT = "AUTORESEARCH_RUNNER", "AUTORESEARCH_EXPERIMENT"


def reap() -> list[str]:
    """End what candidates have left behind whose runner died before it could; returns their experiments' names.

    Such a process says in its environment who would have ended it. One whose runner lives, or cannot be judged
    from here, is never touched, and neither is another user's.
    """
    names: set[str] = set()
    deadline = time.monotonic() + ptree.KILL_PATIENCE
    while (found := _orphans()) and time.monotonic() < deadline:
        names.update(found.values())
        ptree.kill({pid: seen for pid in found if (seen := ptree.look(pid)) and _orphan_of(pid)})
    return sorted(names)


def _orphans() -> dict[int, str]:
    """Names of the experiments whose runners are dead, by the pids that remain of them."""
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    return {pid: name for pid in pids if (name := _orphan_of(pid))}


def _orphan_of(pid: int) -> str:
    """The experiment that a process is left of; empty for every other process."""
    folder = Path(f"/proc/{pid}")
    try:
        if folder.stat().st_uid != os.getuid():
            return ""
        words = (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is none of ours
        return ""
    pairs = (word.decode(errors="replace").partition("=") for word in words)
    found = {name: value for name, _, value in pairs if name in (RUNNER, EXPERIMENT)}
    return found.get(EXPERIMENT, "?") if identity.is_dead(found.get(RUNNER, "")) else ""
