"""What was paid for is used: an engine killed between an answer and its child, and the money of calls left open.

The engine is a process of its own and is killed for real, by itself at the very step, so that nothing depends on luck.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from evolve.boot import boot
from evolve.client import Client
from evolve.engine import Engine
from evolve.model import CommandState
from evolve.workspace import create
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Request
from tests.evolve.night import KEY, NightSlot, edit
from tests.evolve.test_engine import overrides, until

MODEL = "claude-opus-5-5"

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]

# Runs an engine; with "kill" as its second argument it dies by SIGKILL at the first git command behind an answer,
# which is the commit of the child.
ENGINE = """
import json, os, signal, sqlite3, sys
from pathlib import Path
from evolve.serving import serve
from tests.evolve.night import NightSlot

workspace, how, settings = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def answered() -> bool:
    with sqlite3.connect(f"file:{workspace}/.autoresearch/journal.db?mode=ro", uri=True) as db:
        sql = "SELECT count(*) FROM llm_call WHERE status = 'answered' AND candidate IS NULL"
        return db.execute(sql).fetchone()[0] > 0

looking = False
def hook(event: str, args: tuple) -> None:
    global looking
    if event == "subprocess.Popen" and not looking:
        looking = True
        if "commit-tree" in args[1] and answered():
            os.kill(os.getpid(), signal.SIGKILL)
        looking = False

if how == "kill":
    sys.addaudithook(hook)
sys.exit(serve(workspace, overrides=settings, allow_weak_sandbox=True, slot=NightSlot(1)))
"""


def start(workspace: Path, how: str, settings: dict[str, str], url: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(workspace), how, json.dumps(settings)],
        cwd=root,
        env=os.environ | {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def calls(workspace: Path) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(workspace / ".autoresearch" / "journal.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM llm_call ORDER BY id").fetchall()


def change(number: int) -> Answer:
    old = "SOFTCAP = 15.0  # logits stay within ±15"
    return Answer(
        f"Title: Softer by {number}\nCategory: architecture\nHypothesis: It may help.\n\n"
        + edit(old, old.replace("15.0", f"{15 + number}.0"))
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    create(folder)
    return folder


def test_an_answer_paid_for_before_a_kill_is_used_and_not_bought_again(
    workspace: Path, tmp_path: Path
) -> None:
    settings = overrides(tmp_path) | {
        "llm.proposer": "claude",
        "stop.candidates": "1",
        "population.buffer": "1",
        "scratchpad.every": "0",
    }
    with FakeAnthropic() as server:
        server.plan += [change(1)]
        killed = start(workspace, "kill", settings, server.url)
        said, _ = killed.communicate(timeout=90)
        assert killed.returncode == -signal.SIGKILL, said
        (call,) = calls(workspace)
        assert (call["status"], call["candidate"], call["outcome"]) == ("answered", None, "")
        assert len(server.requests) == 1

        # The server has nothing more to say: whoever asks again fails.
        again = start(workspace, "live", settings, server.url)
        told, _ = again.communicate(timeout=90)
        assert again.returncode == 0, told
        assert len(server.requests) == 1
    (call,) = calls(workspace)
    with closing(Client(workspace)) as client:
        child = client.candidate(call["candidate"])
        assert (child.title, child.proposer, child.model) == (
            "Softer by 1",
            "claude",
            MODEL,
        )
        assert child.verdict is not None
        events = [event.text for event in client.events(0, 1000)]
    assert any("paid for before the engine ended, is used now: “Softer by 1”" in e for e in events)
    for path in workspace.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in said + told


def test_money_of_a_call_that_the_engine_did_not_survive_is_booked_at_the_next_start(
    workspace: Path, tmp_path: Path
) -> None:
    settings = overrides(tmp_path) | {
        "llm.proposer": "claude",
        "stop.candidates": "1",
        "scratchpad.every": "0",
    }
    with FakeAnthropic() as server:
        server.plan += [Answer("x" * 100, hang=True)]
        engine = start(workspace, "live", settings, server.url)
        assert server.hanging.wait(60)
        engine.kill()
        engine.communicate(timeout=30)
        (reserved,) = calls(workspace)
        assert reserved["status"] == "reserved"
        server.plan += [change(number) for number in range(1, 9)]
        again = start(workspace, "live", settings, server.url)
        told, _ = again.communicate(timeout=90)
        assert again.returncode == 0, told
    lost = calls(workspace)[0]
    assert (lost["status"], lost["dollars"]) == ("failed", reserved["dollars"])
    assert "The engine ended during this call" in lost["error"]
    assert not [call for call in calls(workspace) if call["status"] == "reserved"]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault(401, "authentication_error"), "did not accept the key in ANTHROPIC_API_KEY"),
        (Fault(402, "billing_error"), "no credit left"),
        (Fault(403, "permission_error"), "may not use the model"),
        (Fault(404, "not_found_error"), "knows no model"),
    ],
)
def test_a_fault_in_the_middle_of_a_run_rests_the_model_until_a_person_acts(
    workspace: Path,
    tmp_path: Path,
    fault: Fault,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mended = threading.Event()
    asked: list[Request] = []

    def answer(request: Request) -> Answer | Fault:
        asked.append(request)
        return fault if len(asked) >= 3 and not mended.is_set() else change(len(asked))

    async def people(engine: Engine) -> None:
        running = asyncio.create_task(engine.run())
        with closing(Client(workspace)) as client:

            def told(words: str) -> bool:
                return any(words in event.text for event in client.events(0, 5000))

            await until(lambda: told(sentence))
            heard, trained = len(asked), client.snapshot().experiments
            # The built-in proposer feeds the slot; the model is not asked, whatever else is set.
            client.send("set", {"key": "population.size", "value": "5"}, "a tester")
            await until(lambda: client.snapshot().experiments >= trained + 5)
            assert len(asked) == heard
            # The same name once more: a person has put it right.
            mended.set()
            number = client.send("set", {"key": "llm.model", "value": MODEL}, "a tester")
            done = await asyncio.to_thread(client.wait_for, number, 20)
            assert done.state is CommandState.DONE, done.answer
            await until(lambda: told("answered again after 1 failed call"))
            client.send("stop", {}, "a tester")
            assert await asyncio.wait_for(running, 30) == 0

    with FakeAnthropic() as server:
        server.plan += [answer] * 500
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        settings = overrides(tmp_path) | {"llm.proposer": "claude", "scratchpad.every": "0"}
        with boot(
            workspace, overrides=settings, name=None, allow_weak_sandbox=True, on_event=None
        ) as ready:
            asyncio.run(people(Engine(ready, NightSlot(1))))
