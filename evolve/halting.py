"""Carries out what `outages` says of lost trainings: rests, pauses the run, looks whether it is over, goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from evolve.machinewatch import device_fault
from evolve.outages import Outages
from evolve.weather import fault_of
from harness.spec import Outcome, Result, SmokeResult

if TYPE_CHECKING:
    from evolve.context import Context

POLL = 0.25  # seconds between looks whether a person wants something else


class Halts:
    """The part of the slot loop that stands between a lost training and the next one."""

    def __init__(self, context: Context, tell: Callable[[], None]) -> None:
        """`tell` hands new events to whoever listens."""
        self._context = context
        self._tell = tell
        self._outages = Outages()

    async def after(self, result: Result | SmokeResult) -> None:
        """What a training means for the machine: returns when the next one may follow, if one may.

        Raises the fault that passes to which it was lost, if it was.
        """
        context = self._context
        if result.outcome is Outcome.VOID and (fault := fault_of(result.cause, result.reason)):
            raise fault
        step = self._outages.after(result)
        if context.stopping or context.paused:
            return
        if step.pause:
            self._say(step.pause)
        else:
            await self._rest(step.rest)

    def pause(self, why: str) -> None:
        """Pause the run for this reason, a sentence; it tries again by itself."""
        self._say(self._outages.pause(why))

    async def look(self) -> None:
        """A run that paused by itself tries again after a while; what a person paused stays so."""
        context = self._context
        if not (context.paused and self._outages.due(context.journal.run().reason)):
            return
        if await asyncio.to_thread(device_fault, context.machine, context.device):
            self._outages.wait()
            return
        self._outages.try_again()
        context.paused = False
        context.journal.set_run_state("running", "The run tries again by itself.")

    def _say(self, why: str) -> None:
        self._context.paused = True
        self._context.journal.set_run_state("paused", why)
        self._tell()

    async def _rest(self, seconds: float) -> None:
        """Leave the machine alone for a while, unless a person wants something else meanwhile."""
        until, context = time.monotonic() + seconds, self._context
        while time.monotonic() < until and not (context.stopping or context.paused):  # noqa: ASYNC110 - children wake it
            await asyncio.sleep(POLL)
