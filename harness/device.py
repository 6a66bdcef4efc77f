"""What this machine computes with: GPUs, their load, and the fingerprint that makes scores comparable.

It reads the driver through NVML, or through nvidia-smi where the Python binding is missing. It must never
import torch or make a CUDA context: it runs in the engine and beside a training.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness import driver
from harness.environment import without_credentials
from harness.spec import Cause, ExperimentSpec, HarnessError

if TYPE_CHECKING:
    from harness.dataset import Dataset


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU that we may use."""

    index: int  # the driver's number, in the order of the PCI bus
    name: str
    memory_mb: int
    driver: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with."""

    gpus: tuple[Gpu, ...]
    cpus: int  # that we may use
    cpu: str  # model name
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The state of a GPU now; None for what it does not tell."""

    utilisation_percent: int | None
    memory_used_mb: int | None
    memory_total_mb: int | None
    temperature_c: int | None
    power_w: float | None
    power_limit_w: float | None
    clock_mhz: int | None


def detect(environment: Mapping[str, str] = os.environ) -> Machine:
    """Look at this machine; without a driver there are no GPUs.

    `cuda:N` is `gpus[N]`: the GPUs that CUDA_VISIBLE_DEVICES of `environment` leaves, in its order.
    """
    return Machine(
        gpus=_visible(_gpus(), environment.get("CUDA_VISIBLE_DEVICES")),
        cpus=len(os.sched_getaffinity(0)),
        cpu=_cpu_name(),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
    )


def telemetry(index: int) -> Telemetry | None:
    """Load, memory, temperature, power and clock of a GPU by the driver's number.

    None without NVML or it, and of a driver that hangs.
    """
    with contextlib.suppress(HarnessError):
        nvml = driver.nvml()
        return nvml and driver.ask(lambda: _telemetry(nvml, index))
    return None


def _telemetry(nvml: Any, index: int) -> Telemetry | None:
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:
        return None

    def tell(query: Any, *more: Any) -> Any:
        try:
            return query(gpu, *more)
        except nvml.NVMLError:  # this GPU does not tell
            return None

    load, memory = tell(nvml.nvmlDeviceGetUtilizationRates), tell(nvml.nvmlDeviceGetMemoryInfo)
    power = tell(nvml.nvmlDeviceGetPowerUsage)
    limit = tell(nvml.nvmlDeviceGetEnforcedPowerLimit)
    return Telemetry(
        utilisation_percent=None if load is None else int(load.gpu),
        memory_used_mb=None if memory is None else memory.used >> 20,
        memory_total_mb=None if memory is None else memory.total >> 20,
        temperature_c=tell(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        power_w=None if power is None else power / 1000,
        power_limit_w=None if limit is None else limit / 1000,
        clock_mhz=tell(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
    )


def _tells(index: int, query: Callable[[Any, Any], _T]) -> _T | None:
    """What `query(nvml, gpu)` finds of a GPU; None where it does not tell. Raises HarnessError of a hung driver."""
    nvml = driver.nvml()
    if nvml is None:
        return None
    try:
        return driver.ask(lambda: query(nvml, nvml.nvmlDeviceGetHandleByIndex(index)))
    except nvml.NVMLError:
        return None


def memory_used_mb(index: int) -> float | None:
    """Memory in use on a GPU (the driver's number) now, by everybody, in MB; None without NVML or it.

    Raises HarnessError, as the next two do, when the driver hangs.
    """
    return _tells(
        index, lambda nvml, gpu: float(nvml.nvmlDeviceGetMemoryInfo(gpu).used) / (1 << 20)
    )


def node(index: int) -> int | None:
    """The N of a GPU's /dev/nvidiaN, by the driver's number; None without NVML or it."""
    return _tells(index, lambda nvml, gpu: int(nvml.nvmlDeviceGetMinorNumber(gpu)))


def busy(index: int) -> list[str]:
    """Who computes on a GPU (the driver's number) now, in words; empty when nobody does or none can tell."""
    if driver.nvml() is None:
        return _busy_by_tool(index)
    found = _tells(index, lambda nvml, gpu: nvml.nvmlDeviceGetComputeRunningProcesses(gpu))
    return [f"{_process_name(process.pid)} (pid {process.pid})" for process in found or ()]


def fingerprint(spec: ExperimentSpec, dataset: Dataset) -> dict[str, str]:
    """What two results must share to be comparable, as text."""
    machine = detect()
    budget = spec.budget
    facts = {
        "device": machine.cpu,
        "torch": _version("torch"),
        "python": platform.python_version(),
        "dataset": dataset.manifest_sha256,
        "budget": f"{budget.amount:g} {budget.kind}",
        "eval_tokens": str(spec.eval_tokens),
        "byte_count": spec.byte_count,
        "sandbox": spec.sandbox,
        "harness": _version("autoresearch"),
    }
    if gpu := gpu_of(spec.device, machine):
        facts |= {"device": gpu.name, "driver": gpu.driver}
    elif spec.limits.threads:
        facts["threads"] = str(spec.limits.threads)
    return facts


def gpu_of(device: str, machine: Machine) -> Gpu | None:
    """The GPU that `cuda:N` means, or None for the CPU. Raises HarnessError when there is no such GPU."""
    if device == "cpu":
        return None
    number = int(device.partition(":")[2] or 0)
    if number >= len(machine.gpus):
        raise HarnessError(
            f"There is no {device} here ({len(machine.gpus)} GPUs are visible); choose another [device], "
            "or see `autoresearch doctor`.",
            Cause.DEVICE_LOST,
        )
    return machine.gpus[number]


def _visible(gpus: tuple[Gpu, ...], wanted: str | None) -> tuple[Gpu, ...]:
    """What CUDA_VISIBLE_DEVICES leaves of them: numbers or UUIDs, up to the first that does not exist."""
    if wanted is None:
        return gpus
    found: list[Gpu] = []
    for word in wanted.split(","):
        name = word.strip()
        match = [
            gpu for gpu in gpus if name == str(gpu.index) or (name and gpu.uuid.startswith(name))
        ]
        if len(match) != 1:
            break  # as CUDA does
        found += match
    return tuple(found)


def _gpus() -> tuple[Gpu, ...]:
    nvml = driver.nvml()
    if nvml is None:
        return _gpus_by_tool()
    try:
        return driver.ask(lambda: tuple(_listed(nvml)), driver.WAKING)
    except nvml.NVMLError:
        return ()


def _listed(nvml: Any) -> Iterator[Gpu]:
    version = str(nvml.nvmlSystemGetDriverVersion())
    for index in range(nvml.nvmlDeviceGetCount()):
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu).total >> 20
        name, uuid = str(nvml.nvmlDeviceGetName(gpu)), str(nvml.nvmlDeviceGetUUID(gpu))
        yield Gpu(index, name, memory, version, uuid)


@functools.cache
def _gpus_by_tool() -> tuple[Gpu, ...]:
    rows = _ask_tool("--query-gpu=name,memory.total,driver_version,uuid")
    return tuple(
        Gpu(index, row[0], int(row[1]) if row[1].isdigit() else 0, row[2], row[3])
        for index, row in enumerate(rows)
        if len(row) == 4
    )


def _busy_by_tool(index: int) -> list[str]:
    rows = _ask_tool("--query-compute-apps=pid,process_name", f"--id={index}")
    return [f"{Path(row[-1]).name} (pid {row[0]})" for row in rows if len(row) > 1]


def _ask_tool(*query: str) -> list[list[str]]:
    """Rows of what nvidia-smi answers; none where it is missing or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    line = [tool, *query, "--format=csv,noheader,nounits"]
    env = without_credentials()
    try:
        # Bounded by the thread, not by `run`, which waits for a process that no signal ends.
        done = driver.ask(
            lambda: subprocess.run(line, capture_output=True, text=True, check=True, env=env),
            driver.WAKING,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [row.split(", ") for row in done.stdout.splitlines()]


def _cpu_name() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:  # of another container, or gone
        return "a process"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
