"""A GPU that fails or hangs is seen from the trusted side, and what a script prints about one is not believed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness import bytecode, device, driver, launch
from harness.attempt import wait_for_idle
from harness.health import Health
from harness.spec import Cause, HarnessError, Outcome, Result

Run = Callable[..., Result]
CUDA_ERROR = "raise RuntimeError('CUDA error: unspecified launch failure, GPU is lost, Xid 79')"
GPU = device.Gpu(0, "NVIDIA H100", 81_559, "570.1", "GPU-aa")


class NVMLError(Exception):
    """As pynvml's, with its number."""

    def __init__(self, value: int) -> None:
        super().__init__({15: "GPU is lost", 3: "Not Supported", 10: "Timeout"}[value])
        self.value = value


class FakeNvml:
    """One GPU, of which a test decides what its driver says."""

    NVMLError = NVMLError
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC, nvmlEventTypeXidCriticalError = 1, 0, 8
    NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED, NVML_ERROR_NOT_FOUND = 15, 16, 6
    NVML_ERROR_INVALID_ARGUMENT, NVML_ERROR_UNKNOWN, NVML_ERROR_IRQ_ISSUE = 2, 999, 11

    def __init__(self) -> None:
        self.lost, self.counts, self.errors, self.listens = False, True, 0, 0
        self.events: list[int] = []
        self.others: list[Any] = []
        self.hangs = threading.Event()
        self.hangs.set()

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        self.hangs.wait(60)
        if self.lost:
            raise NVMLError(15)
        return index

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:
        return SimpleNamespace(used=3 << 30, total=80 << 30)

    def nvmlDeviceGetMinorNumber(self, gpu: int) -> int:
        return 0

    def nvmlDeviceGetTotalEccErrors(self, gpu: int, kind: int, since: int) -> int:
        if not self.counts:
            raise NVMLError(3)
        return self.errors

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: int) -> list[Any]:
        return self.others

    def nvmlEventSetCreate(self) -> str:
        self.listens += 1
        return "events"

    def nvmlDeviceRegisterEvents(self, gpu: int, kind: int, events: str) -> None:
        pass

    def nvmlEventSetWait_v2(self, events: str, milliseconds: int) -> Any:
        assert milliseconds == 0
        if not self.events:
            raise NVMLError(10)
        return SimpleNamespace(eventData=self.events.pop(0))

    def nvmlEventSetFree(self, events: str) -> None:
        self.listens -= 1


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    fake = FakeNvml()
    machine = device.Machine((GPU,), 4, "CPU", 4096)
    monkeypatch.setattr(driver, "nvml", lambda: fake)
    monkeypatch.setattr(device, "detect", lambda *_: machine)
    monkeypatch.setattr(launch, "detect", lambda: machine)
    monkeypatch.setattr(bytecode, "missing", list)
    monkeypatch.setattr(driver, "PATIENCE", 0.3)
    yield fake
    fake.hangs.set()
    for thread in driver._unanswered:
        thread.join(10)


def lose(nvml: FakeNvml) -> None:
    nvml.lost = True


def corrupt(nvml: FakeNvml) -> None:
    nvml.errors += 2


def report(*numbers: int) -> Callable[[FakeNvml], None]:
    return lambda nvml: nvml.events.extend(numbers)


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lose, "the driver says: gpu is lost"),
        (corrupt, "uncorrectable memory errors, 2 of them"),
        (report(13, 79), "Xid 79: it has fallen off the bus"),
    ],
)
def test_a_failed_gpu_is_told_apart_from_a_faulty_script(
    run: Run, nvml: FakeNvml, happens: Callable[[FakeNvml], None], words: str
) -> None:
    done: list[bool] = []

    def while_it_runs() -> None:
        if not done:
            done.append(True)
            happens(nvml)

    result = run(
        f"import time; time.sleep(0.6); {CUDA_ERROR}", device="cuda:0", cancelled=while_it_runs
    )
    assert (result.outcome, result.cause) == (Outcome.VOID, Cause.DEVICE_LOST)
    assert words in result.reason
    assert nvml.listens == 0


@pytest.mark.parametrize("events", [(), (13, 31, 43, 45)])
def test_a_script_that_says_that_its_gpu_is_lost_is_not_believed(
    run: Run, nvml: FakeNvml, events: tuple[int, ...]
) -> None:
    """Neither are the events that a program can bring about itself."""
    nvml.errors, nvml.events = 7, list(events)  # errors of before the experiment
    result = run(CUDA_ERROR, device="cuda:0")
    assert (result.outcome, result.cause) == (Outcome.CRASH, Cause.NONE)


def test_a_gpu_that_counts_no_errors_is_well(nvml: FakeNvml) -> None:
    nvml.counts = False
    assert Health(0).fault() is None


def test_a_driver_that_hangs_is_named_and_holds_up_nobody(run: Run, nvml: FakeNvml) -> None:
    def hang() -> None:
        nvml.hangs.clear()

    begun = time.monotonic()
    result = run("import time; time.sleep(100)", device="cuda:0", cancelled=hang)
    assert (result.outcome, result.cause) == (Outcome.VOID, Cause.DEVICE_HUNG)
    assert "does not answer" in result.reason
    assert time.monotonic() - begun < 30
    # As long as one question is open, no other is put: it would cost a thread and the same patience again.
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(HarnessError, match="does not answer"):
            device.busy(0)
    assert device.telemetry(0) is None
    assert threading.active_count() == threads
    nvml.hangs.set()
    driver._unanswered[0].join(10)
    assert device.busy(0) == []  # it has come back


def test_a_gpu_in_use_is_named_as_the_cause(
    nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.attempt.IDLE_PATIENCE", 0.0)
    nvml.others = [SimpleNamespace(pid=2**22 + 1)]
    with pytest.raises(HarnessError, match="GPU 0 is in use by a process") as told:
        wait_for_idle("cuda:0")
    assert told.value.cause is Cause.DEVICE_BUSY


def test_a_gpu_that_has_gone_before_the_start_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HarnessError) as told:
        device.gpu_of("cuda:0", device.Machine((), 4, "CPU", 4096))
    assert told.value.cause is Cause.DEVICE_LOST
