"""What the kernel itself lets a candidate's processes use: resource limits, and a control group where we may make one.

It stays below our own control group, so that whatever limits us limits the candidate too, and changes nothing in
groups that it did not make. What it cannot get it does without: the watch over a training counts for itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import time
from pathlib import Path

from harness import identity

# Processes and threads of one candidate; a watch ends it beyond that. Thread pools grow with the processors.
TASK_LIMIT = max(2000, 16 * (os.cpu_count() or 1))
KERNEL_TASK_LIMIT = 2 * TASK_LIMIT  # at which forks fail, before the watch has looked
FILE_LIMIT = 32 << 30  # bytes of one file, memory files included
OPEN_FILES = 8192
# The watch ends a candidate at its memory limit, and says so; the group catches what is faster than the watch.
MEMORY_SLACK, MEMORY_HEADROOM_MB = 1.25, 512
# Out of memory, the kernel ends a candidate first, then those who only serve one training; the engine comes last.
TRUSTED, CANDIDATE = 500, 1000  # added to their share of the memory, in thousandths
_PREFIX = "autoresearch"
_PATIENCE = 5.0  # seconds until an emptied group can be removed
_serial = itertools.count()


class Bounds:
    """Limits of one process tree; made before it starts and closed after its end."""

    def __init__(self, memory_mb: int = 0) -> None:
        """Make a group for at most `memory_mb` MB of host memory (0 = any), as far as this system lets us."""
        self._limits = _limits()
        self._folders: list[Path] = []
        self._doors: list[int] = []  # open `cgroup.procs` files
        name = f"{_PREFIX}-{identity.me()}-{next(_serial)}"
        for parent, wanted in _places(memory_mb).items():
            _remove_stale(parent)
            with contextlib.suppress(OSError):
                self._open(parent / name, wanted)

    def _open(self, folder: Path, settings: dict[str, int]) -> None:
        folder.mkdir()
        self._folders.append(folder)
        for file, value in settings.items():
            # Where the kernel is older, or the controller was not handed down, there is no such file.
            with contextlib.suppress(OSError):
                _put(folder / file, str(value))
        self._doors.append(os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))

    def enter(self) -> None:
        """In the child, between fork and exec: only system calls. What is refused is left out."""
        volunteer(CANDIDATE)
        for door in self._doors:
            with contextlib.suppress(OSError):
                os.write(door, b"0")
        for kind, limit in self._limits:
            resource.setrlimit(kind, (limit, limit))

    def tasks(self) -> int | None:
        """Processes and threads in there now; None where the kernel does not count them."""
        for folder in self._folders:
            with contextlib.suppress(OSError, ValueError):
                return int((folder / "pids.current").read_text())
        return None

    def kernel_kills(self) -> int | None:
        """How many processes in there the kernel has killed for want of memory; None where it does not count them."""
        for folder in self._folders:
            for name in ("memory.events", "memory.oom_control"):  # of version 2, of version 1
                with contextlib.suppress(OSError):
                    found = re.search(r"^oom_kill (\d+)$", (folder / name).read_text(), re.M)
                    if found:
                        return int(found[1])
        return None

    def members(self) -> list[int]:
        """Pids of all processes in there, however they got away from their parents."""
        found: set[int] = set()
        for folder in self._folders:
            with contextlib.suppress(OSError):
                found.update(map(int, (folder / "cgroup.procs").read_text().split()))
        return sorted(found - {0})  # 0: of a namespace that we do not see

    def kill(self) -> None:
        """End everything in there at one stroke, where the kernel can (5.14)."""
        for folder in self._folders:
            _kill(folder)

    def close(self) -> None:
        """Remove the group, once it is empty."""
        for door in self._doors:
            os.close(door)
        self._doors.clear()
        deadline = time.monotonic() + _PATIENCE
        while self._folders and time.monotonic() < deadline:
            self._folders = [folder for folder in self._folders if not _removed(folder)]
            if self._folders:
                time.sleep(0.002)  # the dead leave a moment after they are reaped


def volunteer(score: int) -> None:
    """Have the kernel end this process, and what it starts, the sooner when memory runs out: its `oom_score_adj`.

    Raising it needs no privilege, and it is never lowered. Only system calls, for a child between fork and exec.
    """
    with contextlib.suppress(OSError, ValueError):  # not every container has the file
        handle = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        try:
            if int(os.read(handle, 16)) < score:
                os.pwrite(handle, str(score).encode(), 0)
        finally:
            os.close(handle)


def _limits() -> list[tuple[int, int]]:
    """Resource limits, none above what we have ourselves."""
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, FILE_LIMIT),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ]
    if os.getuid():  # the superuser's processes are not counted
        # The kernel counts all of the user's, so what runs already comes on top.
        wanted.append((resource.RLIMIT_NPROC, _tasks_of_user() + KERNEL_TASK_LIMIT))
    return [(kind, _at_most(limit, resource.getrlimit(kind)[1])) for kind, limit in wanted]


def _at_most(limit: int, hard: int) -> int:
    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)


def _tasks_of_user() -> int:
    """Processes and threads of our user that we can see."""
    count, user = 0, os.getuid()
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if entry.name.isdigit() and entry.stat().st_uid == user:
                count += Path(entry.path, "task").stat().st_nlink - 2
    return count


def _places(memory_mb: int) -> dict[Path, dict[str, int]]:
    """Our own control groups in which a child may be made, and what to write there."""
    memory = int(memory_mb * MEMORY_SLACK + MEMORY_HEADROOM_MB) << 20 if memory_mb else 0
    mounts = _mounts()
    places: dict[Path, dict[str, int]] = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            if name not in mounts or (name == "memory" and not memory):
                continue
            wanted: dict[str, int] = {}
            if name in ("pids", ""):
                wanted["pids.max"] = KERNEL_TASK_LIMIT
            if name == "memory":
                wanted |= {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}
            if name == "" and memory:
                wanted |= {"memory.max": memory, "memory.swap.max": 0}
            root, point = mounts[name]
            # The root of a mount inside a container is the container's own group.
            inside = path.removeprefix(root.rstrip("/")) if path.startswith(root) else path
            places[point / inside.lstrip("/")] = wanted
    return {place: wanted for place, wanted in places.items() if os.access(place, os.W_OK)}


def _mounts() -> dict[str, tuple[str, Path]]:
    """Root and place of the hierarchies that matter: `pids` and `memory` of version 1, and version 2 as ``."""
    found: dict[str, tuple[str, Path]] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ")[:3]
        root, point = before.split(" ")[3:5]
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in ("", "pids", "memory"):
                found.setdefault(name, (root, Path(point)))
    return found


def _remove_stale(parent: Path) -> None:
    """End and remove the groups of runners that died without doing so."""
    pattern = re.compile(rf"{_PREFIX}-(.+)-\d+")
    for folder in parent.glob(f"{_PREFIX}-*"):
        found = pattern.fullmatch(folder.name)
        if found and identity.is_dead(found[1]):
            _kill(folder)
            _removed(folder)


def _kill(folder: Path) -> None:
    with contextlib.suppress(OSError):
        _put(folder / "cgroup.kill", "1")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _put(path: Path, text: str) -> None:
    """Write an existing file; a new one cannot be made among a group's."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
