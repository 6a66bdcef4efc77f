"""One engine per workspace, proved by the kernel and not by a file's presence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evolve.lock import EngineLock, holder
from evolve.model import EvolveError

HOLD = """
import sys
from pathlib import Path
from evolve.lock import EngineLock
with EngineLock(Path(sys.argv[1])) as lock:
    lock.beat("thinking")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_engine_is_told_who_works_here(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "held\n"
        seen = holder(path)
        assert seen is not None
        assert (seen.pid, seen.alive, seen.doing) == (engine.pid, True, "thinking")
        with (
            pytest.raises(EvolveError, match=rf"Another engine \(pid {engine.pid}\) works here"),
            EngineLock(path),
        ):
            pass
        os.kill(engine.pid, signal.SIGKILL)
        engine.wait()
    dead = holder(path)
    assert dead is not None
    assert not dead.alive
    with EngineLock(path):
        assert holder(path) is not None
    assert holder(path) is None


# Tries for the lock each time it is told to, keeps what it got until it is told again, and says how it went.
CONTEND = """
import sys
from pathlib import Path
from evolve.lock import EngineLock
from evolve.model import EvolveError
for _ in sys.stdin:
    try:
        with EngineLock(Path(sys.argv[1])):
            print("won", flush=True)
            sys.stdin.readline()
    except EvolveError as refusal:
        print(refusal, flush=True)
        sys.stdin.readline()
    print("over", flush=True)
"""


def test_of_two_engines_started_at_once_one_works_and_the_other_says_who(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    line = [sys.executable, "-c", CONTEND, str(path)]
    two = [
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(2)
    ]

    def tell() -> list[str]:
        for engine in two:
            assert engine.stdin is not None
            engine.stdin.write("\n")
        return [engine.stdout.readline().strip() for engine in two if engine.stdout is not None]

    winners = []
    for _ in range(50):
        said = tell()
        assert sorted(word == "won" for word in said) == [False, True], said
        winner = said.index("won")
        winners.append(winner)
        assert f"Another engine (pid {two[winner].pid}) works here" in said[1 - winner]
        assert tell() == ["over", "over"]
        assert holder(path) is None
    for engine in two:
        engine.communicate(timeout=10)


def test_an_engine_that_hangs_holds_its_lock_and_gives_no_sign_of_life(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    with EngineLock(path) as lock:
        lock.beat()
        os.utime(
            path, (path.stat().st_atime, path.stat().st_mtime - 40)
        )  # as if it were stopped since
        seen = holder(path)
        assert seen is not None
        assert seen.alive
        assert 39 < seen.heartbeat_age < 60
        lock.beat()
        again = holder(path)
        assert again is not None
        assert again.heartbeat_age < 5


def test_no_lock_is_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "engine.lock") is None
