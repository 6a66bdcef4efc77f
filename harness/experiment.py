"""One experiment, from spec to result; as a program, the detached runner that the engine starts.

It takes plain data and returns plain data, knows no git and no journal, and turns what was observed into an
outcome. A failure never becomes a number, and a score comes from the scorer alone.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from harness import (
    committed,
    device,
    live,
    process,
    reaper,
    rescoring,
    rundir,
    runlock,
    sandbox,
    wire,
)
from harness.attempt import Ended, attempt
from harness.bounds import TRUSTED, volunteer
from harness.committed import Safe
from harness.crashpoints import reached
from harness.dataset import Dataset, load_dataset
from harness.ending import Verdict
from harness.launch import Crew
from harness.lease import Stop
from harness.observed import Observed, Score
from harness.places import full_disks_named, is_full
from harness.replay import prove
from harness.smoke import smoke
from harness.spec import (
    Cause,
    ExperimentSpec,
    HarnessError,
    Outcome,
    Progress,
    Result,
    SmokeResult,
)

TAIL = 8192  # characters of the log in a result
ROOM_EVERY = 1.0  # seconds between two attempts to leave a result on a full disk
ROOM_PATIENCE = 3600.0  # seconds of them when no engine lives that could wait for it


def run(
    spec: ExperimentSpec,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
    safe: Safe | None = None,
) -> Result:
    """Train, commit and score one candidate in `directory`, which holds its run.log afterwards.

    `on_progress` is called at most a few times a second; `cancelled` is asked four times a second and ends the
    experiment with the verdict that it returns: VOID at any moment, PRUNED as long as it trains. The weights are put into
    the `safe`, and nothing waits for that. Raises HarnessError when the experiment cannot begin: damaged
    data, a GPU in use, no such sandbox.
    """
    begun = time.monotonic()
    dataset = _ready(spec)
    directory.mkdir(parents=True, exist_ok=True)
    on_progress(Progress("starting", time.time()))

    def keep(observed: Observed, crew: Crew) -> None:
        if safe is not None and observed.weights is not None:
            seen = {"launched": crew.launched, "memory_mb": crew.candidate.memory_mb}
            facts = committed.record(spec, dataset, observed, begun=begun, **seen)
            safe.put(observed.weights, facts)

    with contextlib.ExitStack() as stack:
        nats = _store(stack) if spec.audit.possible else None
        ended = attempt(spec, dataset, directory, on_progress, cancelled, nats=nats, on_commit=keep)
        observed = ended.observed
        if observed.weights is not None:
            stack.callback(os.close, observed.weights)
        result = _result(spec, dataset, ended, begun)
        result = prove(
            spec, dataset, directory, on_progress, cancelled, nats, observed.weights, result
        )
    _done(on_progress, result, observed.spent.fraction)
    return result


def resume(
    spec: ExperimentSpec,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
) -> Result:
    """Score what a killed runner of this experiment has left in `directory`, and train nothing; else as `run`.

    Raises HarnessError also when what was left is of no use.
    """
    dataset = _ready(spec)
    with contextlib.ExitStack() as stack:
        nats = _store(stack) if spec.audit.possible else None
        left = committed.take(directory, spec, dataset)
        stack.callback(os.close, left.weights)
        result = rescoring.score(spec, dataset, directory, on_progress, cancelled, nats, left)
        result = prove(spec, dataset, directory, on_progress, cancelled, nats, left.weights, result)
    _done(on_progress, result, left.facts.fraction)
    return result


def _done(on_progress: Callable[[Progress], None], result: Result, fraction: float) -> None:
    tokens, seconds = result.train_tokens, result.train_seconds
    on_progress(Progress("done", time.time(), fraction, tokens, seconds))


def try_out(
    spec: ExperimentSpec,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
) -> SmokeResult:
    """The smoke run that `spec.smoke_steps` asks for, in `directory`; everything else as in `run`."""
    dataset = _ready(spec)
    directory.mkdir(parents=True, exist_ok=True)
    on_progress(Progress("starting", time.time()))
    result = smoke(spec, dataset, directory, on_progress, cancelled)
    on_progress(Progress("done", time.time()))
    return result


def _ready(spec: ExperimentSpec) -> Dataset:
    """Check what is asked, end what a killed runner has left where no cell did, and open the data."""
    _check(spec)
    reaper.reap()
    return load_dataset(Path(spec.dataset))


def _store(stack: contextlib.ExitStack) -> int:
    """A memory file for the loss of every token, which is gone with this experiment."""
    nats = wire.make_store("nats")
    stack.callback(os.close, nats)
    return nats


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


def _result(spec: ExperimentSpec, dataset: Dataset, ended: Ended, begun: float) -> Result:
    """Put together what is known; the score is in it exactly when the outcome is OK."""
    observed, verdict, spent = ended.observed, ended.verdict, ended.observed.spent
    score = observed.score if isinstance(observed.score, Score) else None
    ok = verdict.outcome is Outcome.OK
    summary = live.parse_summary(ended.log)
    fingerprint = device.fingerprint(spec, dataset)
    now = time.monotonic()
    return Result(
        outcome=verdict.outcome,
        reason=verdict.reason,
        cause=verdict.cause,
        val_bpb=score.val_bpb if score and ok else None,
        val_nats=score.val_nats if score and ok else None,
        sealed_bpb=score.sealed_bpb if score and ok else None,
        seed=spec.seed,
        sandbox=spec.sandbox,
        setup_seconds=(spent.start or now) - ended.launched,
        train_seconds=spent.seconds,
        eval_seconds=score.seconds if score else 0.0,
        transport=score.transport if score else "",
        total_seconds=now - begun,
        timeline=observed.timeline(begun, ended.launched, now),
        row_wait_seconds=spent.waited,
        train_tokens=spent.tokens,
        eval_tokens=score.tokens if score else 0,
        epochs=spent.epoch,
        tokens_per_second=spent.tokens / spent.seconds if spent.seconds else 0.0,
        weights_sha256=observed.weights_sha256,
        peak_memory_mb=live.summary_number(summary, "peak_vram_mb"),
        host_memory_mb=round(ended.memory_mb, 1) or None,
        device_memory_mb=observed.device_memory_mb,
        summary=summary,
        log_tail=ended.log[-TAIL:],
        traceback=ended.traceback,
        curve=tuple(observed.curve),
        fingerprint=fingerprint,
    )


# ---- the detached runner ---------------------------------------------------------------------------------


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
    parser.add_argument(
        "--lock-fd", type=int, metavar="N", help="DIR's lock, held by who starts us"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="score the weights that a killed runner has left in DIR, and train nothing",
    )
    args = parser.parse_args(argv)
    volunteer(TRUSTED)  # while its own files in /proc are open to it
    process.become_trusted()  # it holds the weights and the losses of an audit
    directory = args.directory.resolve()
    stop = Stop(args.lease, args.grace, directory)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop.on_signal)
    try:
        spec = rundir.read_spec(directory)
        reached("runner.before-hold")
        with runlock.hold(directory, args.lock_fd) as stop.lock:
            reached("runner.held")
            rundir.forget_result(directory)
            if spec.smoke_steps:
                tried = _try_or_void(spec, directory, stop)
                _leave(partial(rundir.write_smoke, directory, tried), stop)
            else:
                _run_to_its_result(spec, directory, stop, again=args.again)
    except HarnessError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def _run_to_its_result(spec: ExperimentSpec, directory: Path, stop: Stop, *, again: bool) -> None:
    """Run an experiment, or score it `again`, and leave its result; the weights are on the disk until then.

    When it ends because no engine lives, and the weights are safe, it leaves those instead: the next engine has them scored.
    """
    with Safe(directory) as safe:
        if again:
            rundir.clear_work(directory)
            result = _or_void(partial(resume, spec), spec, directory, stop)
        else:
            rundir.forget_committed(directory)  # of an earlier attempt
            result = _or_void(partial(run, spec, safe=safe), spec, directory, stop)
        if result.cause is Cause.LEASE and safe.holds():
            print(f"{result.reason} The next one has the committed weights scored.")
            return
        reached("runner.before-result")

        def write() -> None:
            try:
                rundir.write_result(directory, result)
            except OSError:  # the disk may be full of the weights
                safe.clear()
                raise

        _leave(write, stop)
        safe.clear()


def _leave(write: Callable[[], None], stop: Stop) -> None:
    """Write what the experiment came to: where the disk is full, as soon as there is room.

    There may be hours of a GPU in it. It waits in memory, under the experiment's lock and with its signs of life, as
    long as an engine lives; without one for `ROOM_PATIENCE`, or until a signal. Raises HarnessError after that.
    """
    deadline = time.monotonic() + ROOM_PATIENCE
    while True:
        try:
            write()
            reached("runner.after-result")
            return
        except OSError as fault:
            if not is_full(fault):
                raise
            why = stop.verdict()
            cause = why.cause if why else Cause.NONE
            alone = not stop.has_engine and time.monotonic() > deadline
            if cause is Cause.SIGNAL or alone:
                raise HarnessError(
                    f"There was no room to leave a result ({fault}); free some space and start it again.",
                    Cause.DISK_FULL,
                ) from fault
        time.sleep(ROOM_EVERY)


def _or_void(
    work: Callable[..., Result], spec: ExperimentSpec, directory: Path, stop: Stop
) -> Result:
    try:
        with full_disks_named(), rundir.progress_writer(directory) as on_progress:
            return work(directory, on_progress, stop.verdict)
    except HarnessError as fault:
        void = Result(Outcome.VOID, str(fault), cause=fault.cause)
        return replace(void, seed=spec.seed, sandbox=spec.sandbox)


def _try_or_void(spec: ExperimentSpec, directory: Path, stop: Stop) -> SmokeResult:
    try:
        with full_disks_named(), rundir.progress_writer(directory) as on_progress:
            return try_out(spec, directory, on_progress, stop.verdict)
    except HarnessError as fault:
        return SmokeResult(Outcome.VOID, str(fault), cause=fault.cause)


if __name__ == "__main__":
    sys.exit(main())
