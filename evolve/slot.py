"""One exclusive training slot: starts a detached runner per experiment and waits for its result.

The runner (`python -m harness.experiment`) outlives a killed engine for a few seconds, so that a restarted one
can adopt a live training or harvest a finished one. This module never reads a score from anywhere but
`result.json`, and never blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from harness import runlock
from harness.crashpoints import reached
from harness.rundir import (
    ask_to_prune,
    has_committed,
    is_running,
    read_result,
    read_smoke,
    read_spec,
    tidy,
    write_spec,
)
from harness.spec import Cause, ExperimentSpec, HarnessError, Outcome, Result, SmokeResult

ADOPTION_POLL = 0.2  # seconds between looks at an adopted runner's lock; it is no child of ours
LOOK = 2.0  # seconds between looks at a runner's sign of life
SILENCE = 180.0  # seconds without one after which it hangs; what it does between two takes a minute at most
# What an attempt takes beyond its wall limit, at most: a quiet GPU, its exit, the scorer's and the meter's last words.
BESIDES = 180.0


class Slot(Protocol):
    """Where trainings run, one at a time."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Train `spec` in `directory` (which does not hold an experiment yet) and return its result."""
        ...

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """The smoke run that `spec.smoke_steps` asks for; it has the slot to itself, like a training."""
        ...

    async def adopt(self, directory: Path) -> Result | None:
        """Wait for the experiment that an earlier engine started there, and have it scored if it was only trained.

        None when nothing is left of it.
        """
        ...

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        """The same for a smoke run."""
        ...

    def prune(self, reason: str) -> bool:
        """Stop the running training early, as PRUNED with this sentence, unless its weights are in already.

        False when nothing is running here, or is not adopted yet.
        """
        ...

    def stop(self, reason: str) -> None:
        """End what is running as VOID; whoever waits for it gets that soon."""
        ...


class DetachedSlot:
    """The default slot: one detached process per experiment, on this machine."""

    def __init__(self, lease: Path, grace: float, *, silence: float = SILENCE) -> None:
        """`lease`: the engine's lock file; `grace`: seconds a training survives without an engine; `silence`: seconds
        without a sign of life after which a runner is ended."""
        self._lease = lease
        self._grace = grace
        self._silence = silence
        self._directory: Path | None = None  # of what is running
        self._early = False  # asked to stop what was not adopted yet

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Start a runner for `spec` and wait for its result."""
        why = await self._through(spec, directory)
        found = read_result(directory)
        if found is None and has_committed(directory):
            found = await self._again(directory)
        tidy(directory)
        return found or Result(Outcome.VOID, why, cause=Cause.RUNNER_DIED)

    async def _again(self, directory: Path) -> Result | None:
        """A runner died between the commit and the score: another one scores the weights, and trains nothing.

        Once only: what two runners die of is repeated, with the training.
        """
        await self._through(None, directory)
        return read_result(directory)

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """Start a runner for a smoke run and wait for its result."""
        why = await self._through(spec, directory)
        tidy(directory)
        return read_smoke(directory) or SmokeResult(Outcome.VOID, why, cause=Cause.RUNNER_DIED)

    async def _through(self, spec: ExperimentSpec | None, directory: Path) -> str:
        """Run a runner to its end; returns why there is no result, should it have left none.

        Without a `spec` it is that in the folder, whose training is only to be scored.
        """
        process = self._spawn(spec, directory)
        self._directory, self._early = directory, False
        watch = Vigil(directory, spec or _spec_in(directory), self._silence)
        try:
            while not await _exited(process.pid, LOOK):
                if hung := watch.look():
                    end(directory)
                    tidy(directory)  # what it hung in is not gone on with
                    process.poll()  # a zombie otherwise
                    return hung
        finally:
            self._directory = None
        return _lost(directory, process.wait())

    def _spawn(self, spec: ExperimentSpec | None, directory: Path) -> subprocess.Popen[bytes]:
        """Start a runner that holds its lock from its first instant on, whatever becomes of us meanwhile."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        reached("slot.before-spec")
        if spec is not None:
            write_spec(directory, spec)
        lock = runlock.take(directory)
        try:
            reached("slot.before-spawn")
            with (directory / "runner.log").open("wb") as log:
                # A new session: a hang-up of the terminal or Ctrl-C reaches the engine, which then decides.
                process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "harness.experiment", str(directory)),
                        *("--lease", str(self._lease), "--grace", str(self._grace)),
                        *("--lock-fd", str(lock)),
                        *(() if spec else ("--again",)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd="/",
                    pass_fds=(lock,),
                )
            reached("slot.after-spawn")
            runlock.sign(lock, process.pid)  # as it does itself, a moment later
            return process
        finally:
            os.close(lock)

    async def adopt(self, directory: Path) -> Result | None:
        """Wait until the runner of an earlier engine lets go of its lock, then read what it left.

        Where that is a training without a score, it is scored, unless it was to be ended meanwhile.
        """
        hung = await self._outlast(directory)
        found = read_result(directory)
        if found is None and has_committed(directory) and not self._early:
            found = await self._again(directory)
        tidy(directory)
        if found is None and hung:
            return Result(Outcome.VOID, hung, cause=Cause.RUNNER_DIED)
        return found

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        """The same for a smoke run."""
        hung = await self._outlast(directory)
        found = read_smoke(directory)
        tidy(directory)
        if found is None and hung:
            return SmokeResult(Outcome.VOID, hung, cause=Cause.RUNNER_DIED)
        return found

    async def _outlast(self, directory: Path) -> str:
        """Wait for a runner that is no child of ours; returns why it had to be ended, if it had to."""
        if not is_running(directory):
            return ""
        self._directory = directory
        if self._early:
            ask_to_end(directory)
            self._early = False
        watch = Vigil(directory, _spec_in(directory), self._silence)
        try:
            # Its lock is all there is to see, so this looks again and again.
            while is_running(directory):
                if hung := watch.look():
                    end(directory)
                    tidy(directory)
                    return hung
                await asyncio.sleep(ADOPTION_POLL)
        finally:
            self._directory = None
        return ""

    def prune(self, reason: str) -> bool:
        """Leave the wish where the runner looks for it, whichever engine has started that."""
        if self._directory is None:
            return False
        ask_to_prune(self._directory, reason)
        return True

    def stop(self, reason: str) -> None:
        """Ask the runner to end its training; it reports VOID. What is adopted next hears of it, too."""
        if self._directory is not None:
            ask_to_end(self._directory)
        else:
            self._early = True


class Vigil:
    """Watches over one runner from outside: does it still give signs of life, and is it still within its limits?"""

    def __init__(self, directory: Path, spec: ExperimentSpec | None, silence: float) -> None:
        """`spec` says how long it may take all in all; of one that cannot be read, nothing does."""
        self._directory, self._silence = directory, silence
        self._limit = None if spec is None else longest(spec)
        self._beat = runlock.last_beat(directory)
        # Monotonic: neither a clock that somebody sets nor a laptop that slept makes a runner look dead.
        self._since = self._heard = (
            time.monotonic()
        )  # of an adopted one less than its age, which errs to its good

    def look(self) -> str:
        """Why the runner has to be ended, in a sentence; empty while all is well."""
        now, beat = time.monotonic(), runlock.last_beat(self._directory)
        if beat != self._beat:
            self._beat, self._heard = beat, now
        if now - self._heard > self._silence:
            return f"Its runner gave no sign of life for {self._silence:g} s and was ended."
        if self._limit is not None and now - self._since > self._limit:
            return f"Its runner went on for more than {self._limit:,.0f} s, which no limit allows, and was ended."
        return ""


def longest(spec: ExperimentSpec) -> float:
    """Seconds that an experiment can take if its runner keeps the limits: a training, and an audit done twice."""
    attempts = 3 if spec.audit.possible and not spec.smoke_steps else 1
    return attempts * (spec.limits.wall_seconds + BESIDES)


def ask_to_end(directory: Path) -> None:
    """Ask whoever runs the experiment in `directory` to end it as VOID; nothing happens where nobody does."""
    runner = runlock.runner_in(directory) if is_running(directory) else None
    if runner is not None:
        runner.ask_to_end()


def end(directory: Path) -> None:
    """Kill whoever runs the experiment in `directory`, with its cells. Raises HarnessError when it cannot be killed."""
    runner = runlock.runner_in(directory) if is_running(directory) else None
    if runner is not None and not runner.end():
        raise HarnessError(
            f"The runner of {directory} (process {runner.pid}) hangs in the system and cannot be ended; "
            "`autoresearch doctor` looks for the cause, and a restart of the machine ends it.",
            Cause.DEVICE_HUNG,
        )


async def _exited(pid: int, patience: float) -> bool:
    """Whether the process ends within `patience` seconds; without a thread and without reaping it."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), patience)
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return gone.is_set()


def _spec_in(directory: Path) -> ExperimentSpec | None:
    try:
        return read_spec(directory)
    except HarnessError:
        return None


def _lost(directory: Path, code: int) -> str:
    """Why a runner left no result; the last line of its log is the best explanation there is."""
    try:
        lines = (directory / "runner.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    said = f": {lines[-1][:300]}" if lines else ""
    return f"No result came back, the runner ended with status {code}{said}."
