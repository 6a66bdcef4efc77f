"""What the training in the slot does to the machine: the GPU's own figures, or load and memory of its processes.

For people only: nothing here becomes a score or a decision. A `Gauge` asks the driver or /proc at most once a second, and
only while it is asked itself. It never makes a CUDA context and imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ptree
from harness.rundir import LOCK, SPEC
from harness.spec import HarnessError

if TYPE_CHECKING:
    from harness.device import Gpu

EVERY = 1.0  # seconds between two looks
KEPT = 60  # looks that are remembered
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Load:
    """One look at the device under a training; None for what it does not tell."""

    name: str  # "GPU 0 NVIDIA H100" or "CPU"
    busy: float | None  # of the GPU, or of the cores that the training may use, 0…1
    memory_mb: float | None  # in use on the GPU; resident of the training's processes
    memory_total_mb: float | None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    clock_mhz: int | None = None
    cores: float | None = None  # on a CPU: how many are at work
    peak_mb: float | None = None  # the largest `memory_mb` since this client looks
    others: tuple[str, ...] = ()  # who computes on the GPU: the training waits for them
    history: tuple[float, ...] = ()  # `busy` of the last looks, a second apart, newest last


class Gauge:
    """Reads the load of one training after another."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._of: Path | None = None
        self._gpu: Gpu | None = None
        self._history: deque[float] = deque(maxlen=KEPT)
        self._last: Load | None = None
        self._looked = 0.0
        self._spent: tuple[float, float] | None = None  # processor seconds, and when they were read

    def read(self, folder: Path) -> Load | None:
        """The load of the training whose runner works in `folder`; None while there is nobody to look at."""
        now = time.monotonic()
        if folder == self._of and now - self._looked < EVERY:
            return self._last
        runner = _runner(folder)
        if runner is None:
            return None
        if folder != self._of:
            self._of, self._spent, self._last = folder, None, None
            self._history.clear()
            self._gpu = _gpu(folder, runner)
        self._looked = now
        found = _of_gpu(self._gpu, runner) if self._gpu else self._of_processes(runner, now)
        if found is not None:
            if found.busy is not None:
                self._history.append(found.busy)
            before = self._last.peak_mb if self._last is not None else None
            peaks = [size for size in (before, found.memory_mb) if size is not None]
            found = replace(
                found, history=tuple(self._history), peak_mb=max(peaks) if peaks else None
            )
        self._last = found
        return found

    def _of_processes(self, runner: int, now: float) -> Load | None:
        """Of the runner and all below it. The first look tells the mean since the runner began."""
        used = [found for pid in _family(runner) if (found := _used(pid)) is not None]
        if not used:
            return None
        spent, resident = sum(seconds for seconds, _ in used), sum(size for _, size in used)
        before, then = self._spent or (0.0, now - (_age(runner) or 0.0))
        self._spent = (spent, now)
        # Whoever has ended meanwhile takes its seconds along.
        cores = max(0.0, spent - before) / (now - then) if now > then else None
        allowed = len(os.sched_getaffinity(0))
        return Load(
            name="CPU",
            busy=None if cores is None else min(1.0, cores / allowed),
            memory_mb=resident / (1 << 20),
            memory_total_mb=os.sysconf("SC_PHYS_PAGES") * _PAGE / (1 << 20),
            cores=cores,
        )


def _runner(folder: Path) -> int | None:
    """The process that holds the experiment, by what it wrote into its lock; None when it is gone."""
    try:
        words = (folder / LOCK).read_text().split()
    except OSError:
        return None
    pid = int(words[0]) if words and words[0].isdigit() else 0
    return pid if pid and ptree.look(pid) is not None else None


def _of_gpu(gpu: Gpu, runner: int) -> Load | None:
    from harness import device

    told = device.telemetry(gpu.index)
    if told is None:
        return None
    busy = told.utilisation_percent
    return Load(
        name=f"GPU {gpu.index} {gpu.name}",
        busy=None if busy is None else busy / 100,
        memory_mb=told.memory_used_mb,
        memory_total_mb=told.memory_total_mb,
        temperature_c=told.temperature_c,
        power_w=told.power_w,
        power_limit_w=told.power_limit_w,
        clock_mhz=told.clock_mhz,
        # Before it starts anything a runner waits until nobody else uses the GPU.
        others=() if _children(runner) else tuple(device.busy(gpu.index)),
    )


def _gpu(folder: Path, runner: int) -> Gpu | None:
    """The GPU that the experiment was given, among those that its runner may see; None on a CPU."""
    try:
        name = str(json.loads((folder / SPEC).read_text())["device"])
        if name == "cpu":
            return None
        from harness import device  # 40 ms, which a rehearsal need not wait for

        return device.gpu_of(name, device.detect(_environment(runner)))
    except (OSError, ValueError, KeyError, HarnessError):  # half written, or not ours to read
        return None


def _environment(pid: int) -> Mapping[str, str]:
    """The variables with which a process was started."""
    pairs = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def _family(root: int) -> set[int]:
    """A process and all below it. Asks the kernel for children: a scan of /proc costs more on a busy machine."""
    found, front = {root}, [root]
    while front:
        for pid in _children(front.pop()):
            if pid not in found:
                found.add(pid)
                front.append(pid)
    return found


def _children(pid: int) -> list[int]:
    """The children of a process; none of one that is gone."""
    children: list[int] = []
    with suppress(OSError):
        for task in os.scandir(f"/proc/{pid}/task"):
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, Path(task.path, "children").read_text().split())
    return children


def _used(pid: int) -> tuple[float, int] | None:
    """Processor seconds and resident bytes of a process; None when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(words[11]) + int(words[12])) / _TICK, int(words[21]) * _PAGE


def _age(pid: int) -> float | None:
    """Seconds since a process began."""
    seen = ptree.look(pid)
    if seen is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - seen.started / _TICK
