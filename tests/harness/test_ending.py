"""From evidence to outcome: what the trusted side saw counts most, the candidate's words least."""

from __future__ import annotations

import pytest

from harness.ending import Evidence, Verdict, judge
from harness.spec import Outcome

BY_HAND = Verdict(Outcome.VOID, "Stopped by a person.")
TIMED_OUT = Verdict(Outcome.TIMEOUT, "It ran for 900 s.")
NOT_FINITE = Verdict(Outcome.NAN, "Logits are not finite.")
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 1\n'


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (Evidence(scored=True, exit_code=0), Outcome.OK),
        (Evidence(scored=True, exit_code=1), Outcome.OK),
        (Evidence(scored=True, stopped=TIMED_OUT), Outcome.OK),
        (Evidence(scored=True, stopped=BY_HAND), Outcome.OK),
        (Evidence(stopped=BY_HAND, refused=NOT_FINITE), Outcome.VOID),
        (Evidence(refused=NOT_FINITE, exit_code=1, traceback=TRACEBACK), Outcome.NAN),
        (Evidence(stopped=TIMED_OUT, exit_code=-9), Outcome.TIMEOUT),
        (Evidence(exit_code=0), Outcome.INVALID),
        (Evidence(exit_code=0, log="val_bpb: 0.1"), Outcome.INVALID),
        (Evidence(exit_code=0, committed=True), Outcome.INVALID),
        (Evidence(exit_code=1, log="step 1 | loss: 120 FAIL\n"), Outcome.NAN),
        (Evidence(exit_code=1, last_loss_finite=False), Outcome.NAN),
        (Evidence(exit_code=1, traceback=TRACEBACK + "KeyError: 'x'"), Outcome.CRASH),
        (Evidence(exit_code=1, traceback=TRACEBACK + "torch.OutOfMemoryError: CUDA out of memory."), Outcome.OOM),
        (Evidence(exit_code=1, traceback=TRACEBACK + "MemoryError"), Outcome.OOM),
        (Evidence(exit_code=-9, kernel_killed=True), Outcome.OOM),
        (Evidence(exit_code=137, kernel_killed=True), Outcome.OOM),
        (Evidence(exit_code=1, kernel_killed=True, traceback=TRACEBACK + "BrokenProcessPool"), Outcome.OOM),
        (Evidence(exit_code=1, kernel_struck=True, traceback=TRACEBACK + "BrokenProcessPool"), Outcome.OOM),
        (Evidence(exit_code=1, kernel_struck=True, traceback=TRACEBACK + "KeyError: 'x'"), Outcome.CRASH),
        (Evidence(exit_code=1, disk_full=True, traceback=TRACEBACK + "OSError"), Outcome.VOID),
        (Evidence(exit_code=0, disk_full=True), Outcome.INVALID),
        (Evidence(scored=True, exit_code=0, broken=BY_HAND), Outcome.VOID),
        (Evidence(exit_code=-9), Outcome.CRASH),
        (Evidence(exit_code=-11), Outcome.CRASH),
        (Evidence(exit_code=1, sandbox_failed=True, log="bwrap: no"), Outcome.VOID),
    ],
)  # fmt: skip
def test_the_outcome(evidence: Evidence, outcome: Outcome) -> None:
    assert judge(evidence).outcome is outcome


def test_the_kernels_kill_is_told_with_figures() -> None:
    verdict = judge(
        Evidence(exit_code=-9, kernel_killed=True, memory_mb=3100, memory_limit_mb=4000)
    )
    assert "3,100 MB, and the limit is 4,000 MB" in verdict.reason


def test_the_reason_names_the_exception_and_not_the_file() -> None:
    verdict = judge(Evidence(exit_code=1, traceback=TRACEBACK + "KeyError: 'lr'"))
    assert verdict.reason == "The script ended with exit status 1: KeyError: 'lr'"


def test_signals_have_names() -> None:
    assert "SIGSEGV" in judge(Evidence(exit_code=-11)).reason
    assert "SIGSEGV" in judge(Evidence(exit_code=139)).reason  # as bubblewrap reports it


def test_a_script_that_forgets_to_be_scored_is_told_how() -> None:
    assert "never called evaluate_bpb" in judge(Evidence(exit_code=0)).reason


def test_talk_of_memory_in_the_middle_of_a_log_is_no_evidence() -> None:
    log = "CUDA out of memory, says this comment\n" + "x" * 3000
    assert judge(Evidence(exit_code=1, log=log)).outcome is Outcome.CRASH


def test_a_script_that_has_seen_validation_text_is_not_quoted() -> None:
    words = (
        "Traceback (most recent call last):\n  File 'secret words'\nValueError: more secret words\n"
    )
    for log in (words, "secret words\n", "SecretWordsError: secret words\n"):
        verdict = judge(
            Evidence(
                exit_code=1,
                committed=True,
                shown=True,
                log=log,
                traceback=log if log == words else "",
            )
        )
        assert verdict.outcome is Outcome.CRASH
        assert "ecret" not in verdict.reason
        assert "while it was scored" in verdict.reason
    assert "ValueError" in judge(Evidence(exit_code=1, shown=True, traceback=words)).reason
