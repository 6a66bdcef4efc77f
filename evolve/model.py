"""The words of the search as data: candidates, experiments, events, commands, and their states.

Frozen values only. The journal turns rows into these, policies decide on them, clients show them;
none of them performs I/O. Which state may follow which stands in `machines`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.spec import AuditReport, Cause, CurvePoint, Outcome


class EvolveError(Exception):
    """A fault that a person can mend: one sentence that says what is wrong and what to do."""

    exit_code = 1


class UsageError(EvolveError):
    """The request itself is off (unknown key, wrong type, a frozen setting)."""

    exit_code = 2


class NothingToDo(EvolveError):
    """There is no run here, or nothing is left to do."""

    exit_code = 3


class Passing(EvolveError):
    """A fault that passes, by itself or by a person's hand: the engine waits for that, and boots anew."""


class DiskFull(Passing):
    """Nothing can be written: no space, no inodes or no quota are left."""

    def __init__(self, sentence: str, folder: Path | None = None) -> None:
        """`folder`: where a write failed, if that is known."""
        super().__init__(sentence)
        self.folder = folder


class JournalBusy(Passing):
    """Another process has held the journal's write lock for longer than a writer waits."""

    def __init__(self, sentence: str, journal: Path) -> None:
        super().__init__(sentence)
        self.journal = journal


class DataMissing(Passing):
    """The data set of the run is gone, or a part of it; a boot builds it anew where it can."""


class Operator(StrEnum):
    """How a candidate was made."""

    SEED = "seed"
    MUTATE = "mutate"  # edits of one parent
    REWRITE = "rewrite"  # the whole file anew
    CROSSOVER = "crossover"  # two parents
    REPAIR = "repair"  # of a crashed candidate
    TUNE = "tune"  # constants only
    HUMAN = "human"  # injected by a person


class CandidateState(StrEnum):
    """Which may follow which: `machines.CANDIDATE`."""

    READY = "ready"  # vetted, committed, waits for the slot
    TRAINING = "training"  # an experiment of it is running
    CONTENDER = "contender"  # screened and good enough to be repeated
    JUDGED = "judged"  # it has its verdict
    DROPPED = "dropped"  # never scored: removed by a person, its training killed, or stale


class Verdict(StrEnum):
    """What became of a candidate."""

    BASELINE = "baseline"  # the seed of the run
    PROMOTED = "promoted"  # confirmed better: main moved to it
    KEPT = "kept"  # in the population, not (yet) confirmed better than main
    REJECTED = "rejected"  # measured, and not good or distinct enough to live
    FAILED = "failed"  # no score: crash, oom, nan, timeout, invalid
    DROPPED = "dropped"  # never trained to its end


class Purpose(StrEnum):
    """Why an experiment is run."""

    BASELINE = "baseline"  # repeats of the seed: the run measures its own noise
    SCREEN = "screen"  # first experiment of a candidate
    CONFIRM = "confirm"  # repeat of a contender with a fresh seed
    INCUMBENT = "incumbent"  # repeat of what main holds, interleaved with the contenders


@dataclass(frozen=True, slots=True)
class Experiment:
    """One training of one candidate with one seed, as the journal knows it."""

    id: int
    candidate: int
    purpose: Purpose
    seed: int
    started: float  # unix seconds
    finished: float | None = None  # None while it runs
    outcome: Outcome | None = None
    reason: str = ""
    val_bpb: float | None = None
    train_seconds: float = 0.0
    total_seconds: float = 0.0
    train_tokens: int = 0
    tokens_per_second: float = 0.0
    peak_memory_mb: float | None = None
    mfu_percent: float | None = None
    steps: int | None = None
    params_m: float | None = None
    sandbox: str = ""
    sealed_bpb: float | None = None  # on the rows that only a promotion looks at
    audit: AuditReport | None = None  # None = this score was not audited
    discounted: str = ""  # why its score counts no more; empty = it counts
    fitness: float | None = None  # what selection goes by; equals val_bpb unless [metric] says more
    epochs: int = 0  # how often it has begun the training rows; 0 = not known
    pruning: dict[str, Any] | None = None  # what the pruning rule said of it; None = nothing
    host_memory_mb: float | None = None  # measured, at its largest
    device_memory_mb: float | None = None  # of the GPU until it was scored, measured; None on a CPU
    wished: bool = False  # a person asked for it: a judged candidate is measured again
    killed: str = (
        ""  # a person ended it: "drop" its candidate, or train it "again"; empty = nobody did
    )
    cause: Cause = Cause.NONE  # of a void one: what it was lost to
    traceback: str = ""
    log_tail: str = ""
    curve: tuple[CurvePoint, ...] = ()  # empty unless asked for


@dataclass(frozen=True, slots=True)
class Smoke:
    """One smoke run: a few steps and an evaluation before a candidate's first training. It has no score."""

    id: int
    candidate: int
    directory: str  # under .autoresearch/experiments
    started: float  # unix seconds
    finished: float | None = None  # None while it runs
    outcome: Outcome | None = None  # OK = it came through; VOID says nothing about the candidate
    reason: str = ""
    seconds: float = 0.0
    peak_memory_mb: float | None = None  # of the device; None on a CPU
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version of train.py."""

    id: int  # shown as #17; counts from 1 within the run
    operator: Operator
    proposer: str  # "claude", "builtin", "human"
    parents: tuple[int, ...]
    title: str  # one line, plain text
    hypothesis: str
    category: str  # "architecture", "optimizer", "schedule", "size", "init", "attention", "other"
    commit: str  # 40 hex digits
    source_sha: str  # of the script's text
    code_hash: str  # of the normalised AST, for novelty
    lines: int  # of the script
    created: float
    state: CandidateState
    alive: bool = False  # a member of the population
    verdict: Verdict | None = None
    verdict_reason: str = ""
    provisional: bool = True  # its score rests on a single experiment or has not been confirmed
    generation: int = 0  # 1 + the largest generation of its parents
    prompt_version: str = ""
    model: str = ""
    priority: int = 0  # order in the queue: lower runs sooner
    changes: tuple[str, ...] = ()  # "MATRIX_LR: 0.04 -> 0.05", "pattern: relu2 -> silu"
    scores: tuple[float, ...] = ()  # val_bpb of its OK experiments, in order
    fitness: tuple[float, ...] = ()  # what selection goes by, for each of `scores`; lower is better
    island: int = 0  # of the population, when there are several
    chances: int = 0  # second chances that it was given
    recommendation: str = ""  # of the scratchpad, that its prompt carried
    loss_form: str = ""  # which quantity it prints as its loss, as a key; empty = not known
    outcome: Outcome | None = None  # of its latest finished experiment
    children: int = 0
    pinned: bool = False
    banned: bool = False
    boosted: int = 0  # proposals to come that are to have it as a parent
    wanted: int = 0  # trainings that a person asked for beside those that the search needs
    approved: bool = False  # a person let it train, see `approval`
    voided: str = ""  # why the blind audit voided its score; empty = it did not
    sealed_gain: float | None = None  # over main on the sealed rows when it was judged, bpb
    sealed_gap: float | None = (
        None  # gain on the validation rows minus that on the sealed ones, bpb
    )

    @property
    def mean(self) -> float | None:
        """Mean val_bpb of its experiments, or None before the first."""
        return sum(self.scores) / len(self.scores) if self.scores else None

    @property
    def mean_fitness(self) -> float | None:
        """Mean of what selection goes by, or None before the first experiment; `mean` unless [metric] says more."""
        return sum(self.fitness) / len(self.fitness) if self.fitness else None

    @property
    def label(self) -> str:
        """`#17`."""
        return f"#{self.id}"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the run's story, for the log, the app and headless output."""

    id: int
    time: float
    kind: str  # "run", "proposal", "queued", "started", "finished", "verdict", "ratchet", "audit", "drift", …
    text: str  # a sentence for a person, plain text
    candidate: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


class CommandState(StrEnum):
    """Which may follow which: `machines.COMMAND`."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Command:
    """What a client asks of the engine: the only rows that a client writes."""

    id: int
    time: float
    who: str
    verb: str  # one of those of `steering` and `acts`
    args: dict[str, Any]
    state: CommandState = CommandState.PENDING
    answer: str = ""


@dataclass(frozen=True, slots=True)
class RatchetStep:
    """One move of the branch to a candidate, as the journal knows it: written down before git is touched."""

    id: int
    time: float  # unix seconds, of the intent
    candidate: int
    tip: str  # the commit where the branch stood
    target: str  # the commit where it is to stand
    kind: str  # "fast-forward" or "merge"
    state: str = "intended"  # see `machines.RATCHET`
    reason: str = ""  # why it was not moved, in words
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One change of a live setting, whoever made it."""

    id: int
    time: float  # unix seconds
    who: str  # a person, or the file that was edited
    key: str  # dotted
    old: str  # as TOML
    new: str  # as TOML
    applied_from: int  # the first candidate that it may have shaped


@dataclass(frozen=True, slots=True)
class LlmCall:
    """One request to a language model, with what it cost."""

    id: int
    time: float
    model: str
    operator: str
    status: str  # "reserved", "answered", "refused", "failed"
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    dollars: float = 0.0
    seconds: float = 0.0
    candidate: int | None = None
    error: str = ""
    category: str = ""  # of a refusal, as the server names it


@dataclass(frozen=True, slots=True)
class Note:
    """One version of the scratchpad: what the search has learned, and what it recommends."""

    id: int
    time: float
    source: str  # "model", "builtin" or "human"
    who: str  # the model's name, "builtin", or the person
    settled: int  # children with a verdict when it was written
    text: str  # three sections, as `propose.scratchpad.parse` reads them


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a prompt's template that was in force at some time."""

    version: str  # first 12 hex digits of its SHA-256
    operator: str
    time: float  # when it was first in force
    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """One search with one frozen budget, data set, scorer and device."""

    id: int
    name: str
    created: float
    state: str  # "running", "paused", "stopped", "finished", "failed"
    reason: str  # why it is in that state, in words
    branch: str  # what the ratchet moves
    base_commit: str
    settings: dict[str, Any]  # resolved settings at the start
    fingerprint: dict[str, str]
    incumbent: int | None = None
    sigma: float | None = None  # measured noise of one experiment, bpb
    dollars: float = 0.0
    finished: float | None = None
