"""Trainings that are lost to causes outside them: pure rules, and engines whose slot loses what it is given."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from evolve import outages, room
from evolve.boot import boot
from evolve.client import Client
from evolve.engine import Engine
from evolve.machinewatch import MachineWatch
from evolve.model import DiskFull, Verdict
from evolve.outages import AGAIN, STRANGE, TRIES, Outages
from evolve.workspace import create
from harness.spec import Cause, ExperimentSpec, Outcome, Result
from tests.evolve.slots import ShortSlot, overrides
from tests.evolve.test_engine import ask, until


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def lost(cause: Cause) -> Result:
    return Result(Outcome.VOID, "Something outside it failed.", cause=cause)


# ---- the rules -------------------------------------------------------------------------------------------


def test_a_device_that_loses_three_trainings_in_a_row_pauses_the_run() -> None:
    rules = Outages(Clock())
    steps = [rules.after(lost(Cause.DEVICE_LOST)) for _ in range(TRIES)]
    assert [bool(step.pause) for step in steps] == [False, False, True]
    assert 0 < steps[0].rest < steps[1].rest
    assert "nvidia-smi" in steps[-1].pause
    assert "every 10 minutes" in steps[-1].pause


def test_faults_without_a_name_get_more_patience_and_a_score_ends_the_count() -> None:
    rules = Outages(Clock())
    for _ in range(3):
        for _ in range(STRANGE - 1):
            assert rules.after(lost(Cause.NONE)).pause == ""
        assert rules.after(Result(Outcome.OK, "It ended.", val_bpb=1.0)).rest == 0.0


@pytest.mark.parametrize("cause", [Cause.SUSPENDED, Cause.LEASE, Cause.SIGNAL])
def test_what_is_explained_never_pauses_a_run(cause: Cause) -> None:
    rules = Outages(Clock())
    assert {rules.after(lost(cause)) for _ in range(50)} == {outages.Step()}


def test_a_run_that_paused_by_itself_looks_again_and_another_loss_pauses_it_at_once() -> None:
    clock = Clock()
    rules = Outages(clock)
    why = [rules.after(lost(Cause.DEVICE_HUNG)) for _ in range(TRIES)][-1].pause
    assert not rules.due(why)
    clock.now += AGAIN
    assert rules.due(why)
    assert not rules.due("Paused by ann.")  # that is hers to end
    rules.wait()
    assert not rules.due(why)
    clock.now += AGAIN
    assert rules.due(why)
    rules.try_again()
    assert not rules.due(why)
    assert rules.after(lost(Cause.DEVICE_HUNG)).pause


# ---- engines ---------------------------------------------------------------------------------------------


class LosingSlot(ShortSlot):
    """Loses trainings of children as it is told, the baseline's never."""

    def __init__(self) -> None:
        super().__init__()
        self.next: list[Result] = []  # what the next children come to
        self.repeats: list[Result] = []  # what the next repeats of the baseline come to
        self.base = ""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        self.base = self.base or spec.source
        honest = await super().run(spec, directory)
        todo = self.repeats if spec.source == self.base else self.next
        return todo.pop(0) if todo else honest


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    create(folder)
    return folder


async def test_a_lost_device_pauses_the_run_which_goes_on_when_it_is_back(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "RESTS", (0.0,))
    monkeypatch.setattr(outages, "AGAIN", 0.5)
    monkeypatch.setattr("evolve.engine.RETRY", 0.1)
    slot = LosingSlot()
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        engine = asyncio.create_task(Engine(ready, slot).run())
        client = Client(workspace)
        await until(lambda: client.snapshot().incumbent is not None)
        slot.next = [lost(Cause.DEVICE_LOST)] * TRIES
        await until(lambda: client.snapshot().engine.state == "paused")
        seen = client.snapshot()
        assert seen.run.reason.startswith(f"{TRIES} trainings in a row were lost")
        assert seen.pause is None  # nobody asked for it
        await until(lambda: client.snapshot().engine.state == "running")
        count = client.snapshot().experiments
        await until(lambda: client.snapshot().experiments > count + 3)
        # The candidate that was lost is trained, for it was not its fault.
        voids = [c for c in client.candidates() if c.verdict is Verdict.DROPPED]
        assert voids == []
        await ask(client, "stop", now=True)
        assert await asyncio.wait_for(engine, 20) == 0


async def test_a_child_whose_trainings_are_always_lost_is_set_aside_and_the_run_goes_on(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "RESTS", (0.0,))
    slot = LosingSlot()
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        engine = asyncio.create_task(Engine(ready, slot).run())
        client = Client(workspace)
        await until(lambda: client.snapshot().incumbent is not None)
        slot.next = [lost(Cause.SUSPENDED)] * 4 + [lost(Cause.METER_DIED)] * 3
        await until(lambda: any(c.verdict is Verdict.DROPPED for c in client.candidates()))
        aside = [c for c in client.candidates() if c.verdict is Verdict.DROPPED]
        assert len(aside) == 1
        told = [e.text for e in client.events(0, 1000) if e.candidate == aside[0].id]
        assert any("was lost 3 times" in text for text in told), told
        causes = [e.cause for e in client.experiments(aside[0].id)]
        assert causes[-3:] == [Cause.METER_DIED] * 3
        assert client.snapshot().engine.state == "running"
        await ask(client, "stop", now=True)
        assert await asyncio.wait_for(engine, 20) == 0


async def test_a_baseline_that_fails_when_it_is_measured_again_ends_no_run(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evolve.engine.RETRY", 0.1)
    crash = Result(Outcome.CRASH, "RuntimeError: not today", seed=0)
    slot = LosingSlot()
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        engine = asyncio.create_task(Engine(ready, slot).run())
        client = Client(workspace)
        await until(lambda: client.snapshot().incumbent is not None)
        better = (workspace / "trainer" / "train.py").read_text() + "\n".join(
            f"BETTER_{n} = {n}" for n in range(6)
        )
        await ask(client, "inject", source=better, title="mine")
        await until(lambda: client.snapshot().promotions == 1)
        slot.repeats = [crash]
        await ask(client, "remeasure", candidate=1, times=1)
        await until(lambda: any(e.outcome is Outcome.CRASH for e in client.experiments(1)))
        count = client.snapshot().experiments
        await until(lambda: client.snapshot().experiments > count + 2)
        assert client.candidate(1).verdict is Verdict.BASELINE
        await ask(client, "stop", now=True)
        assert await asyncio.wait_for(engine, 20) == 0


async def test_it_is_told_before_the_disk_is_full_and_waited_for_while_a_commit_still_fits(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        journal, free = ready.context.journal, 10 << 30
        monkeypatch.setattr(
            "evolve.machinewatch.room.rooms",
            lambda folders: [room.Room(workspace, free, 100 << 30)],
        )
        monkeypatch.setattr("evolve.machinewatch.ROOM_EVERY", 1)
        watch = MachineWatch(ready.context, ready.lock)

        def told() -> list[str]:
            return [e.text for e in journal.events() if e.kind == "fault"]

        watch.look()
        assert told() == []
        free = 900 << 20
        watch.look()
        watch.look()
        assert [text[:19] for text in told()] == ["The disk fills up ("]
        free = 60 << 20
        with pytest.raises(DiskFull, match="almost full"):
            watch.look()
        assert told()[-1].startswith("The disk is almost full (60 MB of 100.0 GB left for ")


async def test_a_machine_that_slept_is_told_of(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        asleep = 7.0
        monkeypatch.setattr("evolve.machinewatch.mishaps.asleep", lambda: asleep)
        watch = MachineWatch(ready.context, ready.lock)
        asleep += 1.0
        watch.look()
        asleep += 754.0
        watch.look()
        told = [e.text for e in ready.context.journal.events() if e.kind == "fault"]
        assert told == [
            "The machine slept for 12.6 min; a training that ran meanwhile is void and is done again."
        ]
