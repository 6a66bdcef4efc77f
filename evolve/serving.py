"""One engine process from its first boot to the end of its run: boots anew after faults that pass.

It holds the lock all the time, so no second engine comes between, and a training in the slot goes on.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from evolve import goingon
from evolve.boot import Boot, boot
from evolve.credentials import Credentials
from evolve.engine import Engine, OnEvent
from evolve.lock import EngineLock
from evolve.model import EvolveError, Passing
from evolve.places import LOCK, STATE
from evolve.slot import Slot
from evolve.weather import leave, outlast, passing, told
from harness.spec import HarnessError

HASTE = 60.0  # seconds that an engine should last; those that do not are not started again at once


def serve(
    workspace: Path,
    *,
    overrides: dict[str, str] | None = None,
    name: str | None = None,
    allow_weak_sandbox: bool = False,
    on_event: OnEvent | None = None,
    slot: Slot | None = None,
    credentials: Credentials | None = None,
    after: str = "",
) -> int:
    """Run an engine in this process until its run ends.

    Returns the exit code: 0 when a stop rule or a person ended the run, 130 after SIGINT. Raises EvolveError or
    HarnessError with one sentence for a person. `slot` replaces the training slot (another machine, a bench);
    `credentials` are those of a process that is nothing but an engine (`credentials.own`); `after`: how the engine
    before it died, the beginning of a sentence, when no person starts this. Faults that pass (`weather`) are waited for.
    """
    workspace = workspace.resolve()
    start = partial(
        boot,
        workspace,
        overrides=overrides or {},
        name=name,
        allow_weak_sandbox=allow_weak_sandbox,
        on_event=on_event,
        credentials=credentials or Credentials(dict(os.environ)),  # the next boot needs them too
    )
    lock = EngineLock(workspace / STATE / LOCK)
    try:
        return _serve(workspace, start, lock, slot, after)
    finally:
        lock.release()


def _serve(
    workspace: Path,
    start: Callable[..., AbstractContextManager[Boot]],
    lock: EngineLock,
    slot: Slot | None,
    after: str,
) -> int:
    """Boot and run; after a fault that passes wait until it has, and boot anew, which is the road after a kill, too."""
    again = bool(after)
    hasty = 0  # boots in a row that soon met the next fault
    met: tuple[Passing, float, float] | None = None  # the first of them, and when, on two clocks
    while True:
        booted = time.monotonic()
        try:
            with start(lock=lock, again=again) as ready:
                again, context = True, ready.context
                if after:
                    words = f"{after}; {goingon.begun_again(context)}"
                    context.journal.record_event("fault", words)
                    after = ""
                if met is not None:
                    words = told(met[0], met[1], time.monotonic() - met[2])
                    context.journal.record_event("fault", words)
                    met = None
                return asyncio.run(Engine(ready, slot).run())
        except (EvolveError, HarnessError, OSError) as error:
            fault = passing(error)
            # Who starts a run by hand would rather be told than wait.
            if fault is None or not again:
                raise
        # Nothing is open now but the lock, and the training in the slot goes on: this may last for a night.
        met = met or (fault, time.time(), time.monotonic())
        hasty = hasty + 1 if time.monotonic() - booted < HASTE else 0
        pause = min(2.0**hasty, HASTE) if hasty > 1 else 0.0
        if (asked := asyncio.run(outlast(fault, workspace, lock, at_least=pause))) is not None:
            return leave(workspace, asked)
