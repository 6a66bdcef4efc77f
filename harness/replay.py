"""The blind audit of one score, carried out: the script is started again in a fresh cell, with nothing left to spend.

There it builds its model anew, gets the committed weights, and answers an examiner who hides the future. This module
starts and repeats; what the answers mean is decided in `audit`, and that they come from a process without a memory
is the point of it all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness import audit as rules
from harness.attempt import attempt
from harness.audit import Findings
from harness.dataset import Dataset
from harness.ending import Verdict
from harness.launch import Replay
from harness.observed import Examined
from harness.spec import AuditReport, ExperimentSpec, Outcome, Progress


def audit(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
    nats: int,
    left: Replay,
) -> AuditReport | Verdict:
    """Audit what a training has `left`; `nats` is the store of its losses.

    Returns a Verdict of VOID when nothing was found out, for a reason outside the candidate. Raises HarnessError
    when the replay cannot begin.
    """
    begun, planned = time.monotonic(), left.probes
    while True:
        ended = attempt(spec, dataset, directory, on_progress, cancelled, nats=nats, replay=left)
        if ended.verdict.outcome is Outcome.VOID:
            return ended.verdict
        examined = ended.observed.score
        seconds = time.monotonic() - begun
        if not isinstance(examined, Examined):
            return AuditReport(
                passed=False,
                reason=f"its replay from the committed weights failed ({ended.verdict.reason.rstrip('.')})",
                claimed_bpb=left.claimed_bpb,
                seconds=seconds,
            )
        findings = examined.findings
        if not findings.undecided or left.probes > planned:
            return _report(findings, left, seconds)
        left = replace(left, probes=rules.AGAIN * planned)


def _report(findings: Findings, left: Replay, seconds: float) -> AuditReport:
    return AuditReport(
        passed=findings.passed,
        reason=findings.reason,
        claimed_bpb=left.claimed_bpb,
        probes=findings.probes,
        mean=findings.mean,
        error=findings.error,
        outliers=findings.outliers,
        stateful=findings.stateful,
        largest=findings.largest,
        seconds=seconds,
    )
