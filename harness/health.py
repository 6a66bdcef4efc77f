"""Whether a GPU has failed meanwhile, as its driver says: asked before a failure is laid at a candidate's door.

It believes the driver alone. What a candidate prints about its GPU is never looked at, for anybody can print it; and of
the driver's own events (Xid) only those count that no program can bring about.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from harness import driver
from harness.spec import Cause, HarnessError

# NVIDIA's “Xid errors”, the rows whose cause is hardware or driver alone. 13, 31, 43, 45 and their like are what a
# faulty program brings about itself, as NVIDIA's device plugin for Kubernetes has it, too.
XIDS = {
    48: "an uncorrectable memory error",
    62: "its power management has halted",
    64: "a broken row of its memory cannot be replaced",
    74: "an NVLink has failed",
    79: "it has fallen off the bus",
    94: "an uncorrectable memory error",
    95: "an uncorrectable memory error",
    110: "a security fault of its processor",
    119: "its own processor does not answer",
    120: "its own processor has failed",
}
_GONE = ("GPU_IS_LOST", "RESET_REQUIRED", "NOT_FOUND", "INVALID_ARGUMENT", "UNKNOWN", "IRQ_ISSUE")
_EVENTS = 64  # of one training that are read; a GPU that fails may repeat itself


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a GPU, as a sentence for a person."""

    cause: Cause
    reason: str


class Health:
    """One GPU, by the driver's number, from now on."""

    def __init__(self, index: int) -> None:
        """Raises HarnessError when the driver hangs."""
        self._index = index
        self._nvml: Any = driver.nvml()  # None where there is none
        self._events: Any = None
        self._errors: int | None = None
        if self._nvml is not None:
            with contextlib.suppress(
                self._nvml.NVMLError
            ):  # it will be noticed when something fails
                driver.ask(self._begin)

    def fault(self) -> Fault | None:
        """What has become wrong with it since; None when it is well, or where none can tell.

        Raises HarnessError when the driver hangs.
        """
        if self._nvml is None:
            return None
        why = driver.ask(self._found)
        if not why:
            return None
        reason = f"GPU {self._index} has failed ({why}); restart the machine, or choose another [device]."
        return Fault(Cause.DEVICE_LOST, reason)

    def _begin(self) -> None:
        gpu = self._nvml.nvmlDeviceGetHandleByIndex(self._index)
        self._errors = self._counted(gpu)
        with contextlib.suppress(self._nvml.NVMLError):  # not every GPU tells of events
            events = self._nvml.nvmlEventSetCreate()
            kind = self._nvml.nvmlEventTypeXidCriticalError
            self._nvml.nvmlDeviceRegisterEvents(gpu, kind, events)
            self._events = events

    def _found(self) -> str:
        """What is wrong, in words."""
        nvml = self._nvml
        try:
            gpu = nvml.nvmlDeviceGetHandleByIndex(self._index)
            nvml.nvmlDeviceGetMemoryInfo(gpu)
        except nvml.NVMLError as fault:
            if fault.value in {getattr(nvml, f"NVML_ERROR_{name}") for name in _GONE}:
                return f"the driver says: {str(fault).lower()}"
            return ""
        now = self._counted(gpu)
        if now is not None and self._errors is not None and now > self._errors:
            return f"uncorrectable memory errors, {now - self._errors} of them since the start"
        return self._event()

    def _counted(self, gpu: Any) -> int | None:
        """Uncorrectable memory errors since the driver was loaded; None for a GPU that does not count them."""
        nvml = self._nvml
        kind, since = nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        try:
            return int(nvml.nvmlDeviceGetTotalEccErrors(gpu, kind, since))
        except nvml.NVMLError:
            return None

    def _event(self) -> str:
        """The first event since the start that no program brings about."""
        if self._events is None:
            return ""
        with contextlib.suppress(self._nvml.NVMLError):  # no more of them
            for _ in range(_EVENTS):
                number = int(self._nvml.nvmlEventSetWait_v2(self._events, 0).eventData)
                if number in XIDS:
                    return f"Xid {number}: {XIDS[number]}"
        return ""

    def close(self) -> None:
        """Listen to its events no longer."""
        if self._events is not None:
            events, self._events = self._events, None
            with contextlib.suppress(
                self._nvml.NVMLError, HarnessError
            ):  # what hangs frees nothing
                driver.ask(lambda: self._nvml.nvmlEventSetFree(events))
