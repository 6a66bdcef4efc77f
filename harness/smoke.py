"""A smoke run: a script takes a few steps and goes through an evaluation, so that its faults cost seconds.

It is the last check before a training's minutes are spent: the same cell, the same processes, the same memory, and
rows of nothing. It has no clock and computes no score; what it finds out is whether the script comes through.
After the `--smoke-test` of karpathy/autoresearch's forks (win-rtx), here with the evaluation, in which half of their
out-of-memory errors came.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from harness import live
from harness.attempt import attempt
from harness.dataset import Dataset
from harness.ending import Verdict
from harness.spec import ExperimentSpec, Progress, SmokeResult

TAIL = 8192  # characters of the log in a result


def smoke(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
) -> SmokeResult:
    """Let the script of `spec` take `spec.smoke_steps` optimizer steps, and evaluate it on one batch and a row.

    Raises HarnessError when it cannot begin.
    """
    begun = time.monotonic()
    ended = attempt(spec, dataset, directory, on_progress, cancelled)
    observed = ended.observed
    if observed.weights is not None:
        os.close(observed.weights)
    said = live.summary_number(live.parse_summary(ended.log), "peak_vram_mb")
    on_cpu = spec.device == "cpu"
    now = time.monotonic()
    return SmokeResult(
        outcome=ended.verdict.outcome,
        reason=ended.verdict.reason,
        cause=ended.verdict.cause,
        seconds=now - begun,
        peak_memory_mb=None if on_cpu else observed.device_memory_mb or said,
        host_memory_mb=round(ended.memory_mb, 1) or None,
        timeline=observed.timeline(begun, ended.launched, now),
        traceback=ended.traceback,
        log_tail=ended.log[-TAIL:],
    )
