"""What honesty costs: the start of a cell, rows served into it, and the blind audit of one score."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import meter
from bench.synthetic import measure, write_dataset
from harness import experiment, sandbox
from harness.spec import AuditPlan, Budget, ExperimentSpec, Limits

STARTS = 20
TRAINER = Path(__file__).resolve().parent.parent / "trainer" / "train.py"
LENGTH, VOCABULARY, ROWS = 256, 1024, {"train": 2000, "val": 256, "sealed": 128}
TOKENS, PROBES = 200_000, 256  # as in a rehearsal


def run() -> list[tuple[str, str, str]]:
    """At the strongest level that this machine has."""
    level = sandbox.probe().level
    return [*_starts(), _meter_inside(level), *_audit(level)]


def _starts() -> list[tuple[str, str, str]]:
    """Milliseconds until /bin/true has ended in a cell, beyond the same without one."""
    plain = _median_start(sandbox.PROCESS)
    return [
        (
            f"start of a cell, {level}, median of {STARTS}",
            f"+{1000 * (_median_start(level) - plain):.0f} ms",
            "",
        )
        for level in sandbox.probe().available
        if level != sandbox.PROCESS
    ]


def _median_start(level: str) -> float:
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(STARTS):
            start = time.perf_counter()
            with sandbox.command(level, ["/bin/true"], folder=Path(folder)) as cell:
                subprocess.run(
                    cell.argv,
                    env=dict(cell.environment) | {"PATH": os.defpath},
                    pass_fds=cell.descriptors,
                    check=True,
                )
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def _meter_inside(level: str) -> tuple[str, str, str]:
    shapes = ((8, 256),)
    size = {"length": 2048, "vocabulary": 8192, "train_rows": 8192, "val_rows": 1}
    figures = measure(meter.SCRIPT % (shapes,), sandbox=level, **size)
    value = figures["8x256 int64"]
    return (
        f"meter, 8x256, as int64 tensors, {level}",
        f"{value:,.0f} M tokens/s",
        ">= 5 M tokens/s",
    )


def _audit(level: str) -> list[tuple[str, str, str]]:
    """The trainer's rehearsal on made-up rows, with an audit behind it."""
    generator = np.random.default_rng(0)
    rows = {
        name: generator.integers(1, VOCABULARY, (count, LENGTH + 1), dtype=np.uint16)
        for name, count in ROWS.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        data = write_dataset(Path(folder) / "data", rows, vocabulary=VOCABULARY, bos=0)
        spec = ExperimentSpec(
            name="bench",
            source=TRAINER.read_text(),
            seed=1,
            dataset=str(data),
            budget=Budget("tokens", TOKENS),
            sandbox=level,
            limits=Limits(wall_seconds=300, threads=1),
            audit=AuditPlan(probes=PROBES),
        )
        result = experiment.run(spec, Path(folder) / "e", lambda _: None, lambda: None)
    if result.audit is None or not result.audit.passed:
        raise SystemExit(f"the benchmark's audit failed: {result.reason}\n{result.log_tail}")
    seconds, total = result.audit.seconds, result.total_seconds
    return [
        (f"blind audit of {result.audit.probes} places, rehearsal", f"{seconds:.1f} s", ""),
        ("  as a share of the experiment", f"{seconds / total:.0%} of {total:.1f} s", ""),
    ]
