"""An engine that dies is started again, within limits; one that comes to its own end is not.

The engines here are small real processes that the keeper spawns; tests/tui/test_kept.py has whole ones.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from evolve import keeper
from evolve.keeper import FAULT, FORGIVEN, HOUR, PAUSES, Death, Deaths, Keeper
from evolve.lock import holder
from evolve.places import KEEPER, STATE

BEGUN = "echo begun >&$LINE; "


class Engines:
    """Spawns shell scripts in turn, as engines; remembers the words that each one got."""

    def __init__(self, *scripts: str) -> None:
        self._scripts: Iterator[str] = iter(scripts)
        self.words: list[tuple[str, ...]] = []
        self.pids: list[int] = []

    def __call__(self, words: Sequence[str], line: int) -> int:
        self.words.append(tuple(words))
        script = next(self._scripts)
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", script],
            {"LINE": "9", "PATH": os.defpath},
            setsid=True,
            setsigmask=(),
            file_actions=[(os.POSIX_SPAWN_DUP2, line, 9)],
        )
        self.pids.append(pid)
        return pid


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose keeper is in a hurry."""
    monkeypatch.setattr(keeper, "PAUSES", (0.05,))
    (tmp_path / STATE).mkdir()
    return tmp_path


@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_an_end_that_the_engine_knows_is_passed_on(folder: Path, code: int) -> None:
    engines, said = Engines(f"{BEGUN} exit {code}"), list[str]()
    assert Keeper(folder, engines, said.append, 5).keep() == code
    assert (engines.words, said) == ([()], [])
    assert not (folder / STATE / KEEPER).exists()


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("kill -KILL $$", "The engine was killed (SIGKILL) at "),
        ("kill -SEGV $$", "The engine was killed (SIGSEGV) at "),
        (
            f"echo fault ValueError: off >&$LINE; exit {FAULT}",
            "The engine met a fault of its own (ValueError: off) at ",
        ),
    ],
)
def test_an_engine_that_dies_is_followed_by_another_one(folder: Path, end: str, words: str) -> None:
    engines, said = Engines(BEGUN + end, "exit 0"), list[str]()
    assert Keeper(folder, engines, said.append, 5).keep() == 0
    assert engines.words[0] == ()
    assert engines.words[1][0] == "--after"
    assert engines.words[1][1].startswith(words)
    assert [line.endswith("; it is started again in 0 s.") for line in said] == [True]


def test_meanwhile_clients_see_who_will_start_another_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PAUSES", (0.5,))
    seen: list[object] = []
    timer = threading.Timer(0.25, lambda: seen.append(holder(folder / STATE / KEEPER)))
    timer.start()
    Keeper(folder, Engines(f"{BEGUN} kill -9 $$", "exit 0"), lambda _: None, 5).keep()
    timer.join()
    (found,) = seen
    assert found is not None
    assert (found.pid, found.alive) == (os.getpid(), True)  # type: ignore[attr-defined]
    assert "was killed (SIGKILL)" in found.doing  # type: ignore[attr-defined]
    assert holder(folder / STATE / KEEPER) is None  # nobody does any more


def test_it_gives_up_and_has_the_reason_written_down(folder: Path) -> None:
    dies = f"{BEGUN} kill -9 $$"
    engines, said = Engines(dies, dies, dies, "exit 0"), list[str]()
    assert Keeper(folder, engines, said.append, 2).keep() == 1
    assert [words[0] if words else "" for words in engines.words] == ["", "--after", "--after", "--bury"]  # fmt: skip
    assert "after 2 fresh starts within an hour; nothing is lost" in engines.words[-1][1]
    assert said[-1] == engines.words[-1][1]


def test_a_run_that_never_began_is_not_begun_again(folder: Path) -> None:
    engines, said = Engines("kill -9 $$"), list[str]()
    assert Keeper(folder, engines, said.append, 5).keep() == 1
    assert len(engines.words) == 1
    assert said[0].endswith("before its run began.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_who_asks_for_the_end_reaches_the_engine_once_and_gets_it(
    folder: Path, number: signal.Signals
) -> None:
    # The engine dies of the second signal, should there be one, and else of SIGKILL: told, it is not started again.
    name = number.name.removeprefix("SIG")
    script = f"trap 'trap - {name}; touch {folder}/heard' {name}; {BEGUN} touch {folder}/up; "
    script += f"while [ ! -e {folder}/heard ]; do sleep 0.02; done; sleep 0.1; kill -9 $$"
    engines = Engines(script)

    def ask() -> None:
        while not (folder / "up").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    asking = threading.Thread(target=ask)
    asking.start()
    assert Keeper(folder, engines, lambda _: None, 5).keep() == 128 + signal.SIGKILL
    asking.join()
    assert (folder / "heard").exists()
    assert len(engines.words) == 1


def test_who_asks_for_the_end_during_a_pause_gets_it_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PAUSES", (30.0,))
    engines = Engines(f"{BEGUN} kill -9 $$", "exit 0")
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    begun = time.monotonic()
    assert Keeper(folder, engines, lambda _: None, 5).keep() == 128 + signal.SIGTERM
    assert time.monotonic() - begun < 10
    assert engines.words[1][0] == "--bury"


def test_pauses_grow_and_the_number_within_an_hour_is_limited() -> None:
    deaths, now, paused = Deaths(5), 0.0, []
    for _ in range(6):
        paused.append(deaths.pause(now, now + 10))
        now += 10
    assert paused == [*PAUSES, None]
    assert deaths.pause(now + HOUR, now + HOUR + 10) == PAUSES[0]  # those are long ago


def test_a_life_of_ten_minutes_forgives_what_came_before() -> None:
    deaths = Deaths(2)
    assert [deaths.pause(0, 1), deaths.pause(2, 3)] == list(PAUSES[:2])
    assert deaths.pause(4, 4 + FORGIVEN) == PAUSES[0]
    assert Deaths(0).pause(0, 1) is None


def test_what_is_said_of_a_death_names_the_signal_or_the_fault() -> None:
    assert str(Death(-signal.SIGBUS, True, "", 0)).startswith("The engine was killed (SIGBUS) at")
    assert "signal 50" in str(Death(-50, True, "", 0))
    assert "left no word" in str(Death(FAULT, True, "", 0))


def test_a_keeper_is_small() -> None:
    """What it costs beside an engine: some 10 MB of its own and none of the libraries."""
    script = "import evolve.keeper, evolve.enginelog, sys; from harness.ptree import resident_mb; import os; "
    script += "print(round(resident_mb(os.getpid())), *sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    megabytes, *modules = out.stdout.split()
    assert int(megabytes) < 20
    assert not {"asyncio", "git", "numpy", "pydantic", "sqlite3", "torch"} & set(modules)
