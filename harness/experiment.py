"""One experiment, from spec to result; as a program, the detached runner that the engine starts.

It takes plain data and returns plain data, knows no git and no journal, and turns what was observed into an
outcome. A failure never becomes a number, and a score comes from the scorer alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath
from types import FrameType

from harness import device, live, rundir, sandbox
from harness.dataset import Dataset, load_dataset
from harness.ending import Evidence, judge
from harness.launch import Crew, launch
from harness.observed import Observed
from harness.process import BoundedLog
from harness.spec import ExperimentSpec, HarnessError, Outcome, Progress, Result
from harness.trial import Trial

TAIL = 8192  # characters of the log in a result
IDLE_PATIENCE = 15.0  # seconds for the driver to clean up after an earlier training
IDLE_POLL = 0.5
LEASE_EVERY = 1.0  # seconds between two looks at the lease
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # by itself, or as a sandbox reports it


def run(
    spec: ExperimentSpec,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], str | None],
) -> Result:
    """Train, commit and score one candidate in `directory`, which holds its run.log afterwards.

    `on_progress` is called at most a few times a second; `cancelled` is asked four times a second and ends the
    experiment as VOID when it returns a reason. Raises HarnessError when the experiment cannot begin: damaged
    data, a GPU in use, no such sandbox.
    """
    begun = time.monotonic()
    _check(spec)
    dataset = load_dataset(Path(spec.dataset))
    if gpu := device.gpu_of(spec.device, device.detect()):
        _wait_for_idle(gpu)
    directory.mkdir(parents=True, exist_ok=True)
    on_progress(Progress("starting", time.time()))
    kills = _kernel_kills()
    with contextlib.closing(BoundedLog(directory / rundir.LOG)) as log:
        with launch(spec, dataset, directory) as crew:
            observed = Trial(crew, spec, directory, log).watch(on_progress, cancelled)
            started = _has_started(crew, spec)
        evidence = _evidence(observed, crew, log.text())
        evidence = replace(
            evidence, kernel_killed=_kernel_kills() > kills, sandbox_failed=not started
        )
    result = _result(spec, dataset, observed, crew, evidence, begun)
    on_progress(
        Progress(
            "done", time.time(), observed.spent.fraction, result.train_tokens, result.train_seconds
        )
    )
    return result


def _check(spec: ExperimentSpec) -> None:
    """Refuse what cannot be run, before anything is started."""
    if PurePath(spec.script).name != spec.script or spec.script.startswith("."):
        raise HarnessError(f"“{spec.script}” is no file name; a script is named like train.py.")
    if spec.sandbox not in sandbox.LEVELS:
        raise HarnessError(
            f"There is no sandbox level “{spec.sandbox}”; choose from {', '.join(sandbox.LEVELS)}."
        )
    if not re.fullmatch(r"cpu|cuda(:\d+)?", spec.device):
        raise HarnessError(f"“{spec.device}” is no device; choose cpu or cuda:N.")
    if not spec.budget.amount > 0:
        raise HarnessError(f"A budget of {spec.budget.amount:g} {spec.budget.kind} trains nothing.")


def _wait_for_idle(gpu: device.Gpu) -> None:
    """Two trainings on one GPU would disturb each other's clock. Raises HarnessError naming who is there."""
    deadline = time.monotonic() + IDLE_PATIENCE
    while others := device.busy(gpu.index):
        if time.monotonic() > deadline:
            raise HarnessError(
                f"GPU {gpu.index} is in use by {', '.join(others)}; end that first, or choose another device."
            )
        select.select([], [], [], IDLE_POLL)  # the driver announces nothing


def _kernel_kills() -> int:
    """How often the kernel's out-of-memory killer has struck since boot."""
    found = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(), re.M)
    return int(found[1]) if found else 0


def _has_started(crew: Crew, spec: ExperimentSpec) -> bool:
    """Whether the script ran at all: bubblewrap tells an exit code only of what it has started."""
    if spec.sandbox != sandbox.BUBBLEWRAP or crew.candidate.code in (0, -signal.SIGKILL):
        return True
    try:
        return b"exit-code" in os.read(crew.status, 4096)
    except BlockingIOError:
        return False


def _evidence(observed: Observed, crew: Crew, log: str) -> Evidence:
    step = observed.step
    # Sent off after its goodbye, it was killed while it tidied up: that is no end of its own.
    sent_off = observed.goodbye and observed.score and observed.stopped is None
    code = 0 if sent_off and crew.candidate.code in KILLED else crew.candidate.code
    return Evidence(
        scored=observed.score is not None,
        refused=observed.refused,
        stopped=observed.stopped,
        exit_code=code,
        committed=observed.committed is not None,
        log=log,
        traceback=live.last_traceback(log),
        last_loss_finite=step is None or step.loss is None or abs(step.loss) < float("inf"),
    )


def _result(
    spec: ExperimentSpec,
    dataset: Dataset,
    observed: Observed,
    crew: Crew,
    evidence: Evidence,
    begun: float,
) -> Result:
    """Put together what is known; the score is in it exactly when the outcome is OK."""
    verdict, spent, score = judge(evidence), observed.spent, observed.score
    ok = verdict.outcome is Outcome.OK
    summary = live.parse_summary(evidence.log)
    fingerprint = device.fingerprint(spec, dataset)
    now = time.monotonic()
    return Result(
        outcome=verdict.outcome,
        reason=verdict.reason,
        val_bpb=score.val_bpb if score and ok else None,
        val_nats=score.val_nats if score and ok else None,
        seed=spec.seed,
        sandbox=spec.sandbox,
        setup_seconds=(spent.start or now) - crew.launched,
        train_seconds=spent.seconds,
        eval_seconds=score.seconds if score else 0.0,
        total_seconds=now - begun,
        timeline=observed.timeline(begun, crew.launched, now),
        row_wait_seconds=spent.waited,
        train_tokens=spent.tokens,
        eval_tokens=score.tokens if score else 0,
        epochs=spent.epoch,
        tokens_per_second=spent.counted / spent.seconds if spent.seconds else 0.0,
        weights_sha256=observed.weights_sha256,
        peak_memory_mb=live.summary_number(summary, "peak_vram_mb"),
        host_memory_mb=round(crew.candidate.memory_mb, 1) or None,
        summary=summary,
        log_tail=evidence.log[-TAIL:],
        traceback=evidence.traceback,
        curve=tuple(observed.curve),
        fingerprint=fingerprint,
    )


# ---- the detached runner ---------------------------------------------------------------------------------


class Stop:
    """Why a runner should end: a signal, or a lease that nobody holds any more."""

    def __init__(self, lease: Path | None, grace: float) -> None:
        """`lease` is the engine's lock file; without one only a signal ends the runner."""
        self._lease, self._grace = lease, grace
        self._signal = ""
        self._looked = self._held = time.monotonic()

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Handler of SIGTERM and its like."""
        self._signal = f"Stopped by {signal.Signals(number).name}."

    def reason(self) -> str | None:
        """The reason to end now, or None."""
        now = time.monotonic()
        if self._lease and now - self._looked >= LEASE_EVERY:
            self._looked = now
            if rundir.is_held(self._lease):
                self._held = now
        if self._lease and now - self._held > self._grace:
            return f"The engine has been gone for {self._grace:g} s."
        return self._signal or None


def main(argv: list[str] | None = None) -> int:
    """Run the experiment of `DIR/spec.json` and leave `DIR/result.json`; a broken harness is VOID, too."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.experiment", description="Run one experiment."
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder that holds spec.json")
    parser.add_argument("--lease", type=Path, help="lock file that a live engine holds")
    parser.add_argument(
        "--grace", type=float, default=30.0, metavar="S", help="seconds without an engine"
    )
    args = parser.parse_args(argv)
    stop = Stop(args.lease, args.grace)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop.on_signal)
    directory = args.directory.resolve()
    try:
        spec = rundir.read_spec(directory)
        with rundir.hold(directory):
            rundir.forget_result(directory)
            rundir.write_result(directory, _run_or_void(spec, directory, stop))
    except HarnessError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def _run_or_void(spec: ExperimentSpec, directory: Path, stop: Stop) -> Result:
    try:
        with rundir.progress_writer(directory) as on_progress:
            return run(spec, directory, on_progress, stop.reason)
    except HarnessError as fault:
        return Result(Outcome.VOID, str(fault), seed=spec.seed, sandbox=spec.sandbox)


if __name__ == "__main__":
    sys.exit(main())
