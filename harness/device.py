"""What this machine computes with: GPUs, their load, and the fingerprint that makes scores comparable.

It reads the driver through NVML, or through nvidia-smi where the Python binding is missing. It must never
import torch or make a CUDA context: it runs in the engine and beside a training.
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.environment import without_credentials
from harness.spec import ExperimentSpec, HarnessError

if TYPE_CHECKING:
    from harness.dataset import Dataset

_SMI_PATIENCE = 20.0  # seconds; a driver that wakes up takes a few


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
    """Load, memory, temperature, power and clock of a GPU by the driver's number; None without NVML or it."""
    nvml = _nvml()
    if nvml is None:
        return None
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:
        return None

    def ask(query: Any, *more: Any) -> Any:
        try:
            return query(gpu, *more)
        except nvml.NVMLError:  # this GPU does not tell
            return None

    load, memory = ask(nvml.nvmlDeviceGetUtilizationRates), ask(nvml.nvmlDeviceGetMemoryInfo)
    power = ask(nvml.nvmlDeviceGetPowerUsage)
    limit = ask(nvml.nvmlDeviceGetEnforcedPowerLimit)
    return Telemetry(
        utilisation_percent=None if load is None else int(load.gpu),
        memory_used_mb=None if memory is None else memory.used >> 20,
        memory_total_mb=None if memory is None else memory.total >> 20,
        temperature_c=ask(nvml.nvmlDeviceGetTemperature, nvml.NVML_TEMPERATURE_GPU),
        power_w=None if power is None else power / 1000,
        power_limit_w=None if limit is None else limit / 1000,
        clock_mhz=ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
    )


def memory_used_mb(index: int) -> float | None:
    """Memory in use on a GPU (the driver's number) now, by everybody, in MB; None without NVML or it."""
    nvml = _nvml()
    if nvml is None:
        return None
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        return float(nvml.nvmlDeviceGetMemoryInfo(gpu).used) / (1 << 20)
    except nvml.NVMLError:
        return None


def node(index: int) -> int | None:
    """The N of a GPU's /dev/nvidiaN, by the driver's number; None without NVML or it."""
    nvml = _nvml()
    if nvml is None:
        return None
    try:
        return int(nvml.nvmlDeviceGetMinorNumber(nvml.nvmlDeviceGetHandleByIndex(index)))
    except nvml.NVMLError:
        return None


def busy(index: int) -> list[str]:
    """Who computes on a GPU (the driver's number) now, in words; empty when nobody does or none can tell."""
    nvml = _nvml()
    if nvml is None:
        return _busy_by_tool(index)
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
        found = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    except nvml.NVMLError:
        return []
    return [f"{_process_name(process.pid)} (pid {process.pid})" for process in found]


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
            "or see `autoresearch doctor`."
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
    nvml = _nvml()
    if nvml is None:
        return _gpus_by_tool()
    try:
        driver = str(nvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(nvml.nvmlDeviceGetCount()):
            gpu = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(gpu).total >> 20
            name, uuid = str(nvml.nvmlDeviceGetName(gpu)), str(nvml.nvmlDeviceGetUUID(gpu))
            found.append(Gpu(index, name, memory, driver, uuid))
    except nvml.NVMLError:
        return ()
    return tuple(found)


@functools.cache
def _nvml() -> Any | None:
    """The initialised binding to NVML, or None where binding or driver are missing."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


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
    try:
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=_SMI_PATIENCE,
            check=True,
            env=without_credentials(),
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
