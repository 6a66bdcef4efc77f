"""The engine steered while it runs: a real workspace, journal, git and proposer; only the trainings are short sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import git
import pytest

from evolve.boot import boot
from evolve.client import Client
from evolve.engine import Engine
from evolve.model import Command, CommandState
from evolve.workspace import create
from tests.evolve.slots import TRAINING, ShortSlot, overrides


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    create(folder)
    return folder


async def until(true: Callable[[], bool]) -> None:
    """Look twenty times a second; the test's own timeout ends a wait in vain."""
    while not true():  # noqa: ASYNC110 - the journal is another process's, as far as a client knows
        await asyncio.sleep(0.05)


async def ask(client: Client, verb: str, **args: object) -> Command:
    number = client.send(verb, args, "a tester")
    return await asyncio.to_thread(client.wait_for, number, 20)


async def test_an_engine_is_steered_while_it_runs(workspace: Path, tmp_path: Path) -> None:
    slot = ShortSlot()
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

        changed = await ask(client, "set", key="population.size", value="3")
        assert (changed.state, changed.answer) == (
            CommandState.DONE,
            "population.size = 3, from the next proposal on.",
        )
        refused = await ask(client, "set", key="budget.tokens", value="1")
        assert refused.state is CommandState.REFUSED
        assert "frozen in a run" in refused.answer
        assert (await ask(client, "juggle")).state is CommandState.REFUSED

        # A much better script of a person's own is confirmed, at seeds that main was measured at too.
        better = (workspace / "trainer" / "train.py").read_text() + "\n".join(
            f"BETTER_{n} = {n}" for n in range(6)
        )
        injected = await ask(client, "inject", source=better, title="mine")
        assert injected.state is CommandState.DONE, injected.answer
        again = await ask(client, "inject", source=better, title="mine again")
        assert "the same code as" in again.answer
        number = int(injected.answer.split("#")[1].rstrip("."))
        await until(lambda: client.candidate(number).verdict is not None)
        assert client.candidate(number).verdict == "promoted", client.candidate(number)
        assert slot.seeds[better][:2] == [0, 1]

        await ask(client, "pause")
        count = client.snapshot().experiments
        await asyncio.sleep(6 * TRAINING)
        assert client.snapshot().experiments <= count + 1
        queued = client.snapshot().queue
        if queued:
            dropped = await ask(client, "drop", candidate=queued[0].id)
            assert dropped.state is CommandState.DONE
        await ask(client, "resume")
        await until(lambda: client.snapshot().experiments >= count + 3)
        assert len(client.snapshot().population) <= 3

        await ask(client, "stop")
        assert await asyncio.wait_for(engine, 20) == 0
        assert client.snapshot().run.state == "stopped"
    with git.Repo(workspace) as repo:
        assert "BETTER_5 = 5" in repo.git.show("main:trainer/train.py")
        assert not repo.is_dirty()


async def test_editing_the_settings_file_counts_at_once(workspace: Path, tmp_path: Path) -> None:
    with boot(
        workspace,
        overrides=overrides(tmp_path),
        name=None,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        engine = asyncio.create_task(Engine(ready, ShortSlot()).run())
        client = Client(workspace)
        await until(lambda: client.snapshot().incumbent is not None)
        toml = workspace / "autoresearch.toml"
        toml.write_text("[population]\nsize = 5\n[budget]\ntokens = 77\n")
        await until(lambda: dict(client.snapshot().settings)["population.size"] == "5")
        told = [event.text for event in client.events(0, 1000)]
        assert any("Frozen in this run" in text and "budget.tokens" in text for text in told)
        toml.write_text("[population]\nsize = ")
        await until(lambda: any("was not taken over" in e.text for e in client.events(0, 5000)))
        assert dict(client.snapshot().settings)["population.size"] == "5"
        await ask(client, "stop")
        assert await asyncio.wait_for(engine, 20) == 0
