"""Killed at each step of a call and of a request: nothing is bought twice, nothing paid is lost, nothing is done twice.

Real engines, killed by themselves at named crash points, against a server on loopback that counts what it is asked.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from evolve.boot import boot
from evolve.client import Client
from evolve.model import CommandState
from evolve.propose import pricing
from evolve.propose.operators import Usage
from evolve.sections import Llm
from evolve.spending import ABANDONED
from evolve.steering import Steering
from evolve.workspace import create
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Request
from tests.evolve.night import edit
from tests.evolve.slots import overrides
from tests.evolve.test_paid_answers import MODEL, calls, change, start

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

MISFIT = Answer("Title: misfit\n\n" + edit("THIS = 'stands nowhere'", "THIS = 1"))
PAD = """# Summary

Softer caps were tried.

# Insights

- A cap of 16 costs nothing.

# Recommendations

- Try a cap of 20.
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    create(folder)
    return folder


def settings_of(tmp_path: Path, **more: str) -> dict[str, str]:
    asked = {"llm.proposer": "claude", "stop.candidates": "1", "population.buffer": "1"}
    return overrides(tmp_path, **(asked | {"scratchpad.every": "0"} | more))


def killed_and_started_again(
    workspace: Path, settings: dict[str, str], url: str, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CRASH", point)
    first = start(workspace, "live", settings, url)
    said, _ = first.communicate(timeout=100)
    assert first.returncode == -signal.SIGKILL, said
    monkeypatch.delenv("AUTORESEARCH_CRASH")
    again = start(workspace, "live", settings, url)
    said, _ = again.communicate(timeout=100)
    assert again.returncode == 0, said


def billed(server: FakeAnthropic) -> float:
    """Dollars that the server has asked for: 100 tokens in and 50 out for each answer."""
    price = pricing.quote(MODEL, Llm().prices).price
    return len(server.requests) * pricing.cost(Usage(input_tokens=100, output_tokens=50), price)


@pytest.mark.parametrize(
    "point",
    [
        *("ledger.reserved", "ledger.before-answer", "ledger.answered"),
        "nursery.before-journal",  # tests/fuzz dies at all others
    ],
)
def test_an_engine_killed_in_the_path_of_a_call_buys_nothing_twice_and_loses_nothing(
    workspace: Path, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeAnthropic() as server:
        server.plan += [change(number) for number in range(1, 9)]
        killed_and_started_again(workspace, settings_of(tmp_path), server.url, point, monkeypatch)
    rows = calls(workspace)
    assert not [row["id"] for row in rows if row["status"] == "reserved"]
    for row in rows:
        # The last one may have come as the run ended: it waits for whoever goes on.
        if row["status"] == "answered" and row is not rows[-1]:
            assert row["candidate"] is not None or row["outcome"], row["id"]
    answered = [row for row in rows if row["status"] == "answered"]
    lost = [row for row in rows if row["error"] == ABANDONED]
    assert len(lost) == (point in ("ledger.reserved", "ledger.before-answer"))
    # A request whose answer was stored is never sent again; one that was not sent at all is only booked.
    assert len(server.requests) == len(answered) + (point == "ledger.before-answer")
    assert sum(row["dollars"] for row in rows) >= billed(server) - 1e-9


def test_a_misfit_is_put_right_by_the_next_engine_and_not_bought_again(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeAnthropic() as server:
        server.plan += [MISFIT, change(1)]
        killed_and_started_again(
            workspace, settings_of(tmp_path), server.url, "ledger.reserved:2", monkeypatch
        )
        first, second = server.requests
    turns = second.body["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0] == first.body["messages"][0]
    misfit, cut, put_right = calls(workspace)
    assert (cut["status"], cut["error"]) == ("failed", ABANDONED)
    assert json.loads(put_right["brief"])["corrects"] == misfit["id"]
    assert misfit["candidate"] == put_right["candidate"] is not None
    assert "not in the file" in misfit["outcome"]


def test_a_correction_that_was_paid_for_is_used_with_what_it_corrects(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeAnthropic() as server:
        server.plan += [MISFIT, change(1)]
        killed_and_started_again(
            workspace, settings_of(tmp_path), server.url, "ledger.answered:2", monkeypatch
        )
        assert len(server.requests) == 2
    misfit, put_right = calls(workspace)
    assert misfit["candidate"] == put_right["candidate"] is not None


def test_a_scratchpad_that_was_paid_for_is_written_down_by_the_next_engine(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        is_pad = "Recommendations" in str(request.body["messages"][-1])
        return Answer(PAD) if is_pad else change(len(asked))

    settings = settings_of(tmp_path, **{"scratchpad.every": "2", "stop.candidates": "3"})
    with FakeAnthropic() as server:
        server.plan += [answer] * 50
        killed_and_started_again(
            workspace, settings, server.url, "scratchpad.before-write", monkeypatch
        )
    pads = [row for row in calls(workspace) if row["operator"] == "scratchpad"]
    assert pads[0]["outcome"] == "It is version 1 of the scratchpad."
    assert len(pads) == sum("Recommendations" in str(r.body["messages"][-1]) for r in asked)
    with closing(Client(workspace)) as client:
        note = client.scratchpads()[-1]
        assert (note.source, "A cap of 16" in note.text) == ("model", True)


# An engine as a keeper starts it after a fault; ends once nobody waits for an answer any more.
GOES_ON = """
import asyncio, json, sys
from pathlib import Path
from evolve.boot import boot
from evolve.engine import Engine
from tests.evolve.night import NightSlot

async def live(ready) -> None:
    running = asyncio.create_task(Engine(ready, NightSlot(1)).run())
    while ready.context.journal.pending_commands():
        await asyncio.sleep(0.02)
    ready.context.stop("Nobody waits any more.")
    await running

settings = json.loads(sys.argv[2])
with boot(Path(sys.argv[1]), overrides=settings, name=None, allow_weak_sandbox=True, on_event=None,
          again=True) as ready:
    asyncio.run(live(ready))
"""


def go_on(workspace: Path, settings: dict[str, str], crash: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", GOES_ON, str(workspace), json.dumps(settings)],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"ANTHROPIC_API_KEY": "", "AUTORESEARCH_CRASH": crash},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def test_requests_are_carried_out_exactly_once_across_kills(
    workspace: Path, tmp_path: Path
) -> None:
    """The engine dies at the effect and before the answer of each; the one that goes on does what is left, once."""
    settings = settings_of(tmp_path, **{"llm.proposer": "builtin", "stop.candidates": "3"})
    first = start(workspace, "live", settings, "")
    said, _ = first.communicate(timeout=100)
    assert first.returncode == 0, said
    settings["stop.candidates"] = "60"
    with closing(Client(workspace)) as client:
        source = client.source(1).replace("SOFTCAP = 15.0", "SOFTCAP = 19.0")
    wanted: dict[str, dict[str, object]] = {
        "inject": {"source": source, "title": "by hand"},
        "set": {"key": "population.size", "value": "5"},
        "boost": {"candidate": 1, "times": 7},
    }
    with closing(Client(workspace)) as client:
        numbers = [client.send(verb, args, "a tester") for verb, args in wanted.items()]
        deaths = [
            go_on(workspace, settings, f"{point}:{passage}")
            for passage in (1, 2)
            for point in ("command.before-effect", "command.before-answer")
        ]
        # The second passage is that of the second request: the first is answered by then, and stays so.
        assert deaths.count(-signal.SIGKILL) == 4
        assert go_on(workspace, settings, "") == 0
        for number in numbers:
            done = client.wait_for(number, 5)
            assert done is not None
            assert done.state is CommandState.DONE, done.answer
        events = client.events(0, 10_000)
        for number in numbers:
            assert sum(event.data.get("command") == number for event in events) == 1
        assert sum(c.title == "by hand" for c in client.candidates()) == 1
        assert sum("at the wish of a tester" in event.text for event in events) == 1
        assert [c.new for c in client.setting_changes() if c.key == "population.size"] == ["5"]
    with closing(sqlite3.connect(workspace / ".autoresearch" / "journal.db")) as db:
        assert (
            db.execute("SELECT count(*) FROM candidate WHERE title = 'by hand'").fetchone()[0] == 1
        )


def test_who_asks_while_the_engine_ends_is_told_so(workspace: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, **{"llm.proposer": "builtin", "stop.candidates": "60"})
    with boot(
        workspace, overrides=settings, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        steering = Steering(
            ready.context,
            on_settings=lambda keys: None,
            on_trim=lambda: None,
            on_kill=lambda reason: None,
        )
        with closing(Client(workspace)) as client:
            numbers = [client.send(verb, {}, "a tester") for verb in ("pause", "stop")]
            steering.close()
            paused, stopped = (client.wait_for(number, 5) for number in numbers)
    assert paused is not None
    assert stopped is not None
    assert (paused.state, stopped.state) == (CommandState.REFUSED, CommandState.DONE)
    assert paused.answer == (
        "The run has ended; `autoresearch run` goes on with it, then ask again."
    )
    assert not ready.context.paused
