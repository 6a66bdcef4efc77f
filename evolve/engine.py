"""The engine: joins the rooms and runs the loops; the only place that knows the order of things.

One asyncio program without a terminal. The proposer loop keeps children ready, the slot loop trains them one
after another, the steering loop applies what people ask for. Every step is in the journal before its effect,
so the engine may be killed at any instant.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evolve import approval, smoking
from evolve.boot import Boot
from evolve.census import keep_logs, thin, trim
from evolve.halting import Halts
from evolve.judging import Assignment, Judge
from evolve.machinewatch import MachineWatch
from evolve.model import Event, EvolveError, Passing, Purpose
from evolve.nursery import Nursery
from evolve.places import EXPERIMENTS
from evolve.projecting import look
from evolve.propose.builtin import BuiltinProposer
from evolve.results import Results
from evolve.scratchpad import Reflection
from evolve.slot import DetachedSlot, Slot
from evolve.spec import experiment_spec, smoke_spec
from evolve.steering import Steering
from evolve.stopping import keep_hours, may_confirm, reason_to_stop
from evolve.told import Teller
from evolve.watching import Watch
from evolve.weather import on_signals, passing
from harness import rundir
from harness.crashpoints import reached
from harness.spec import Cause, HarnessError, Outcome, Result, SmokeResult

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.context import Context
    from evolve.model import Experiment

REPEATS = frozenset({Purpose.CONFIRM, Purpose.INCUMBENT})
POLL = 0.25  # seconds between looks at commands and edited files
BEAT = 2.0  # seconds between heartbeats
LOOK = 0.5  # seconds between looks at what the training prints, which comes twice a second at most
GRACE = 20.0  # seconds that a training survives its engine, so that a restarted one can adopt it
RETRY = 5.0  # seconds after which an idle slot asks again
HASTE = 60.0  # seconds that an engine should last; those that do not are not started again at once
PATIENCE = 0.3  # seconds that an empty slot waits for the language model before the built-in proposer steps in

OnEvent = Callable[[Event], None]


class Engine:
    """The loops of one run."""

    def __init__(self, ready: Boot, slot: Slot | None = None) -> None:
        self._context: Context = ready.context
        self._lock = ready.lock
        self._tell = ready.tell
        self._backups = ready.backups
        self._interrupted = self._signalled = False
        self._halts = Halts(ready.context, ready.tell)
        self._unwritten = ""  # why results.tsv could not be written when that was last told
        self._slot = slot or DetachedSlot(ready.lock.path, GRACE)
        self._judge = Judge(self._context)
        self._results = Results(self._context.workspace / "results.tsv")
        self._teller = Teller()
        self._watch = Watch(self._context, self._slot)
        self._urgent: asyncio.Task[bool] | None = None  # a built-in child in the making
        self._language_models = ready.language_models
        self._nursery = Nursery(
            self._context, BuiltinProposer(), ready.language_models(self._context)
        )
        self._reflection = Reflection(self._context, self._nursery)
        self._steering = Steering(
            self._context,
            on_settings=self._settings_changed,
            on_trim=lambda: trim(self._context),
            on_kill=self._slot.stop,
        )

    async def run(self) -> int:
        """Work until the run ends; the journal then says why."""
        context = self._context
        on_signals(self._interrupt)
        helpers = [
            asyncio.create_task(self._nursery.run()),
            asyncio.create_task(self._reflection.run()),
            asyncio.create_task(self._steer()),
            asyncio.create_task(self._heartbeat()),
            asyncio.create_task(self._look()),
        ]
        training = asyncio.create_task(self._train())
        ends = False  # for good, so that nothing is to be adopted by the next boot
        try:
            waiting = {training, *helpers}
            while training in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:  # a fault of any loop ends them all
                    if (error := task.exception()) is not None:
                        raise passing(error) or error
            self._end("finished" if context.finished else "stopped", context.stop_reason or "")
            ends = True
        except Passing:
            raise
        except EvolveError as error:
            ends = True
            context.journal.set_run_state("failed", str(error))
            raise
        finally:
            if ends:
                self._slot.stop("the engine ends")
            tasks: list[asyncio.Task[Any]] = [training, *helpers]
            tasks += [self._urgent] if self._urgent else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if ends:
                with contextlib.suppress(Passing):  # of the table, which the next start writes anew
                    self._project()
                    self._steering.close()
                    self._tell()
        return 130 if self._interrupted else 0

    def _end(self, state: str, reason: str) -> None:
        """Say how the run ends. Who asked for that gets it also where it cannot be written down."""
        try:
            self._steering.answer_all()  # who asks now is not left without an answer
            self._context.journal.set_run_state(state, reason)
        except Passing:
            if not self._signalled:
                raise

    def _settings_changed(self, keys: Sequence[str]) -> None:
        """A language model that rests is asked again when what it depends on has changed, or was set once more."""
        if any(key.startswith(("llm.", "prompts.", "stop.dollars")) for key in keys):
            self._nursery.replace_models(self._language_models(self._context))

    # ---- the slot loop -----------------------------------------------------------------------------------

    async def _train(self) -> None:
        """Train one experiment after another; the gap between two is the time of `_settle`."""
        context = self._context
        await self._recover()
        while not context.stopping:
            reason = reason_to_stop(context)
            if reason and not may_confirm(context):
                context.finish(reason)
                return
            context.work_ready.clear()
            await self._halts.look()
            assignment = None if context.paused else self._judge.next_assignment()
            if reason and not (assignment and assignment.purpose in REPEATS):
                context.finish(reason)
                return
            if assignment is not None:
                context.held = False
                if await self._comes_through(assignment):
                    await self._experiment(assignment)
            elif not reason_to_stop(context) and (
                context.paused or approval.held(context) or not await self._supply()
            ):
                await self._rest()

    async def _supply(self) -> bool:
        """Nothing is ready: give the proposer a moment, then take a built-in child. True to look again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._context.work_ready.wait(), PATIENCE)
            return True
        if self._context.stopping or self._context.paused:
            return True
        # A child that the language model ends meanwhile is trained at once; the built-in one then waits in the queue.
        if self._urgent is None:
            self._urgent = asyncio.create_task(self._nursery.urgent())
        ready = asyncio.create_task(self._context.work_ready.wait())
        try:
            await asyncio.wait({self._urgent, ready}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not self._urgent.done():
            return True
        urgent, self._urgent = self._urgent, None
        return urgent.result()

    async def _rest(self) -> None:
        """Wait for something to happen; out of ideas is a state that more tries may end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._context.work_ready.wait(), RETRY)

    async def _comes_through(self, assignment: Assignment) -> bool:
        """Whether the training may begin: a child may have to take a few steps and an evaluation first."""
        context = self._context
        candidate = context.journal.candidate(assignment.candidate)
        if assignment.purpose is not Purpose.SCREEN or not smoking.wanted(context, candidate):
            return True
        smoke = context.journal.start_smoke(candidate.id)
        reached("engine.smoke-started")
        self._tell()
        directory = context.state / EXPERIMENTS / smoke.directory
        try:
            result = await self._slot.smoke(smoke_spec(context, smoke), directory)
        except HarnessError as error:
            result = SmokeResult(Outcome.VOID, str(error), cause=error.cause)
        reached("engine.smoke-ended")
        smoking.settle(context, smoke, result)
        await self._halts.after(result)
        self._project()
        context.wake()
        self._tell()
        return smoking.may_train(context, candidate.id, result)

    async def _experiment(self, assignment: Assignment) -> None:
        context = self._context
        experiment = context.journal.start_experiment(
            assignment.candidate, assignment.purpose, assignment.seed
        )
        reached("engine.training-started")
        context.children_wanted.set()  # a place in the buffer is free
        spec = experiment_spec(context, experiment)
        try:
            result = await self._slot.run(spec, self._directory(experiment))
        except HarnessError as error:  # no runner could be started, or this one not be ended
            result = Result(Outcome.VOID, str(error), seed=spec.seed, cause=error.cause)
        await self._finish(experiment, result)

    async def _finish(
        self, experiment: Experiment, result: Result, *, adopted: bool = False
    ) -> None:
        reached("engine.training-ended")
        why = self._judge.settle(experiment, result, adopted=adopted)
        keep_hours(self._context)
        self._watch.settled()
        keep_logs(self._context)
        thin(self._context)
        reached("engine.before-results")
        self._teller.tell(self._context.journal, self._context.believed())
        self._project()
        look(self._context)
        self._context.wake()
        self._tell()
        if why:
            self._halts.pause(why)
        await self._halts.after(result)

    async def _recover(self) -> None:
        """Adopt, harvest or queue again what an earlier engine left in the slot."""
        context = self._context
        self._project()  # it may have been killed between a verdict and its line in the table
        if smoke := context.journal.running_smoke():
            found = await self._slot.adopt_smoke(context.state / EXPERIMENTS / smoke.directory)
            lost = SmokeResult(Outcome.VOID, "The engine ended before it did.")
            smoking.settle(context, smoke, found or lost)
        experiment = context.journal.running_experiment()
        if experiment is not None:
            directory = self._directory(experiment)
            if rundir.only_trained(directory):
                text = f"#{experiment.candidate} was trained before the engine ended; it is scored now."
                context.journal.record_event("scoring", text, experiment.candidate)
                self._tell()
            result = await self._slot.adopt(directory)
            if result is None:
                why = "The engine ended before it did."
                context.journal.void_experiment(experiment.id, why, Cause.LEASE)
            else:
                await self._finish(experiment, result, adopted=True)
        self._judge.look_back()
        self._judge.move_main()

    def _directory(self, experiment: Experiment) -> Path:
        return self._context.state / EXPERIMENTS / self._context.journal.directory(experiment.id)

    def _project(self) -> None:
        """Bring results.tsv up to date. It is for people: a run does not end because it cannot be written."""
        context = self._context
        why = ""
        try:
            self._results.write(context.journal)
        except Passing:
            raise
        except EvolveError as error:
            why = str(error)
        if why and why != self._unwritten:
            context.journal.record_event("error", why)
        self._unwritten = why

    # ---- beside it ---------------------------------------------------------------------------------------

    async def _steer(self) -> None:
        self._steering.answer_all()  # what was asked while nobody could answer
        # To the very end: who asked for a stop may want it at once after all, or take it back.
        while True:
            self._steering.poll()
            self._tell()
            await asyncio.sleep(POLL)

    async def _look(self) -> None:
        while True:
            self._watch.look()
            await asyncio.sleep(LOOK)

    async def _heartbeat(self) -> None:
        watch = MachineWatch(self._context, self._lock)
        while True:
            self._lock.beat(self._nursery.doing())
            watch.look()
            for oddity in self._backups.oddities():
                self._context.journal.record_event("journal", oddity)
            await asyncio.sleep(BEAT)

    def _interrupt(self, number: signal.Signals) -> None:
        self._signalled, self._interrupted = True, number is signal.SIGINT
        self._context.stop(f"Stopped by {number.name}.", now=True)
        self._slot.stop(f"stopped by {number.name}")
