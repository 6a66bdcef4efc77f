"""Starts an engine in the background: its own session, its output in engine.log, its first fault reported here.

What is started is its keeper (`keeper`), which starts the engine. The caller learns for certain whether the engine
runs: it writes to a pipe once its run has begun, and its death closes that pipe. Nothing is left to timing.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evolve.enginelog import LIMIT, rotate
from evolve.keeper import engine_line
from evolve.model import EvolveError, NothingToDo, UsageError
from evolve.places import LOG, state_folder

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "autoresearch: "  # the command line puts it before every fault
PATIENCE = 60.0  # seconds to the first event; an engine that still lives then is busy with its data


def detach(workspace: Path, argv: Sequence[str] = (), *, patience: float = PATIENCE) -> int:
    """Start `autoresearch run --headless *argv` in the background and return the process id of its keeper.

    Returns once the run has begun (or after `patience` seconds when the engine still prepares). Raises
    EvolveError, UsageError or NothingToDo with the engine's own sentence when it ended before that.
    """
    log = state_folder(workspace) / LOG
    said_before = log.stat().st_size if log.exists() else 0
    if said_before >= LIMIT:
        rotate(log)
        said_before = 0
    heard, ready = os.pipe()
    try:
        pid = _spawn(workspace, argv, log, ready)
    finally:
        os.close(ready)
    try:
        readable, _, _ = select.select([heard], [], [], patience)
        if not readable or os.read(heard, 1):
            # The app may outlive its engine; a dead child that nobody waits for would look alive.
            threading.Thread(target=os.waitpid, args=(pid, 0), daemon=True).start()
            return pid
    finally:
        os.close(heard)
    _, status = os.waitpid(pid, 0)
    raise _fault(log, said_before, os.waitstatus_to_exitcode(status))


def _spawn(workspace: Path, argv: Sequence[str], log: Path, ready: int) -> int:
    """A new session without a terminal; the pipe is its descriptor 3."""
    line = engine_line(workspace, ["--ready-fd", "3", *argv])
    appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        line,
        os.environ,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, ready, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appending, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def _fault(log: Path, start: int, code: int) -> EvolveError:
    """The sentence that the engine left in its log, as the error that its exit code stands for."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = [line.removeprefix(PREFIX) for line in lines if line.startswith(PREFIX)]
    sentence = (
        said[-1]
        if said
        else f"The engine ended with code {code} before its run began; its log is {log}."
    )
    kind = {UsageError.exit_code: UsageError, NothingToDo.exit_code: NothingToDo}
    return kind.get(code, EvolveError)(sentence)
