"""What a killed runner leaves behind is ended at the next start, and a living experiment never is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness import reaper

# A runner, and what its candidate left: a daemon in a session of its own that holds our pipe.
RUNNER = """
import os, subprocess, sys
from harness import identity, reaper
daemon = "import os, time; print('daemon', os.getpid(), flush=True); time.sleep(60)"
environment = {reaper.RUNNER: identity.me(), reaper.EXPERIMENT: sys.argv[1]}
subprocess.Popen([sys.executable, "-I", "-S", "-c", daemon], env=environment, start_new_session=True)
sys.stdin.read()
"""


def start(name: str) -> tuple[subprocess.Popen[str], int]:
    """A runner, and the pid of its daemon."""
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout
    return runner, int(runner.stdout.readline().split()[1])


def test_only_the_orphans_of_dead_runners_are_ended() -> None:
    dead, orphan = start(f"dead-{os.getpid()}")
    alive, daemon = start(f"alive-{os.getpid()}")
    dead.kill()
    dead.wait()
    assert Path(f"/proc/{orphan}").exists()  # nobody else ends it
    names = reaper.reap()
    assert f"dead-{os.getpid()}" in names
    assert f"alive-{os.getpid()}" not in names
    assert dead.stdout
    assert dead.stdout.read() == ""  # the orphan held it
    assert Path(f"/proc/{daemon}").exists()
    alive.kill()
    alive.wait()
    assert f"alive-{os.getpid()}" in reaper.reap()
    for runner in (dead, alive):
        assert runner.stdin
        assert runner.stdout
        runner.stdin.close()
        runner.stdout.close()
