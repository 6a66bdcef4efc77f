"""One run of a script in its cell, from start to end: a training, or the replay of one.

It waits for a quiet GPU, has the crew launched and watched, and gathers the evidence for how it ended. What an
outcome means for a score is decided by its callers.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness import device, live, rundir, sandbox
from harness.boundedlog import BoundedLog
from harness.dataset import Dataset
from harness.device import Gpu
from harness.ending import Evidence, Verdict, judge
from harness.health import Health
from harness.launch import Crew, Replay, launch
from harness.observed import Observed
from harness.spec import Cause, ExperimentSpec, HarnessError, Outcome, Progress
from harness.trial import OnCommit, Trial

IDLE_PATIENCE = 15.0  # seconds for the driver to clean up after an earlier training
IDLE_POLL = 0.5
NO_ROOM = 1 << 20  # bytes on the disk with which a script that writes its kernels there must fail
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # by itself, or as a sandbox reports it


@dataclass(frozen=True, slots=True)
class Ended:
    """A script that has ended, with all that descended from it."""

    observed: Observed
    verdict: Verdict
    log: str  # cleaned
    traceback: str
    launched: float  # on the monotonic clock
    memory_mb: float  # of the host, at its largest


def attempt(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
    *,
    nats: int | None = None,
    replay: Replay | None = None,
    on_commit: OnCommit | None = None,
) -> Ended:
    """Run the script of `spec` to its end in `directory`, which holds its run.log afterwards.

    `nats`: a store for the loss of every validation token; see `launch`. `on_commit`: see `Trial`. Raises HarnessError when it cannot begin.
    """
    gpu = wait_for_idle(spec.device)
    directory.mkdir(parents=True, exist_ok=True)
    kills = _kernel_kills()
    with contextlib.ExitStack() as stack:
        health = stack.enter_context(contextlib.closing(Health(gpu.index))) if gpu else None
        log = stack.enter_context(contextlib.closing(BoundedLog(directory / rundir.LOG)))
        with launch(spec, dataset, directory, nats, replay) as crew:
            observed = Trial(crew, spec, directory, log, on_commit).watch(on_progress, cancelled)
            started = _has_started(crew, spec)
            own_kills = crew.candidate.kernel_kills()
            room = shutil.disk_usage(directory).free  # before what it wrote is removed
        evidence = replace(
            _evidence(observed, crew, log.text(), started=started),
            kernel_killed=bool(own_kills),
            kernel_struck=own_kills is None and _kernel_kills() > kills,
            memory_limit_mb=spec.limits.memory_mb,
            disk_full=room < NO_ROOM,
        )
        verdict = judge(evidence)
        if health and _may_be_the_gpu(verdict):
            verdict = _of_gpu(health) or verdict
    return Ended(
        observed=observed,
        verdict=verdict,
        log=evidence.log,
        traceback="" if evidence.shown and not evidence.scored else evidence.traceback,
        launched=crew.launched,
        memory_mb=crew.candidate.memory_mb,
    )


def _may_be_the_gpu(verdict: Verdict) -> bool:
    """Whether a failed GPU would explain this end."""
    if verdict.outcome is Outcome.VOID:
        return verdict.cause not in (Cause.SIGNAL, Cause.LEASE)
    return verdict.outcome not in (Outcome.OK, Outcome.PRUNED)


def _of_gpu(health: Health) -> Verdict | None:
    """What the driver says of the GPU, when it is not well."""
    try:
        fault = health.fault()
    except HarnessError as hung:
        return Verdict(Outcome.VOID, str(hung), hung.cause)
    return Verdict(Outcome.VOID, fault.reason, fault.cause) if fault else None


def wait_for_idle(device_name: str) -> Gpu | None:
    """The GPU that `cuda:N` means, once nobody else computes on it; None on a CPU.

    Two trainings on one GPU would disturb each other's clock. Raises HarnessError naming who is there.
    """
    gpu = device.gpu_of(device_name, device.detect())
    if gpu is None:
        return None
    deadline = time.monotonic() + IDLE_PATIENCE
    while others := device.busy(gpu.index):
        if time.monotonic() > deadline:
            raise HarnessError(
                f"GPU {gpu.index} is in use by {', '.join(others)}; end that first, or choose another device.",
                Cause.DEVICE_BUSY,
            )
        select.select([], [], [], IDLE_POLL)  # the driver announces nothing
    return gpu


def _kernel_kills() -> int:
    """How often the kernel's out-of-memory killer has struck since boot."""
    found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.M)
    return int(found[1]) if found else 0


def _has_started(crew: Crew, spec: ExperimentSpec) -> bool:
    """Whether the script ran at all: a cell tells an exit code only of what it has started."""
    if spec.sandbox == sandbox.PROCESS or crew.candidate.code in (0, -signal.SIGKILL):
        return True
    try:
        return b"exit-code" in os.read(crew.status, 4096)
    except BlockingIOError:
        return False


def _evidence(observed: Observed, crew: Crew, log: str, *, started: bool) -> Evidence:
    step = observed.step
    # Sent off after its goodbye, it was killed while it tidied up: that is no end of its own.
    sent_off = observed.goodbye and observed.score and observed.stopped is None
    code = 0 if sent_off and crew.candidate.code in KILLED else crew.candidate.code
    return Evidence(
        scored=observed.score is not None,
        smoke=crew.smoke,
        refused=observed.refused,
        stopped=observed.stopped,
        broken=observed.broken,
        exit_code=code,
        committed=observed.committed is not None,
        shown=observed.shown,
        log=log,
        traceback=live.last_traceback(log),
        last_loss_finite=step is None or step.loss is None or abs(step.loss) < float("inf"),
        memory_mb=crew.candidate.memory_mb,
        sandbox_failed=not started,
    )
