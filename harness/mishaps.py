"""What goes wrong around a candidate and is none of its doing: a machine that slept, a trusted process that died, a
GPU whose driver hangs. Whatever comes of the experiment then counts nothing.

All of it is seen from the trusted side. What a candidate prints is no evidence here.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

from harness import dataset, device
from harness.device import Gpu
from harness.ending import Verdict
from harness.launch import TRUSTED_LOG, Crew
from harness.observed import Observed
from harness.spec import Cause, ExperimentSpec, HarnessError, Outcome

NAP = 2.0  # seconds of sleep that change nothing; clocks are no more exact than that around one
_LOST = "its data set was cut short while it was read"


def asleep() -> float:
    """Seconds since boot that this machine was suspended: by them its two clocks differ."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class Mishaps:
    """The watch over everything but the candidate, from now on."""

    def __init__(self, crew: Crew, spec: ExperimentSpec, directory: Path) -> None:
        """`directory` is that of the experiment, where the trusted processes say why they fail."""
        self._crew, self._spec, self._directory = crew, spec, directory
        self._asleep = asleep()
        self._gpu: Gpu | None = None
        if spec.device != "cpu":
            self._gpu = device.gpu_of(spec.device, device.detect())

    def slept(self) -> Verdict | None:
        """Whether the machine was suspended meanwhile.

        The clock of the budget stood still with it. But the GPU was off, and woke up cold and perhaps at another speed.
        """
        seconds = asleep() - self._asleep
        if seconds <= NAP:
            return None
        reason = f"The machine was suspended for {_lasting(seconds)} during it."
        return Verdict(Outcome.VOID, reason, Cause.SUSPENDED)

    def died(self, observed: Observed) -> Verdict | None:
        """Whether a trusted process has ended that is still needed: neither ends before we hang up."""
        judged = observed.score or observed.refused
        hashed = observed.committed is None or observed.weights_sha256
        examiner = "auditor" if self._crew.audit else "scorer"
        cause = Cause.AUDITOR_DIED if self._crew.audit else Cause.SCORER_DIED
        if self._crew.scorer.exited() and not judged:
            return self._death(examiner, self._crew.scorer.code, cause)
        if self._crew.meter.exited() and not (judged and hashed):
            return self._death("meter", self._crew.meter.code, Cause.METER_DIED)
        return None

    def _death(self, name: str, code: int | None, cause: Cause) -> Verdict:
        try:  # what it was reading may be the reason
            dataset.load_dataset(Path(self._spec.dataset))
        except HarnessError as fault:
            return Verdict(Outcome.VOID, str(fault), fault.cause)
        reason = f"The {name} of the harness ended early ({self._said(code)}); see {TRUSTED_LOG}."
        return Verdict(Outcome.VOID, reason, cause)

    def _said(self, code: int | None) -> str:
        """The last words of the trusted processes, or else the signal that ended this one."""
        if code == -signal.SIGBUS:
            return _LOST
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"by {signal.Signals(-code).name}"
        text = (self._directory / TRUSTED_LOG).read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"

    def device_memory_mb(self) -> float | None:
        """Memory in use on the GPU of the experiment now, in MB; None on a CPU. Raises HarnessError when it hangs."""
        return None if self._gpu is None else device.memory_used_mb(self._gpu.index)


def _lasting(seconds: float) -> str:
    """A span of time as a person says it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
