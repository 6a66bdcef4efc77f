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
from evolve.boot import Boot, boot
from evolve.census import keep_logs, trim
from evolve.judging import Assignment, Judge
from evolve.model import Event, EvolveError, Purpose
from evolve.nursery import Nursery
from evolve.places import EXPERIMENTS
from evolve.propose.builtin import BuiltinProposer
from evolve.results import write_results
from evolve.scratchpad import Reflection
from evolve.slot import DetachedSlot, Slot
from evolve.spec import experiment_spec, smoke_spec
from evolve.steering import Steering
from evolve.stopping import may_confirm, reason_to_stop
from evolve.watching import Watch
from harness.crashpoints import reached
from harness.spec import Outcome, SmokeResult

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.context import Context
    from evolve.model import Experiment
    from harness.spec import Result

REPEATS = frozenset({Purpose.CONFIRM, Purpose.INCUMBENT})
POLL = 0.25  # seconds between looks at commands and edited files
BEAT = 2.0  # seconds between heartbeats
LOOK = 0.5  # seconds between looks at what the training prints, which comes twice a second at most
GRACE = 20.0  # seconds that a training survives its engine, so that a restarted one can adopt it
RETRY = 5.0  # seconds after which an idle slot asks again
PATIENCE = 0.3  # seconds that an empty slot waits for the language model before the built-in proposer steps in

OnEvent = Callable[[Event], None]


def serve(
    workspace: Path,
    *,
    overrides: dict[str, str] | None = None,
    name: str | None = None,
    allow_weak_sandbox: bool = False,
    on_event: OnEvent | None = None,
    slot: Slot | None = None,
) -> int:
    """Run an engine in this process until its run ends.

    Returns the exit code: 0 when a stop rule or a person ended the run, 130 after SIGINT. Raises EvolveError or
    HarnessError with one sentence for a person. `slot` replaces the training slot (another machine, a bench).
    """
    with boot(
        workspace,
        overrides=overrides or {},
        name=name,
        allow_weak_sandbox=allow_weak_sandbox,
        on_event=on_event,
    ) as ready:
        return asyncio.run(Engine(ready, slot).run())


class Engine:
    """The loops of one run."""

    def __init__(self, ready: Boot, slot: Slot | None = None) -> None:
        self._context: Context = ready.context
        self._lock = ready.lock
        self._tell = ready.tell
        self._interrupted = False
        self._slot = slot or DetachedSlot(ready.lock.path, GRACE)
        self._judge = Judge(self._context)
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
        self._catch_signals()
        helpers = [
            asyncio.create_task(self._nursery.run()),
            asyncio.create_task(self._reflection.run()),
            asyncio.create_task(self._steer()),
            asyncio.create_task(self._heartbeat()),
            asyncio.create_task(self._look()),
        ]
        training = asyncio.create_task(self._train())
        try:
            waiting = {training, *helpers}
            while training in waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a fault of any loop ends the run
            state = "finished" if context.finished else "stopped"
            context.journal.set_run_state(state, context.stop_reason or "")
        except EvolveError as error:
            context.journal.set_run_state("failed", str(error))
            raise
        finally:
            self._slot.stop("the engine ends")
            tasks: list[asyncio.Task[Any]] = [training, *helpers]
            tasks += [self._urgent] if self._urgent else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._project()
            self._tell()
        return 130 if self._interrupted else 0

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
        result = await self._slot.smoke(smoke_spec(context, smoke), directory)
        reached("engine.smoke-ended")
        smoking.settle(context, smoke, result)
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
        result = await self._slot.run(spec, self._directory(experiment))
        self._finish(experiment, result)

    def _finish(self, experiment: Experiment, result: Result, *, adopted: bool = False) -> None:
        reached("engine.training-ended")
        self._judge.settle(experiment, result, adopted=adopted)
        self._watch.settled()
        keep_logs(self._context)
        reached("engine.before-results")
        self._project()
        self._context.wake()
        self._tell()

    async def _recover(self) -> None:
        """Adopt, harvest or queue again what an earlier engine left in the slot."""
        context = self._context
        if smoke := context.journal.running_smoke():
            found = await self._slot.adopt_smoke(context.state / EXPERIMENTS / smoke.directory)
            lost = SmokeResult(Outcome.VOID, "The engine ended before it did.")
            smoking.settle(context, smoke, found or lost)
        experiment = context.journal.running_experiment()
        if experiment is not None:
            result = await self._slot.adopt(self._directory(experiment))
            if result is None:
                context.journal.void_experiment(experiment.id, "The engine ended before it did.")
            else:
                self._finish(experiment, result, adopted=True)
        self._judge.look_back()
        self._judge.move_main()

    def _directory(self, experiment: Experiment) -> Path:
        return self._context.state / EXPERIMENTS / self._context.journal.directory(experiment.id)

    def _project(self) -> None:
        """Rewrite results.tsv from the journal."""
        context = self._context
        write_results(context.workspace / "results.tsv", context.journal)

    # ---- beside it ---------------------------------------------------------------------------------------

    async def _steer(self) -> None:
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
        while True:
            self._lock.beat(self._nursery.doing())
            await asyncio.sleep(BEAT)

    def _catch_signals(self) -> None:
        """SIGINT and SIGTERM end the run at once and cleanly; SIGHUP is no reason to end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)

    def _interrupt(self, number: signal.Signals) -> None:
        self._interrupted = number is signal.SIGINT
        self._context.stop(f"Stopped by {number.name}.", now=True)
        self._slot.stop(f"stopped by {number.name}")
