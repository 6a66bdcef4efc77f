"""One exclusive training slot: starts a detached runner per experiment and waits for its result.

The runner (`python -m harness.experiment`) outlives a killed engine for a few seconds, so that a restarted one
can adopt a live training or harvest a finished one. This module never reads a score from anywhere but
`result.json`, and never blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from harness.crashpoints import reached
from harness.rundir import ask_to_prune, is_running, read_result, read_smoke, write_spec
from harness.spec import ExperimentSpec, Outcome, Result, SmokeResult

ADOPTION_POLL = 0.2  # seconds between looks at an adopted runner's lock; it is no child of ours


class Slot(Protocol):
    """Where trainings run, one at a time."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Train `spec` in `directory` (which does not hold an experiment yet) and return its result."""
        ...

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """The smoke run that `spec.smoke_steps` asks for; it has the slot to itself, like a training."""
        ...

    async def adopt(self, directory: Path) -> Result | None:
        """Wait for the experiment that an earlier engine started there; None when nothing is left of it."""
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

    def __init__(self, lease: Path, grace: float) -> None:
        """`lease`: the engine's lock file; `grace`: seconds a training survives without an engine."""
        self._lease = lease
        self._grace = grace
        self._pid: int | None = None
        self._directory: Path | None = None  # of what is running

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Start a runner for `spec` and wait for its result."""
        code = await self._through(spec, directory)
        return read_result(directory) or Result(Outcome.VOID, _lost(directory, code))

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """Start a runner for a smoke run and wait for its result."""
        code = await self._through(spec, directory)
        return read_smoke(directory) or SmokeResult(Outcome.VOID, _lost(directory, code))

    async def _through(self, spec: ExperimentSpec, directory: Path) -> int:
        """Run a runner to its end; returns its exit status."""
        process = self._spawn(spec, directory)
        reached("slot.after-spawn")
        self._pid, self._directory = process.pid, directory
        try:
            await _exited(process.pid)
        finally:
            self._pid = self._directory = None
        return process.wait()

    def _spawn(self, spec: ExperimentSpec, directory: Path) -> subprocess.Popen[bytes]:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        reached("slot.before-spec")
        write_spec(directory, spec)
        reached("slot.before-spawn")
        with (directory / "runner.log").open("wb") as log:
            # A new session: a hang-up of the terminal or Ctrl-C reaches the engine, which then decides.
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "harness.experiment", str(directory)),
                    *("--lease", str(self._lease), "--grace", str(self._grace)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd="/",
                env=own_env(),
            )

    async def adopt(self, directory: Path) -> Result | None:
        """Wait until the runner of an earlier engine lets go of its lock, then read what it left."""
        await self._outlast(directory)
        return read_result(directory)

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        """The same for a smoke run."""
        await self._outlast(directory)
        return read_smoke(directory)

    async def _outlast(self, directory: Path) -> None:
        if not is_running(directory):
            return
        self._pid, self._directory = _runner_pid(directory), directory
        try:
            # It is no child of ours and its lock is all there is to see, so this looks again and again.
            while is_running(directory):  # noqa: ASYNC110
                await asyncio.sleep(ADOPTION_POLL)
        finally:
            self._pid = self._directory = None

    def prune(self, reason: str) -> bool:
        """Leave the wish where the runner looks for it, whichever engine has started that."""
        if self._directory is None:
            return False
        ask_to_prune(self._directory, reason)
        return True

    def stop(self, reason: str) -> None:
        """Ask the runner to end its training; it reports VOID."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)


async def _exited(pid: int) -> None:
    """Return once the process has ended, without a thread and without reaping it."""
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _runner_pid(directory: Path) -> int | None:
    """The pid that an adopted runner wrote into its lock."""
    try:
        return int((directory / "lock").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _lost(directory: Path, code: int) -> str:
    """Why a runner left no result; the last line of its log is the best explanation there is."""
    try:
        lines = (directory / "runner.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    said = f": {lines[-1][:300]}" if lines else ""
    return f"No result came back, the runner ended with status {code}{said}."
