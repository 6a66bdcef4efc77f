"""Plain data that crosses the edge of the harness: what an experiment is asked, and what it answers.

Everything here is frozen, picklable and JSON-serialisable, so an experiment runs in this process, behind
any `concurrent.futures.Executor`, or in a detached process that outlives the engine. No behaviour lives here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Literal, Self


class Outcome(StrEnum):
    """How an experiment ended. Only `OK` carries a score; a failure never becomes a number."""

    OK = "ok"
    PRUNED = "pruned"  # stopped early because it could not win any more
    OOM = "oom"  # out of device or host memory
    NAN = "nan"  # a loss, weight or logit stopped being finite
    CRASH = "crash"  # the script ended with an error of its own
    TIMEOUT = "timeout"  # the wall limit of the whole experiment ran out
    INVALID = (
        "invalid"  # the rules of the measurement were broken (overrun, no score, wrong shapes)
    )
    VOID = "void"  # not the candidate's doing: stopped by a person, engine gone, harness fault


class Cause(StrEnum):
    """What made an experiment VOID, for whoever decides what to do next; the reason says it to people."""

    NONE = ""  # not VOID, or a fault that has no name of its own
    SUSPENDED = "suspended"  # the machine slept during it
    DEVICE_LOST = "device-lost"  # the GPU is gone or has failed
    DEVICE_HUNG = "device-hung"  # the driver answers no more, or a process cannot be killed in it
    DEVICE_BUSY = "device-busy"  # the GPU is another process's
    DISK_FULL = "disk-full"
    METER_DIED = "meter-died"
    SCORER_DIED = "scorer-died"
    AUDITOR_DIED = "auditor-died"
    DATA_MISSING = "data-missing"  # the data set is gone, cut short or not the one asked for
    LEASE = "lease"  # no engine lived
    SIGNAL = "signal"  # somebody asked the runner to end
    RUNNER_DIED = "runner-died"  # it left no result; said by the engine, never by a runner


@dataclass(frozen=True, slots=True)
class Budget:
    """What a candidate may spend on training; frozen within a run.

    `seconds` counts on the trusted clock, which starts with the first batch of data: the 17th, or any that is asked
    for `setup_limit` seconds after the first. Batches before it are tokens in no order. A script with its own clock says
    itself when its warm-up, its first eleven optimizer steps, is over. `tokens` is deterministic: the training
    loader ends after that many tokens.
    """

    kind: Literal["seconds", "tokens"]
    amount: float
    setup_limit: float = 180.0  # seconds
    overrun: float = 0.03  # share of `amount` that a script with its own clock may exceed


@dataclass(frozen=True, slots=True)
class Limits:
    """What the whole process tree of a candidate may use."""

    wall_seconds: float = 900.0
    memory_mb: int = 0  # host memory; 0 = no limit
    log_mb: int = 64  # a candidate that prints more is ended
    threads: int = 0  # OMP_NUM_THREADS; 0 = leave to torch


@dataclass(frozen=True, slots=True)
class AuditPlan:
    """Which scores are audited blindly, and how closely; see `harness.audit`.

    A score below `champion_below` gets `champion_probes`, else one below `below` gets `probes`; a limit of None means
    every score, and 0 probes mean no audit.
    """

    probes: int = 2048  # places at which the future is hidden
    below: float | None = None  # bits per byte
    champion_probes: int = 0
    champion_below: float | None = None
    tolerance: float = 0.5  # nats by which honest arithmetic may differ at one place

    @property
    def possible(self) -> bool:
        """Whether any score would be audited."""
        return bool(self.probes or self.champion_probes)

    def probes_for(self, bpb: float) -> int:
        """Places to probe for a score of `bpb`; 0 = it is not audited."""
        if self.champion_probes and (self.champion_below is None or bpb < self.champion_below):
            return self.champion_probes
        return self.probes if self.below is None or bpb < self.below else 0


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the blind audit of one score found; differences are in nats per token."""

    passed: bool
    reason: str  # one sentence for a person
    claimed_bpb: float  # the score under audit
    probes: int = 0
    mean: float = 0.0  # of (blind minus seeing): what seeing the future was worth
    error: float = 0.0  # standard error of it
    outliers: int = 0  # places with a difference above the tolerance
    stateful: float = 0.0  # share of probes whose earlier predictions changed, 0…1
    largest: float = 0.0  # difference of a prediction that should not have changed at all
    seconds: float = 0.0  # that the audit took, start of its sandbox included


@dataclass(frozen=True, slots=True)
class ExperimentSpec:
    """One training of one candidate with one seed."""

    name: str  # unique within the machine, e.g. "r3f2-e17"; also the tag in the child's environment
    source: str  # the text of train.py
    seed: int  # order of the data and torch's default seed; owned by the harness
    dataset: str  # folder made by `harness.dataset.prepare_dataset`
    budget: Budget
    device: str = "cpu"  # "cpu" or "cuda:N"
    sandbox: str = "bubblewrap"  # a level of harness.sandbox: "bubblewrap", "landlock" or "process"
    script: str = "train.py"  # base name under which the candidate sees itself
    limits: Limits = field(default_factory=Limits)
    eval_tokens: int = 0  # validation tokens to score; 0 = all that the data set holds
    byte_count: Literal["raw", "upstream"] = "raw"
    # "write": a person vouches for this source, and every later candidate starts from the kernels that it compiles.
    cache: Literal["read", "write"] = "read"
    # SHA-256 of sources that this one descends from: it starts from their kernels too, and from nobody else's.
    kin: tuple[str, ...] = ()
    audit: AuditPlan = field(default_factory=AuditPlan)
    sealed: bool = False  # also score the sealed rows, which selection never sees
    smoke_steps: int = 0  # optimizer steps of a smoke run, which scores nothing; 0 = a training

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a spec from `to_json`'s output."""
        return cls(
            **{
                **data,
                "budget": Budget(**data["budget"]),
                "limits": Limits(**data["limits"]),
                "kin": tuple(data.get("kin", ())),
                "audit": AuditPlan(**data.get("audit", {})),
            }
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a running experiment. `fraction`, `tokens` and `seconds` come from the trusted meter;
    everything below the line is what the candidate printed about itself, for display only."""

    phase: Literal["starting", "training", "scoring", "auditing", "done"]
    time: float  # unix seconds
    fraction: float = 0.0  # of the budget, 0…1
    tokens: int = 0
    seconds: float = 0.0  # on the budget's clock
    # -- said by the candidate --
    step: int | None = None
    loss: float | None = None  # nats per token, smoothed by the script
    tokens_per_second: float | None = None
    mfu_percent: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict without the empty fields."""
        return {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the training curve, at a fixed fraction of the budget (about 200 a run at most)."""

    fraction: float
    seconds: float
    tokens: int
    loss: float


@dataclass(frozen=True, slots=True)
class Result:
    """What an experiment came to. `val_bpb` is set exactly when `outcome` is OK."""

    outcome: Outcome
    reason: str  # one sentence for a person: why it ended so, and what to look at
    cause: Cause = field(default=Cause.NONE, kw_only=True)  # of a VOID one
    val_bpb: float | None = None  # bits per byte on the validation rows
    val_nats: float | None = None  # mean nats per scored token
    sealed_bpb: float | None = (
        None  # on the sealed rows; only of an OK experiment that asked for it
    )
    audit: AuditReport | None = None  # also of a score that it voided
    seed: int = 0
    sandbox: str = ""
    setup_seconds: float = 0.0  # launch to first counted batch
    train_seconds: float = 0.0  # on the budget's clock
    eval_seconds: float = 0.0
    transport: str = ""  # how logits crossed to the scorer: "device memory" or "host memory"
    total_seconds: float = 0.0  # from the call to the end of everything: the sum of `timeline`
    timeline: dict[str, float] = field(default_factory=dict)  # seconds of each phase, in order
    row_wait_seconds: float = 0.0  # that the script waited for training rows, at most
    train_tokens: int = 0  # of data; a warm-up has none
    eval_tokens: int = 0
    epochs: int = 0
    tokens_per_second: float = 0.0  # trusted: train_tokens / train_seconds
    weights_sha256: str = ""
    peak_memory_mb: float | None = None  # reported by the candidate's summary, for display
    host_memory_mb: float | None = None  # measured
    device_memory_mb: float | None = (
        None  # of the whole GPU until it is scored, measured; None on a CPU
    )
    summary: dict[str, str] = field(default_factory=dict)  # the ancestor's summary block, untrusted
    log_tail: str = ""  # cleaned of control sequences, at most 8 KiB
    traceback: str = ""  # the last Python traceback of the log, cleaned, at most 4 KiB
    curve: tuple[CurvePoint, ...] = ()
    fingerprint: dict[str, str] = field(
        default_factory=dict
    )  # device, torch, data manifest, budget, sandbox

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a result from `to_json`'s output."""
        curve = tuple(CurvePoint(**point) for point in data["curve"])
        audit = AuditReport(**data["audit"]) if data.get("audit") else None
        kinds = {"outcome": Outcome(data["outcome"]), "cause": Cause(data.get("cause", ""))}
        return cls(**{**data, **kinds, "curve": curve, "audit": audit})


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """What a smoke run came to: whether a script starts, steps and is evaluated. It has no score, by its type."""

    outcome: Outcome  # OK: it came through; VOID says nothing about the candidate
    reason: str  # one sentence for a person
    cause: Cause = field(default=Cause.NONE, kw_only=True)  # of a VOID one
    seconds: float = 0.0  # all in all
    # Of the device, scoring included: measured where it can be, else what the script says; None on a CPU.
    peak_memory_mb: float | None = None
    host_memory_mb: float | None = None  # measured
    timeline: dict[str, float] = field(default_factory=dict)  # seconds of each phase, in order
    traceback: str = ""  # of its failure, cleaned, at most 4 KiB
    log_tail: str = ""  # cleaned, at most 8 KiB

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dict; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a result from `to_json`'s output."""
        kinds = {"outcome": Outcome(data["outcome"]), "cause": Cause(data.get("cause", ""))}
        return cls(**{**data, **kinds})


class HarnessError(Exception):
    """Something outside the candidate is wrong; the message says what, and what to do about it."""

    def __init__(self, message: str, cause: Cause = Cause.NONE) -> None:
        """`cause` is kept in the VOID result of an experiment that ends so."""
        super().__init__(message)
        self.cause = cause
