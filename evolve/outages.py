"""Trainings that are lost to causes outside them: when to try again, when to pause, and when that is over.

Pure but for the clock that it is given and the look at the device. A training that is lost says nothing about its
candidate, so it is repeated; what is lost again and again is a fault of the machine, and a run that spends a night on
that is worse than one that pauses, says why, and looks by itself whether it is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.spec import Cause, Outcome, Result, SmokeResult

# Causes that say nothing of what comes next: the machine slept, or somebody ended the training.
EXPLAINED = frozenset({Cause.SUSPENDED, Cause.LEASE, Cause.SIGNAL})
DEVICE = frozenset({Cause.DEVICE_LOST, Cause.DEVICE_HUNG, Cause.DEVICE_BUSY})
TRIES = 3  # trainings in a row that the device may lose before the run pauses
STRANGE = 6  # the same for faults that nobody can name: a candidate is set aside after half as many
RESTS = (
    0.0,
    5.0,
    30.0,
    60.0,
    120.0,
)  # seconds before the next training, by how many were lost in a row
AGAIN = 600.0  # seconds between two looks of a paused run whether its device is back


@dataclass(frozen=True, slots=True)
class Step:
    """What follows a training."""

    rest: float = 0.0  # seconds before the next one
    pause: str = ""  # the sentence with which the run pauses; empty = it goes on


class Outages:
    """How many trainings in a row were lost, and since when the run waits for its device."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lost = 0  # in a row
        self._pause = ""  # the sentence of ours with which the run is paused; empty = it is not, or by somebody else
        self._next = 0.0  # on the clock: when to look again

    def after(self, result: Result | SmokeResult) -> Step:
        """What follows this training or smoke run."""
        if result.outcome is not Outcome.VOID:
            self._lost = 0
            return Step()
        if result.cause in EXPLAINED:
            return Step()
        self._lost += 1
        limit = TRIES if result.cause in DEVICE else STRANGE
        if self._lost < limit:
            return Step(rest=RESTS[min(self._lost, len(RESTS) - 1)])
        return Step(pause=self.pause(_sentence(result, self._lost)))

    def pause(self, why: str) -> str:
        """The run pauses for this reason, which is returned as the sentence for people."""
        minutes = f"{AGAIN / 60:.0f} minutes"
        self._pause = f"{why} The run looks every {minutes} whether it goes again; `autoresearch resume` tries at once."
        self._next = self._clock() + AGAIN
        return self._pause

    def due(self, reason: str) -> bool:
        """Is it time to try again, in a run that is paused for `reason`? Never if a person paused it."""
        if not self._pause or reason != self._pause:
            return False
        return self._clock() >= self._next

    def wait(self) -> None:
        """It was looked at, and is not over."""
        self._next = self._clock() + AGAIN

    def try_again(self) -> None:
        """The run goes on; the next training that is lost pauses it again at once."""
        self._pause, self._lost = "", max(self._lost, TRIES) - 1


def _sentence(result: Result | SmokeResult, times: int) -> str:
    look = (
        "see `nvidia-smi` and `autoresearch doctor`"
        if result.cause in DEVICE
        else "see `autoresearch doctor`"
    )
    return f"{times} trainings in a row were lost to causes outside them, the last one so: {result.reason} Paused; {look}."
