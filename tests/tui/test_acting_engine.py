"""Keys of the app against a real engine: what is asked for is done, and shown once it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.client import Client
from evolve.model import CandidateState, Verdict
from tests.evolve.test_acts import running
from tests.evolve.test_engine import until
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
