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
from harness import rundir
from harness.attempt import attempt
from harness.audit import Findings
from harness.dataset import Dataset
from harness.ending import Verdict
from harness.launch import Replay
from harness.observed import Examined
from harness.spec import AuditReport, ExperimentSpec, Outcome, Progress, Result


def prove(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
    nats: int | None,
    weights: int | None,
    result: Result,
) -> Result:
    """The result of an experiment with what the blind audit of its score has found, where one is ordered.

    `nats` and `weights` are descriptors of its losses and its weights, which are there where there is a score.
    """
    probes = 0 if result.val_bpb is None else spec.audit.probes_for(result.val_bpb)
    if not probes:
        return result
    assert nats is not None  # noqa: S101 - an audit is possible
    assert weights is not None  # noqa: S101 - they were scored
    left = Replay(weights, result.weights_sha256, result.val_bpb, probes)
    told = _as_audit(on_progress, result)
    told(Progress("auditing", time.time()))
    folder = directory / rundir.AUDIT
    return _audited(result, audit(spec, dataset, folder, told, cancelled, nats, left))


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
    assert left.claimed_bpb is not None  # noqa: S101 - a score is audited
    begun, planned, claimed = time.monotonic(), left.probes, left.claimed_bpb
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
                claimed_bpb=claimed,
                seconds=seconds,
            )
        findings = examined.findings
        if not findings.undecided or left.probes > planned:
            return _report(findings, claimed, seconds)
        left = replace(left, probes=rules.AGAIN * planned)


def _report(findings: Findings, claimed: float, seconds: float) -> AuditReport:
    return AuditReport(
        passed=findings.passed,
        reason=findings.reason,
        claimed_bpb=claimed,
        probes=findings.probes,
        mean=findings.mean,
        error=findings.error,
        outliers=findings.outliers,
        stateful=findings.stateful,
        largest=findings.largest,
        seconds=seconds,
    )


def _as_audit(
    on_progress: Callable[[Progress], None], result: Result
) -> Callable[[Progress], None]:
    """Reports of a replay as those of the experiment: its training is done."""

    def tell(progress: Progress) -> None:
        tokens, seconds = result.train_tokens, result.train_seconds
        on_progress(Progress("auditing", progress.time, 1.0, tokens, seconds))

    return tell


def _audited(result: Result, found: AuditReport | Verdict) -> Result:
    """The result with what its audit found; a score that fails it is none."""
    if isinstance(found, Verdict):  # nothing was found out, and not by the candidate's doing
        return _without_score(
            result, replace(found, reason=f"Its audit was cut short: {found.reason}")
        )
    timeline = result.timeline | {"audit": round(found.seconds, 4)}
    total = result.total_seconds + found.seconds
    result = replace(result, audit=found, timeline=timeline, total_seconds=total)
    if found.passed:
        return result
    reason = f"The blind audit voids its score of {found.claimed_bpb:.6f}: {found.reason}."
    return _without_score(result, Verdict(Outcome.INVALID, reason))


def _without_score(result: Result, why: Verdict) -> Result:
    ended = replace(result, outcome=why.outcome, reason=why.reason, cause=why.cause)
    return replace(ended, val_bpb=None, val_nats=None, sealed_bpb=None)
