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


def test_no_lock_is_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "engine.lock") is None
