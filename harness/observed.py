"""What the watch over an experiment has seen: plain data, and how its seconds fall into phases.

Every time in here was taken by a trusted process on the machine's monotonic clock, which all of them share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from harness import live
from harness.audit import Findings
from harness.ending import Verdict
from harness.spec import CurvePoint


@dataclass(frozen=True, slots=True)
class Spent:
    """The meter's latest report; times are on the monotonic clock."""

    fraction: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    epoch: int = 0
    first: float | None = None  # when the first batch was served
    start: float | None = None  # when the clock started
    batches: int = 0
    opened: float | None = None  # when the script spoke first
    waited: float = 0.0  # seconds between asking for rows and getting them, at most


@dataclass(frozen=True, slots=True)
class Score:
    """The scorer's report."""

    val_bpb: float
    val_nats: float
    sealed_bpb: float | None  # of the sealed rows, where they were asked for
    tokens: int
    seconds: float
    transport: str  # of the logits
    at: float  # when it was known


@dataclass(frozen=True, slots=True)
class Examined:
    """The auditor's report."""

    findings: Findings
    at: float  # when it was known


@dataclass(frozen=True, slots=True)
class Tried:
    """A smoke run's evaluation has gone well."""

    at: float  # when it was known


@dataclass(slots=True)
class Observed:
    """What has been seen of an experiment so far."""

    spent: Spent = field(default_factory=Spent)
    evaluating: float | None = None  # when the script asked to be scored
    committed: float | None = None  # when its weights had come
    weights_sha256: str = ""  # of these, a little later
    weights: int | None = None  # a descriptor of them, the runner's own
    shown: bool = False  # it has seen validation text
    score: Score | Examined | Tried | None = None  # what the conversation with the examiner came to
    goodbye: bool = False  # the script has nothing more to say
    gone: float | None = None  # when its process was no more
    refused: Verdict | None = None
    stopped: Verdict | None = None
    broken: Verdict | None = None  # a mishap, after which nothing counts
    scorer_left: bool = False
    device_memory_mb: float | None = None  # of the GPU, at its largest before anything is scored
    step: live.Step | None = None
    curve: list[CurvePoint] = field(default_factory=list)

    @property
    def phase(self) -> Literal["starting", "training", "scoring"]:
        """Where the experiment stands."""
        if self.committed is not None:
            return "scoring"
        return "starting" if self.spent.first is None else "training"

    def timeline(self, begun: float, launched: float, ended: float) -> dict[str, float]:
        """Seconds of each phase, in order; they add up to `ended - begun`.

        A phase that was never finished is left out, and its time belongs to the one that was.
        """
        spent, score = self.spent, self.score
        # A scorer that is still loading hears of the evaluation later than the meter of the weights.
        trained = [time for time in (self.evaluating, self.committed) if time is not None]
        ends = {
            "launch": launched,  # folders, caches, meter and scorer; then the script is started
            "imports": spent.opened,  # until the script asks for rows: Python, torch, the model
            "first_batch": spent.first,
            "compile": spent.start,  # the batches before the clock
            "training": min(trained, default=None),
            "commit": self.committed,  # the weights are handed over, the scorer gets ready
            "scoring": score.at if score else None,
            "exit": self.gone,  # the script says goodbye
            "report": ended,  # everything is ended and removed
        }
        found, before = {}, begun
        for name, end in ends.items():
            if end is not None:
                found[name] = round(max(0.0, end - before), 4)
                before = max(before, end)
        return found
