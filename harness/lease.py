"""Why a runner should end before its experiment does: looked up a few times a second, with its own signs of life.

An engine that lives holds the workspace's lock, the lease; a person ends a training through a signal, and a pruned one is
ended by a file. What each means for the experiment is said in the verdict.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType

from harness import rundir, runlock
from harness.ending import Verdict
from harness.spec import Cause, Outcome

LEASE_EVERY = 1.0  # seconds between two looks at the lease


class Stop:
    """Why a runner should end: a signal, a lease that nobody holds any more, or the engine's wish to prune."""

    def __init__(self, lease: Path | None, grace: float, directory: Path) -> None:
        """`lease` is the engine's lock file; without one nobody is missed. The wish is a file in `directory`."""
        self._lease, self._grace, self._directory = lease, grace, directory
        self._signal: Verdict | None = None
        self._looked = self._held = time.monotonic()
        self.lock: int | None = (
            None  # ours, once it is held; looks at the end are our signs of life
        )

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """Handler of SIGTERM and its like."""
        name = signal.Signals(number).name
        self._signal = Verdict(Outcome.VOID, f"Stopped by {name}.", Cause.SIGNAL)

    def verdict(self) -> Verdict | None:
        """The end to come to now, or None."""
        if void := self._void():
            return void
        wish = rundir.asked_to_prune(self._directory)
        return None if wish is None else Verdict(Outcome.PRUNED, wish)

    @property
    def has_engine(self) -> bool:
        """Whether an engine lived a moment ago."""
        return self._lease is not None and time.monotonic() - self._held <= self._grace

    def _void(self) -> Verdict | None:
        now = time.monotonic()
        if now - self._looked >= LEASE_EVERY:
            self._looked = now
            if self.lock is not None:
                runlock.beat(self.lock)
            if self._lease and rundir.is_held(self._lease):
                self._held = now
        if self._lease and not self.has_engine:
            gone = f"The engine has been gone for {self._grace:g} s."
            return Verdict(Outcome.VOID, gone, Cause.LEASE)
        return self._signal
