"""How an experiment ended, judged from the evidence: a pure function from facts to outcome and reason.

What the trusted processes saw counts first, then what the supervisor did, then the exit status; the
candidate's own words only choose between kinds of failure.
"""

from __future__ import annotations

import builtins
import re
import signal
from dataclasses import dataclass

from harness.spec import Cause, Outcome

_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|OutOfMemoryError|\bMemoryError\b|CUBLAS_STATUS_ALLOC_FAILED"
    r"|can't allocate memory|not enough memory|DefaultCPUAllocator",
)
_NOT_FINITE = re.compile(
    r"FAIL\s*$|FloatingPointError|\bloss (?:is|became) (?:nan|inf)", re.I | re.M
)
_LOST_CHILD = re.compile(
    r"BrokenProcessPool|terminated abruptly|exited unexpectedly|SubprocException|signal:? (?:9\b|SIGKILL)"
)
_EXCEPTION = re.compile(r"^(?:\w+\.)*(\w+Error)\b", re.M)
_TAIL = 2000  # characters of the log that may explain an exit


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome with the sentence that explains it."""

    outcome: Outcome
    reason: str
    cause: Cause = Cause.NONE  # of a VOID one


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when everything is over."""

    scored: bool = False  # the scorer has computed a score
    smoke: bool = False  # a smoke run: it is evaluated on a few rows, and no score comes of it
    refused: Verdict | None = None  # the meter or the scorer has said no
    stopped: Verdict | None = None  # why the supervisor ended it
    broken: Verdict | None = (
        None  # a mishap outside the candidate: whatever came of it counts nothing
    )
    exit_code: int | None = None  # -N for signal N
    committed: bool = False  # the weights were handed over
    shown: bool = False  # it has seen validation text, and may quote it
    log: str = ""  # cleaned
    traceback: str = ""
    last_loss_finite: bool = True  # of its live lines
    kernel_killed: bool = False  # the kernel's out-of-memory killer ended one of its processes
    kernel_struck: bool = False  # or somebody's on this machine, where it cannot be known whose
    disk_full: bool = False  # the disk on which it keeps its kernels had no room left
    memory_mb: float = 0.0  # of the host, at its largest
    memory_limit_mb: int = 0  # 0 = none
    sandbox_failed: bool = False  # the sandbox never started the script


def judge(evidence: Evidence) -> Verdict:
    """Classify the end of an experiment."""
    stopped = evidence.stopped
    if evidence.broken:
        return evidence.broken
    if stopped and stopped.outcome is Outcome.VOID and not evidence.scored:
        return stopped
    if evidence.sandbox_failed:
        said = evidence.log.strip().splitlines()
        return Verdict(
            Outcome.VOID,
            f"The sandbox did not start the script ({said[-1] if said else 'it said nothing'}); "
            "`autoresearch doctor` tests it.",
        )
    if evidence.scored:
        done = "Its first steps and an evaluation went well."
        words = done if evidence.smoke else "Trained, committed and scored."
        return Verdict(Outcome.OK, words + _after_score(evidence))
    return evidence.refused or stopped or _own_end(evidence)


def _after_score(evidence: Evidence) -> str:
    """A note for a script that ended badly once its score was in; the score stands."""
    then = "After its evaluation" if evidence.smoke else "After its score"
    if evidence.stopped:
        return f" {then}: {evidence.stopped.reason}"
    if evidence.exit_code:
        return f" {then}, the script ended with {_status(evidence.exit_code)}."
    return ""


def _own_end(evidence: Evidence) -> Verdict:
    """The script ended by itself, without a score."""
    code, words = evidence.exit_code, evidence.traceback or evidence.log[-_TAIL:]
    cause = _cause(evidence)
    if code == 0:
        return Verdict(
            Outcome.INVALID,
            "The script ended without a score: "
            + (
                "it left evaluate_bpb before the scorer was done."
                if evidence.committed
                else "it never called evaluate_bpb. Call it once, after training."
            ),
        )
    if _OUT_OF_MEMORY.search(words):
        return Verdict(Outcome.OOM, f"Out of memory: {cause}")
    if evidence.kernel_killed or (evidence.kernel_struck and _lost_one(code, words)):
        return Verdict(Outcome.OOM, _killed_for_memory(evidence))
    if not evidence.last_loss_finite or _NOT_FINITE.search(
        evidence.traceback or evidence.log[-200:]
    ):
        return Verdict(Outcome.NAN, f"The loss exploded or stopped being finite: {cause}")
    if evidence.disk_full:
        reason = f"The disk of the experiment is full, and the script ended with {_status(code)}."
        return Verdict(Outcome.VOID, reason, Cause.DISK_FULL)
    return Verdict(Outcome.CRASH, f"The script ended with {_status(code)}: {cause}")


def _lost_one(code: int | None, words: str) -> bool:
    """Whether the script was killed, or says that one of its processes was, as one that compiles for it."""
    return code in (-signal.SIGKILL, 128 + signal.SIGKILL) or bool(_LOST_CHILD.search(words))


def _killed_for_memory(evidence: Evidence) -> str:
    limit = evidence.memory_limit_mb
    allowed = f", and the limit is {limit:,} MB" if limit else ""
    return (
        f"Out of host memory: the kernel killed it, or a process of its own (seen in use: "
        f"{evidence.memory_mb:,.0f} MB{allowed}). Make it smaller."
    )


def _status(code: int | None) -> str:
    """`exit status 3`, or the name of the signal; a sandbox reports signal N as 128 + N."""
    if code is None:
        return "an unknown status"
    number = -code if code < 0 else code - 128
    if code < 0 or code > 128:
        try:
            return f"signal {signal.Signals(number).name}"
        except ValueError:
            pass
    return f"exit status {code}"


def _cause(evidence: Evidence) -> str:
    """The line that explains most: the exception, else the last thing printed.

    Reasons are told to whoever writes the next source. Of a script that has seen validation text they quote nothing.
    """
    if evidence.shown:
        named = [word for word in _EXCEPTION.findall(evidence.traceback) if hasattr(builtins, word)]
        return f"{named[-1] if named else 'it failed'}, while it was scored; its log says more."
    lines = (evidence.traceback or evidence.log[-_TAIL:]).strip().splitlines()
    if evidence.traceback:
        named = [line for line in lines[1:] if line and not line[0].isspace()]
        lines = named[:1] or lines
    return lines[-1].strip()[:300] if lines else "it printed nothing"
