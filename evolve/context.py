"""What the rooms of one running engine share: places, journal, lineage, settings in force, and the wake-up calls.

It holds things and answers simple questions about them; decisions are made elsewhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.codes import Codes
from evolve.credentials import Credentials
from evolve.evidence import Evidence
from evolve.metric import Weights
from evolve.relatives import Kin

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.journal import Journal
    from evolve.lineage import Lineage
    from evolve.model import Candidate
    from evolve.noise import Noise
    from evolve.settings import Settings
    from harness.dataset import Dataset
    from harness.device import Machine


@dataclass(frozen=True, slots=True)
class _Memory:
    """What follows from the whole history, brought up to date by what is new."""

    undone: int = 0  # transactions that had come to nothing before it was begun
    evidence: Evidence = field(default_factory=Evidence)
    codes: Codes = field(default_factory=Codes)
    kin: Kin = field(default_factory=Kin)


@dataclass
class Context:
    """One engine's belongings. `settings` is replaced as a whole when something changes live."""

    workspace: Path
    state: Path  # .autoresearch
    journal: Journal
    lineage: Lineage
    settings: Settings
    machine: Machine
    dataset: Dataset
    device: str  # "cpu" or "cuda:N"
    sandbox: str
    noise: Noise
    awake_since: (
        float  # CLOCK_MONOTONIC at which the stop rule's hours began, see `stopping.begin_hours`
    )
    credentials: Credentials = field(default_factory=lambda: Credentials({}))
    weights: Weights = field(default_factory=Weights)  # what counts in this run
    paused: bool = False
    stop_reason: str | None = None  # set once: the run ends with these words
    finished: bool = False  # a stop rule ended it, not a person
    stop_now: bool = False  # end the training in the slot too
    children_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    work_ready: asyncio.Event = field(default_factory=asyncio.Event)
    review_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    proposer_doing: str = "idle"
    held: bool = (
        False  # the slot is idle because all that could train waits for a person's approval
    )
    said: set[str] = field(default_factory=set)  # what is told once an engine, see `projecting`
    refs_seen: float = 0.0  # CLOCK_MONOTONIC of the last look at git's refs
    _memory: _Memory = field(default_factory=_Memory)

    def believed(self) -> Evidence:
        """All scores so far, and what they say of everybody."""
        found = self._remembered().evidence
        found.update(self.journal)
        return found

    def codes(self) -> Codes:
        """The code of everybody so far. It grows with the run, also for whoever holds it already."""
        found = self._remembered().codes
        found.update(self.journal)
        return found

    def kin(self) -> Kin:
        """Who differs from whom in constants only."""
        found = self._remembered().kin
        found.update(self.journal)
        return found

    def _remembered(self) -> _Memory:
        """What was read of the journal so far; begun anew when a part of that was undone."""
        if self.journal.undone != self._memory.undone:
            self._memory = _Memory(self.journal.undone)
        return self._memory

    def wake(self) -> None:
        """Something changed: every loop looks again."""
        self.children_wanted.set()
        self.work_ready.set()
        self.review_wanted.set()

    def stop(self, reason: str, *, now: bool = False) -> None:
        """End the run after the current experiment, or at once."""
        if self.stop_reason is None:
            self.stop_reason = reason
        self.stop_now = self.stop_now or now
        self.wake()

    def finish(self, reason: str) -> None:
        """A stop rule is met: the run ends as finished, not as stopped by somebody."""
        self.finished = self.stop_reason is None
        self.stop(reason)

    def take_stop_back(self) -> bool:
        """Go on after all; False when it is too late, because the training in the slot is ended or a rule is met."""
        if self.stop_now or self.finished:
            return False
        self.stop_reason = None
        self.wake()
        return True

    @property
    def stopping(self) -> bool:
        """True once the run is to end."""
        return self.stop_reason is not None

    @property
    def sealed(self) -> bool:
        """Does the data set hold rows that only a promotion looks at? One of an older version does not."""
        return self.dataset.sealed_rows > 0

    def incumbent(self) -> Candidate | None:
        """The candidate that main holds."""
        number = self.journal.run().incumbent
        return None if number is None else self.journal.candidate(number)

    def budget_in_words(self) -> str:
        """`300 seconds on NVIDIA H200`, for prompts and people."""
        budget = self.settings.budget
        amount = (
            f"{budget.seconds:,.0f} seconds"
            if budget.kind == "seconds"
            else f"{budget.tokens:,} tokens"
        )
        if self.device == "cpu":
            return f"{amount} on a CPU"
        gpu = self.machine.gpus[int(self.device.partition(":")[2] or 0)]
        return f"{amount} on {gpu.name} ({gpu.memory_mb / 1024:.0f} GiB)"
