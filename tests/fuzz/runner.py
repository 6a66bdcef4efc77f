"""The runner of a fuzzed engine: the real `harness.experiment` with trainings that only sleep, or with real ones.

Lock, lease, signals, progress, wishes to prune and the result's way to the disk are the real runner's own; what is
exchanged is the one function that trains. Every training is told to the ledger.

FUZZ_LEDGER: the ledger; where a file of its name with the suffix `.long` lies beside it, trainings sleep for a minute.
FUZZ_TRAINING: `sleep` or `real`. FUZZ_GRACE: seconds without an engine, in the place of the engine's own.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import experiment
from harness.ending import Verdict
from harness.spec import (
    AuditReport,
    CurvePoint,
    ExperimentSpec,
    Outcome,
    Progress,
    Result,
    SmokeResult,
)
from tests.fuzz.ledger import Entry, alone, note

LEDGER = Path(os.environ["FUZZ_LEDGER"])
SHORTEST, LONGEST = 0.05, 0.3  # seconds of a training that sleeps
MINUTE = 60.0
LOOK = 0.01  # seconds between looks at whether it is to end
FAILING = 12  # one child in so many does not train
STEPS = 5  # points of a curve

Tell = Callable[[Progress], None]
Cancelled = Callable[[], Verdict | None]


def digest(source: str) -> str:
    """The name of a script."""
    return hashlib.sha256(source.encode()).hexdigest()


def outcome(spec: ExperimentSpec) -> tuple[Outcome, float]:
    """What a script comes to with a seed: a landscape of pure chance, the same for everybody who asks."""
    source = random.Random(digest(spec.source))
    luck = random.Random(f"{digest(spec.source)}:{spec.seed}")
    score = 2.0 + source.uniform(-0.2, 0.2) + luck.gauss(0.0, 0.004)
    baseline = spec.cache == "write"  # the person's own script always trains
    failed = source.randrange(FAILING) == 0 and not baseline
    return (Outcome.CRASH if failed else Outcome.OK), round(score, 6)


def sleep(spec: ExperimentSpec, directory: Path, on_progress: Tell, cancelled: Cancelled) -> Result:
    """A training that takes a moment and learns nothing. As `harness.experiment.run`."""
    begun = time.monotonic()
    seconds = random.Random(f"{spec.name}:{spec.seed}").uniform(SHORTEST, LONGEST)
    seconds = MINUTE if LEDGER.with_suffix(".long").exists() else seconds
    (directory / "run.log").write_text(f"slept for {seconds:.3f} s\n")
    curve: list[CurvePoint] = []
    for step in range(1, STEPS + 1):
        fraction = step / STEPS
        while time.monotonic() - begun < seconds * fraction:
            time.sleep(LOOK)
            if why := cancelled():
                return Result(why.outcome, why.reason, cause=why.cause, seed=spec.seed)
        tokens = round(spec.budget.amount * fraction)
        on_progress(Progress("training", time.time(), fraction, tokens, seconds * fraction))
        curve.append(CurvePoint(fraction, seconds * fraction, tokens, 5.0 - fraction))
    kind, score = outcome(spec)
    took = time.monotonic() - begun
    if kind is not Outcome.OK:
        return Result(
            kind, "ValueError: no", seed=spec.seed, sandbox=spec.sandbox, total_seconds=took
        )
    probes = spec.audit.probes_for(score)
    report = AuditReport(True, "At every place the loss stayed the same.", score, probes)
    return Result(
        Outcome.OK,
        "It ended by itself.",
        val_bpb=score,
        sealed_bpb=score + 0.01 if spec.sealed else None,
        audit=report if probes else None,
        seed=spec.seed,
        sandbox=spec.sandbox,
        train_seconds=took,
        total_seconds=took,
        train_tokens=round(spec.budget.amount),
        curve=tuple(curve),
        log_tail=f"slept for {took:.3f} s",
    )


def try_out(
    spec: ExperimentSpec, directory: Path, on_progress: Tell, cancelled: Cancelled
) -> SmokeResult:
    """A smoke run in which everything comes through. As `harness.experiment.try_out`."""
    time.sleep(SHORTEST)
    if why := cancelled():
        return SmokeResult(why.outcome, why.reason, cause=why.cause)
    return SmokeResult(Outcome.OK, "It came through.", seconds=SHORTEST)


def entry(what: str, spec: ExperimentSpec, score: float | None = None) -> Entry:
    """A line of the ledger about `spec`, now."""
    smoke = bool(spec.smoke_steps)
    name, source = spec.name, digest(spec.source)
    return Entry(what, name, source, spec.seed, os.getpid(), time.monotonic(), smoke, score)


def stand_in(argv: list[str]) -> int:
    """The runner with other trainings, each told to the ledger."""
    slept = os.environ["FUZZ_TRAINING"] == "sleep"
    trained, tried, resumed = experiment.run, experiment.try_out, experiment.resume

    def told(
        spec: ExperimentSpec, directory: Path, on_progress: Tell, cancelled: Cancelled, **more: Any
    ) -> Result:
        with alone(LEDGER, entry("start", spec)):
            if slept:
                result = sleep(spec, directory, on_progress, cancelled)
            else:
                result = trained(spec, directory, on_progress, cancelled, **more)
            note(LEDGER, entry("end", spec, result.val_bpb))
        return result

    def smoked(
        spec: ExperimentSpec, directory: Path, on_progress: Tell, cancelled: Cancelled
    ) -> SmokeResult:
        with alone(LEDGER, entry("start", spec)):
            result = (try_out if slept else tried)(spec, directory, on_progress, cancelled)
            note(LEDGER, entry("end", spec))
        return result

    def scored(
        spec: ExperimentSpec, directory: Path, on_progress: Tell, cancelled: Cancelled
    ) -> Result:
        with alone(LEDGER, entry("resume", spec)):  # no training: the weights of one are scored
            result = resumed(spec, directory, on_progress, cancelled)
            note(LEDGER, entry("end", spec, result.val_bpb))
        return result

    experiment.run, experiment.try_out, experiment.resume = told, smoked, scored  # type: ignore[assignment]
    if (grace := os.environ.get("FUZZ_GRACE")) and "--grace" in argv:
        argv[argv.index("--grace") + 1] = grace
    return experiment.main(argv)


if __name__ == "__main__":
    sys.exit(stand_in(sys.argv[1:]))
