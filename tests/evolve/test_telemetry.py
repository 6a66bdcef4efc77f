"""The machine's load under a training: a GPU through NVML, or the processes of the runner; nothing without a runner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evolve import telemetry
from evolve.telemetry import Gauge, Load
from harness import driver
from harness.rundir import LOCK, SPEC


class FakeNvml:
    """Two GPUs; the second one is busy, and tells everything."""

    NVMLError = LookupError
    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1

    def __init__(self) -> None:
        self.load, self.others, self.asked = 97, [4711], 0

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, gpu: int) -> str:
        return "NVIDIA H200"

    def nvmlDeviceGetUUID(self, gpu: int) -> str:
        return f"GPU-{gpu}"

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:
        return SimpleNamespace(used=(40 + gpu) << 30, total=140 << 30)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:
        self.asked += 1
        return SimpleNamespace(gpu=self.load)

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        return 640_000

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: int) -> int:
        raise LookupError("not told")

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:
        return 71

    def nvmlDeviceGetClockInfo(self, gpu: int, clock: int) -> int:
        return 1980

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.others]


@contextmanager
def runner(folder: Path, name: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds an experiment, with a busy child once a byte was written to it."""
    code = (
        "import subprocess, sys; print('up', flush=True); sys.stdin.read(1)\n"
        "child = subprocess.Popen([sys.executable, '-c', "
        "\"x = bytearray(50 << 20); print('busy', flush=True)\\nwhile True: pass\"])\n"
        "sys.stdin.read(1); child.kill()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    with process:  # closing its pipes ends it
        assert process.stdout is not None
        process.stdout.readline()
        (folder / LOCK).write_text(f"{process.pid}\n")
        (folder / SPEC).write_text(json.dumps({"device": name}))
        yield process


def read_again(gauge: Gauge, folder: Path, ripe: Callable[[Load], bool]) -> Load:
    """The first look that is as wanted; the gauge itself keeps the pace."""
    for _ in range(10_000):
        found = gauge.read(folder)
        assert found is not None
        if ripe(found):
            return found
    raise AssertionError(f"never as wanted, at last {found}")


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setattr(driver, "nvml", lambda: fake)
    return fake


def test_the_gpu_of_the_runner_is_read_at_most_once_a_second(
    tmp_path: Path, nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge = Gauge()
    # The runner may see only the second GPU: its cuda:0.
    with runner(tmp_path, "cuda:0", CUDA_VISIBLE_DEVICES="1"):
        first = gauge.read(tmp_path)
        assert first == Load(
            name="GPU 1 NVIDIA H200",
            busy=0.97,
            memory_mb=41 << 10,
            memory_total_mb=140 << 10,
            temperature_c=71,
            power_w=640.0,
            power_limit_w=None,
            clock_mhz=1980,
            peak_mb=41 << 10,
            others=("a process (pid 4711)",),  # nothing runs below the runner yet: it waits
            history=(0.97,),
        )
        assert gauge.read(tmp_path) is first
        assert nvml.asked == 1
        monkeypatch.setattr(telemetry, "EVERY", 0.0)
        nvml.load = 20
        second = gauge.read(tmp_path)
        assert second is not None
        assert second.history == (0.97, 0.2)
    assert gauge.read(tmp_path) is None  # its runner is gone


def test_on_a_cpu_the_processes_below_the_runner_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "EVERY", 0.0)
    gauge = Gauge()
    with runner(tmp_path, "cpu") as process:
        alone = gauge.read(tmp_path)
        assert alone is not None
        assert alone.memory_mb is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.readline()
        busy = read_again(gauge, tmp_path, lambda load: (load.cores or 0) > 0.2)
        assert busy.memory_mb is not None
        assert busy.memory_mb > alone.memory_mb + 45
        assert busy.peak_mb == busy.memory_mb
        assert 0 < (busy.busy or 0) <= 1
        assert (busy.name, busy.temperature_c) == ("CPU", None)


@pytest.mark.parametrize("said", ["", "nobody", "999999999"])
def test_without_a_runner_there_is_nothing_to_tell(tmp_path: Path, said: str) -> None:
    assert Gauge().read(tmp_path) is None
    (tmp_path / LOCK).write_text(said)
    assert Gauge().read(tmp_path) is None
