"""What people do to candidates while an engine runs: real workspace, journal, git and proposer; trainings are held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from evolve.boot import boot
from evolve.client import Client
from evolve.context import Context
from evolve.engine import Engine
from evolve.model import Candidate, CandidateState, Command, CommandState, Purpose, Verdict
from evolve.workspace import create
from harness.spec import Cause, ExperimentSpec, Outcome, Result
from tests.evolve.test_engine import ShortSlot, ask, overrides, until
from tests.evolve.workbench import scored

REFUSED, DONE = CommandState.REFUSED, CommandState.DONE


class HeldSlot(ShortSlot):
    """Trainings that end when they are let go, or as VOID when they are stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()
        self.free.set()
        self.holds = False  # a training is in the slot and ends only when it is told to
        self._stopped = ""
        self._ended = asyncio.Event()

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        self.seeds.setdefault(spec.source, []).append(spec.seed)
        self._stopped, self._ended = "", asyncio.Event()
        while not (self.free.is_set() or self._ended.is_set()):
            self.holds = True
            ends = [asyncio.create_task(e.wait()) for e in (self.free, self._ended)]
            _, waiting = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        self.holds = False
        if self._stopped:
            return Result(Outcome.VOID, self._stopped, seed=spec.seed, cause=Cause.SIGNAL)
        await asyncio.sleep(0.02)
        return scored(spec, 2.0 + 0.002 * (spec.seed % 3))

    def stop(self, reason: str) -> None:
        self._stopped = reason
        self._ended.set()


@dataclass
class Session:
    """A live engine and a person beside it."""

    client: Client
    slot: HeldSlot
    context: Context

    async def ask(self, verb: str, **args: object) -> Command:
        return await ask(self.client, verb, **args)

    async def trains(self, purpose: Purpose | None = None) -> Candidate:
        """The candidate in the slot, once one is there (for this purpose)."""
        await until(lambda: self._running(purpose) is not None)
        found = self._running(purpose)
        assert found is not None
        return found

    def _running(self, purpose: Purpose | None) -> Candidate | None:
        running = self.client.snapshot().running
        if running is None or purpose not in (None, running.experiment.purpose):
            return None
        return running.candidate

    def told(self, kind: str) -> list[str]:
        return [e.text for e in self.client.events(0, 5000) if e.kind == kind]


@asynccontextmanager
async def running(tmp_path: Path, **more: str) -> AsyncIterator[Session]:
    """An engine whose baseline is measured; stopped at the end."""
    workspace = tmp_path / "work"
    if not workspace.exists():
        create(workspace)
    settings = overrides(tmp_path, **{"acceptance.baseline_repeats": "1", "pruning.enabled": "false"}, **more)  # fmt: skip
    with boot(
        workspace, overrides=settings, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        slot = HeldSlot()
        engine = asyncio.create_task(Engine(ready, slot).run())
        session = Session(Client(workspace), slot, ready.context)
        await until(lambda: session.client.snapshot().incumbent is not None)
        yield session
        if not ready.context.stopping:  # an engine that is ending answers nobody
            await session.ask("stop", now=True)
        slot.free.set()
        assert await asyncio.wait_for(engine, 20) == 0
        session.client.close()


# ---- killing, stopping, going on ----------------------------------------------------------------------------


async def test_a_killed_training_is_nobodys_failure_and_its_child_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.slot.free.clear()
        child = await here.trains(Purpose.SCREEN)
        for _ in range(4):  # more often than trainings may be lost to outside causes
            count = len(here.client.experiments(child.id))
            answer = await here.ask("kill", again=True)
            assert answer.answer == f"Ending the training of #{child.id}; it trains again."
            await until(lambda: len(here.client.experiments(child.id)) > count)  # noqa: B023
        answer = await here.ask("kill")
        assert answer.answer == f"Ending the training of #{child.id}; it is dropped."
        await until(lambda: here.client.candidate(child.id).verdict is not None)
        gone = here.client.candidate(child.id)
        assert (gone.verdict, gone.state) == (Verdict.DROPPED, CandidateState.DROPPED)
        assert gone.verdict_reason == "Killed by a tester."
        assert (gone.scores, gone.outcome) == ((), None)
        trained = here.client.experiments(child.id)
        assert {(e.outcome, e.val_bpb) for e in trained} == {(Outcome.VOID, None)}
        assert [e.killed for e in trained] == ["again"] * 4 + ["drop"]
        assert here.client.snapshot().failures == 0
        await until(lambda: (now := here.client.snapshot().running) is not None and now.candidate.id != child.id)  # fmt: skip
        assert any("asked to kill" in text for text in here.told("command"))


async def test_a_stop_is_taken_back_or_made_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.slot.free.clear()
        child = await here.trains(Purpose.SCREEN)
        assert (await here.ask("stop")).answer == "Stopping after the training in the slot."
        assert here.client.snapshot().engine.state == "stopping"
        assert (await here.ask("resume")).answer == "Running; the stop is taken back."
        assert here.client.snapshot().engine.state == "running"
        here.slot.free.set()
        await until(lambda: here.client.candidate(child.id).verdict is not None)
        made = here.client.snapshot().candidates
        await until(lambda: here.client.snapshot().candidates > made)  # the nursery goes on too
        here.slot.free.clear()
        await until(lambda: here.slot.holds)
        await here.ask("stop")
        now = await here.ask("stop", now=True)
        assert now.state is DONE, now.answer
    assert here.context.stop_reason == "Stopped by a tester."


# ---- approval -----------------------------------------------------------------------------------------------


async def test_children_wait_for_a_person_and_the_slot_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, **{"approval.required": "true"}) as here:
        await until(lambda: len(here.client.snapshot().queue) >= 2)
        await until(lambda: here.told("approval") != [])
        snapshot = here.client.snapshot()
        first, second, *_ = snapshot.awaiting
        assert snapshot.awaiting == tuple(c.id for c in snapshot.queue)
        assert snapshot.running is None
        (told,) = here.told("approval")
        assert told.startswith("The slot is idle: ")

        assert (await here.ask("approve", candidate=second)).answer == f"#{second} may train."
        await until(lambda: here.client.candidate(second).scores != ())
        assert here.client.candidate(first).scores == ()
        again = await here.ask("approve", candidate=second)
        assert (again.state, "can be approved" in again.answer) == (REFUSED, True)

        await here.ask("reject", candidate=first, reason="too slow")
        turned_down = here.client.candidate(first)
        assert turned_down.verdict_reason == "Turned down by a tester: too slow"
        (event,) = (e for e in here.client.events(0, 5000) if e.kind == "refused" and e.data.get("reason") == "too slow")  # fmt: skip
        assert event.candidate == turned_down.parents[0]

        mine = here.context.lineage.source(here.client.candidate(1).commit) + "MINE = 5\n" * 6
        injected = await here.ask("inject", source=mine, title="mine")
        number = int(injected.answer.split("#")[1].rstrip("."))
        await until(lambda: here.client.candidate(number).scores != ())
        experiments = here.client.snapshot().experiments
        await until(lambda: here.client.snapshot().awaiting != ())

        await here.ask("set", key="approval.required", value="false")
        await until(lambda: here.client.snapshot().experiments > experiments + 2)
        off = await here.ask("approve", candidate=here.context.journal.next_candidate_id() - 1)
        assert off.state is REFUSED


# ---- boosting and measuring again ---------------------------------------------------------------------------


async def test_a_boost_is_used_up_by_children_and_survives_the_engine(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        await until(lambda: len(here.client.snapshot().population) >= 3)
        here.slot.free.clear()
        favourite = here.client.snapshot().population[-1].id
        await here.ask("pin", candidate=favourite)  # else somebody better might take its place
        await here.ask("set", key="population.buffer", value="1")
        known = here.context.journal.next_candidate_id()
        assert (await here.ask("boost", candidate=favourite, times=4)).answer == (
            f"#{favourite} is boosted: the next 4 children have it as a parent."
        )
        assert here.client.candidate(favourite).boosted in (3, 4)  # a child may have come by now
        assert (await here.ask("boost", candidate=favourite, times=99)).state is REFUSED
    left = here.client.candidate(favourite).boosted
    async with running(tmp_path) as here:
        assert here.client.candidate(favourite).boosted <= left
        await until(lambda: here.client.candidate(favourite).boosted == 0)
        made = here.client.candidates(after=known - 1)
        assert sum(favourite in c.parents for c in made) >= 4
        assert not any("ends" in text for text in here.told("population"))


async def test_a_wish_for_another_training_is_fulfilled(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        child = await here.trains(Purpose.SCREEN)
        await until(lambda: here.client.candidate(child.id).verdict is not None)
        before = here.client.candidate(child.id)
        asked = await here.ask("remeasure", candidate=child.id, times=2)
        assert asked.answer.startswith(f"#{child.id} is measured 2 times more with fresh seeds")
        await until(lambda: here.client.candidate(child.id).wanted == 0)
        again = here.client.candidate(child.id)
        assert len(again.scores) >= len(before.scores) + 2
        wished = [e for e in here.client.experiments(child.id) if e.wished]
        assert [e.purpose for e in wished] == [Purpose.CONFIRM] * 2
        assert len({e.seed for e in here.client.experiments(child.id)}) == len(again.scores)
        assert again.state is CandidateState.JUDGED
        main = here.client.snapshot().incumbent
        assert main is not None
        await here.ask("remeasure", candidate=main.id)
        await until(lambda: here.client.candidate(main.id).wanted == 0)
        assert here.client.experiments(main.id)[-1].purpose is Purpose.INCUMBENT
