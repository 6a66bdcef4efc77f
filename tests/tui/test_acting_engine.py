"""Keys of the app against a real engine: what is asked for is done, and shown once it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.client import Client
from evolve.model import CandidateState, Operator, Purpose, Verdict
from tests.evolve.test_acts import running
from tests.evolve.test_engine import until
from tests.tui.test_acting import editor
from tests.tui.test_app import Session, opened


async def answered(session: Session, client: Client) -> None:
    """Wait until the engine has answered, and the app has heard it."""
    await session.settled()
    await until(lambda: not client.snapshot().pending)
    await session.settled()
    assert "pending" not in session.shows()


@pytest.mark.e2e
async def test_pause_set_pin_and_drop_reach_the_engine(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.slot.free.clear()
        await here.trains()
        await until(lambda: len(here.client.snapshot().queue) > 1)
        client = Client(tmp_path / "work")
        async with opened(client) as session:
            await session.press("p")
            await answered(session, client)
            assert "PAUSED" in session.shows()
            before = dict(client.snapshot().settings)["population.size"]
            await session.press("plus")
            await answered(session, client)
            assert dict(client.snapshot().settings)["population.size"] == str(int(before) + 1)
            await session.press("P")
            await answered(session, client)
            assert client.candidate(1).pinned
            assert "pinned: " in session.shows()
            await session.press("tab", "x", "y")
            await answered(session, client)
            dropped = [c for c in client.candidates() if c.verdict is Verdict.DROPPED]
            assert [c.state for c in dropped] == [CandidateState.DROPPED]
            await session.press("colon", *"boost 1 2", "enter")
            await answered(session, client)
            assert client.candidate(1).boosted == 2
            await session.press("colon", *"boost 99", "enter")
            await answered(session, client)
            assert "Refused: There is no candidate #99." in session.shows()
        client.close()


@pytest.mark.e2e
async def test_every_other_acting_key_reaches_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Boost, wish, ban, queue, settings, undo, approval, a script of one's own, kill, and stop."""
    async with running(tmp_path) as here:
        here.slot.free.clear()
        child = await here.trains(Purpose.SCREEN)
        await until(lambda: len(here.client.snapshot().queue) > 1)
        client = here.client
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        async with opened(Client(tmp_path / "work")) as session:

            async def press(*keys: str) -> None:
                await session.press(*keys)
                await answered(session, client)

            def size() -> int:
                return int(dict(client.snapshot().settings)["population.size"])

            await press("b")
            assert client.candidate(1).boosted == 3
            await press("b")
            assert client.candidate(1).boosted == 0
            await press("r")
            assert client.candidate(1).wanted == 1
            await press("r")
            assert client.candidate(1).wanted == 0
            before = size()
            await press("plus")
            await press("minus")
            await press("minus")
            assert size() == before - 1
            await press("u")
            assert size() == before
            first, second = (c.id for c in client.snapshot().queue[:2])
            await press("tab", "J")
            assert [c.id for c in client.snapshot().queue[:2]] == [second, first]
            await press("K")
            assert [c.id for c in client.snapshot().queue[:2]] == [first, second]
            await press("A")
            assert dict(client.snapshot().settings)["approval.required"] == "true"
            await press("a")
            assert client.candidate(first).approved
            await press("A")
            assert dict(client.snapshot().settings)["approval.required"] == "false"
            await press("5", "slash", *"buffer", "enter", "plus")
            assert dict(client.snapshot().settings)["population.buffer"] == "3"
            await press("o")
            assert dict(client.snapshot().settings)["population.buffer"] == "2"
            await press("slash", *"bandit.enabled", "enter", "space")
            assert dict(client.snapshot().settings)["bandit.enabled"] == "false"
            editor(tmp_path, "sed -i 's/^WARMDOWN = .*/WARMDOWN = 0.61/' \"$1\"", monkeypatch)
            await press("1", "tab", "i")
            await until(lambda: any(c.operator is Operator.HUMAN for c in client.candidates()))
            await press("X", "y")
            await until(lambda: client.candidate(child.id).verdict is Verdict.DROPPED)
            await press("2", "G", "g", "B", "y")
            banned = [c for c in client.candidates() if c.banned]
            assert len(banned) == 1
            await press("B")
            assert not client.candidate(banned[0].id).banned
            await press("Q", *"stop", "enter")
            assert client.snapshot().engine.state == "stopping"
        here.slot.free.set()
