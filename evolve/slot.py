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

from harness.rundir import is_running, read_result, write_spec
from harness.spec import ExperimentSpec, Outcome, Result

ADOPTION_POLL = 0.2  # seconds between looks at an adopted runner's lock; it is no child of ours


class Slot(Protocol):
    """Where trainings run, one at a time."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Train `spec` in `directory` (which does not hold an experiment yet) and return its result."""
        ...

    async def adopt(self, directory: Path) -> Result | None:
        """Wait for the experiment that an earlier engine started there; None when nothing is left of it."""
        ...

    def stop(self, reason: str) -> None:
        """End the running training as VOID; `run` and `adopt` then return soon."""
        ...


class DetachedSlot:
    """The default slot: one detached process per experiment, on this machine."""

    def __init__(self, lease: Path, grace: float) -> None:
        """`lease`: the engine's lock file; `grace`: seconds a training survives without an engine."""
        self._lease = lease
        self._grace = grace
        self._pid: int | None = None

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        """Start a runner for `spec` and wait for its result."""
        process = self._spawn(spec, directory)
        self._pid = process.pid
        try:
            await _exited(process.pid)
        finally:
            self._pid = None
        code = process.wait()
        return read_result(directory) or _void(directory, f"the runner ended with status {code}")

    def _spawn(self, spec: ExperimentSpec, directory: Path) -> subprocess.Popen[bytes]:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_spec(directory, spec)
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
            )

    async def adopt(self, directory: Path) -> Result | None:
        """Wait until the runner of an earlier engine lets go of its lock, then read what it left."""
        self._pid = _runner_pid(directory) if is_running(directory) else None
        try:
            # It is no child of ours and its lock is all there is to see, so this looks again and again.
            while is_running(directory):  # noqa: ASYNC110
                await asyncio.sleep(ADOPTION_POLL)
        finally:
            self._pid = None
        return read_result(directory)

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


def _void(directory: Path, reason: str) -> Result:
    """A result for a runner that left none; the last line of its log is the best explanation there is."""
    try:
        lines = (directory / "runner.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    said = f": {lines[-1][:300]}" if lines else ""
    return Result(Outcome.VOID, f"No result came back, {reason}{said}.")
