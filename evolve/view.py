"""What a client sees of a run at one instant: frozen, cheap to build, the same for the app and the commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.forecast import Foretold
from evolve.model import Candidate, Event, Experiment, Run, Smoke
from evolve.outlook import Outlook
from evolve.slotbook import UnderWay
from evolve.stop import Pace, Standing
from harness.spec import Progress

if TYPE_CHECKING:
    from evolve.telemetry import Load

Curve = tuple[
    tuple[float, float], ...
]  # (fraction of the budget 0…1, loss in nats per token), in order


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine as seen from outside."""

    # "running", "paused", "stopping", "none" (never started or ended cleanly), "dead", or "restarting": it is dead, and
    # its keeper starts another one.
    state: str
    pid: int | None  # of the keeper, while it restarts
    heartbeat_age: float | None  # seconds
    doing: str  # what the proposer is at, in words
    # Of a dead one: the last words of its log, or its keeper's; of one that works: for the end of which fault it waits.
    # Of none: from where the run was imported, if it was.
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunningView:
    """The experiment in the slot."""

    experiment: Experiment
    candidate: Candidate
    progress: Progress | None
    curve: Curve  # (fraction of the budget, loss in nats)
    reference: Curve  # the incumbent's curve
    parent: Curve = ()  # of its first parent, where that is another one than the incumbent
    foretold: Foretold | None = None  # None while it is too early, or nothing can be compared
    main_speed: float | None = None  # tokens a second of the incumbent's last scored training
    main_memory_mb: float | None = None  # measured in that training, at its largest
    load: Load | None = None  # of the machine; None where nobody measures it


@dataclass(frozen=True, slots=True)
class SmokeView:
    """The smoke run in the slot."""

    smoke: Smoke
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused the run, and when."""

    who: str
    since: float  # unix seconds


@dataclass(frozen=True, slots=True)
class Playback:
    """How a recorded run is being played."""

    speed: float  # played seconds a second
    playing: bool  # False while it stands still
    begins: float  # unix seconds
    ends: float

    def over(self, moment: float) -> bool:
        """Is `moment` (unix seconds) the end of the recording?"""
        return moment >= self.ends


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
    awaiting: tuple[int, ...] = ()  # of the queue, those that wait for a person's approval
    wished: tuple[Candidate, ...] = ()  # those that a person wants to have measured again
    drift: str = ""  # what to know when the machine trains at another speed than at the start; empty = all is well
    smoking: SmokeView | None = None  # never together with `running`
    calling: tuple[UnderWay, ...] = ()  # requests to language models that are not answered yet
    pause: Pause | None = None  # None while the run is not paused, or nobody asked for it
    failed_by_kind: tuple[
        tuple[str, int], ...
    ] = ()  # candidates without a score, the most frequent first
    pace: Pace = field(default_factory=Pace)  # of late, an hour
    standings: tuple[Standing, ...] = ()  # of every stop rule that is on
    outlook: Outlook = field(
        default_factory=Outlook
    )  # beliefs are those of incumbent, population and training
    playback: Playback | None = None  # None = it happens now
