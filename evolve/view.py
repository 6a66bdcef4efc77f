"""What a client sees of a run at one instant: frozen, cheap to build, the same for the app and the commands."""

from __future__ import annotations

from dataclasses import dataclass, field

from evolve.model import Candidate, Event, Experiment, Run
from evolve.outlook import Outlook
from harness.spec import Progress


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine as seen from outside."""

    state: str  # "running", "paused", "stopping", "none" (never started or ended cleanly), "dead"
    pid: int | None
    heartbeat_age: float | None  # seconds
    doing: str  # what the proposer and the slot are at, in words


@dataclass(frozen=True, slots=True)
class RunningView:
    """The experiment in the slot."""

    experiment: Experiment
    candidate: Candidate
    progress: Progress | None
    curve: tuple[tuple[float, float], ...]  # (fraction, loss in nats)
    reference: tuple[tuple[float, float], ...]  # the incumbent's curve


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything on the first screen. `run` is None when the workspace has never run."""

    time: float
    run: Run | None
    engine: EngineView
    running: RunningView | None
    queue: tuple[Candidate, ...]  # in the order in which they will train
    population: tuple[Candidate, ...]  # the living, best first
    incumbent: Candidate | None
    recent: tuple[Event, ...]  # newest last, at most 50
    candidates: int
    experiments: int  # finished
    failures: int
    promotions: int
    crossovers: int
    llm_calls: int
    dollars: float
    settings: tuple[tuple[str, str], ...]  # live settings in force, dotted key -> value as TOML
    pending: tuple[str, ...]  # commands that the engine has not answered yet, in words
    gap_seconds: float | None  # between the end of the last training and the start of this one
    stop_rules: str  # in words: "12 candidates or 20 minutes"
    sandbox: str
    rehearsal: bool  # the cpu profile: a rehearsal, not a result
    voided: int = 0  # failures whose score the blind audit voided
    drift: str = ""  # what to know when the machine trains at another speed than at the start; empty = all is well
    outlook: Outlook = field(
        default_factory=Outlook
    )  # beliefs are those of incumbent, population and training
