"""Scores a training whose runner died behind the commit: the script once more in a fresh cell, with the weights given back.

It is the replay of a blind audit with the scorer in the auditor's place: nothing is trained, no row is served, and the
same validation and sealed rows are scored. What was seen of the training stands in its record; only a score is new. Whatever
else comes of it says nothing about the candidate, which is then trained again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness import live, rundir
from harness.attempt import Ended, attempt
from harness.committed import Committed, Left
from harness.crashpoints import reached
from harness.dataset import Dataset
from harness.ending import Verdict
from harness.launch import Replay
from harness.observed import Score
from harness.spec import ExperimentSpec, Outcome, Progress, Result

TAIL = 8192  # characters of the log in a result
NOTE = " It was scored from its committed weights after its first runner had died."


def score(
    spec: ExperimentSpec,
    dataset: Dataset,
    directory: Path,
    on_progress: Callable[[Progress], None],
    cancelled: Callable[[], Verdict | None],
    nats: int | None,
    left: Left,
) -> Result:
    """The result of a training of which only `left` is there, OK or VOID; its audit is the caller's.

    `nats`: a store for the loss of every token. Raises HarnessError when the script cannot be started.
    """
    begun, facts = time.monotonic(), left.facts

    def tell(progress: Progress) -> None:
        on_progress(Progress("scoring", progress.time, facts.fraction, facts.tokens, facts.seconds))

    tell(Progress("starting", time.time()))
    reached("runner.before-score")
    replay = Replay(left.weights, facts.weights_sha256, speed=facts.speed)
    again = directory / rundir.AGAIN
    ended = attempt(spec, dataset, again, tell, cancelled, nats=nats, replay=replay)
    found = ended.observed.score
    if not isinstance(found, Score) or ended.verdict.outcome is not Outcome.OK:
        return _lost(spec, ended.verdict)
    return _result(spec, directory, facts, ended, found, begun)


def _lost(spec: ExperimentSpec, verdict: Verdict) -> Result:
    """Nothing is known of the candidate: it may be fine, and not give back in a replay what it has learned."""
    reason = verdict.reason
    if verdict.outcome is not Outcome.VOID:
        reason = (
            "Its runner died before it was scored, and from its committed weights it could not be "
            f"({reason.rstrip('.')}); it is trained again."
        )
    void = Result(Outcome.VOID, reason, cause=verdict.cause)
    return replace(void, seed=spec.seed, sandbox=spec.sandbox)


def _result(
    spec: ExperimentSpec,
    directory: Path,
    facts: Committed,
    ended: Ended,
    found: Score,
    begun: float,
) -> Result:
    """What the first runner would have said, as far as it can be known: seconds of scoring hold a second start."""
    log = _log(directory)
    summary = live.parse_summary(log)
    now = time.monotonic()
    gone = max(found.at, ended.observed.gone or now)
    ends = {"scoring": found.at - begun, "exit": gone - found.at, "report": now - gone}
    timeline = facts.timeline | {name: round(seconds, 4) for name, seconds in ends.items()}
    return Result(
        outcome=Outcome.OK,
        reason=ended.verdict.reason + NOTE,
        val_bpb=found.val_bpb,
        val_nats=found.val_nats,
        sealed_bpb=found.sealed_bpb,
        seed=spec.seed,
        sandbox=spec.sandbox,
        setup_seconds=facts.setup_seconds,
        train_seconds=facts.seconds,
        eval_seconds=found.seconds,
        transport=found.transport,
        total_seconds=sum(timeline.values()),
        timeline=timeline,
        row_wait_seconds=facts.waited,
        train_tokens=facts.tokens,
        eval_tokens=found.tokens,
        epochs=facts.epochs,
        tokens_per_second=facts.speed,
        weights_sha256=facts.weights_sha256,
        peak_memory_mb=live.summary_number(summary, "peak_vram_mb"),
        host_memory_mb=round(max(facts.memory_mb, ended.memory_mb), 1) or None,
        device_memory_mb=facts.device_memory_mb,
        summary=summary,
        log_tail=log[-TAIL:],
        curve=facts.curve,
        fingerprint=facts.fingerprint,
    )


def _log(directory: Path) -> str:
    """What the training has printed, as far as its runner has written it down."""
    try:
        return (directory / rundir.LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
