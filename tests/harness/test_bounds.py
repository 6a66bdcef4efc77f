"""What the kernel enforces for a candidate: limits, a group of its own, and no trace of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness import bounds, identity
from harness.bounds import Bounds
from harness.process import Supervised

needs_counting = pytest.mark.skipif(
    not any("pids.max" in wanted for wanted in bounds._places(0).values()),
    reason="no control group may be made here",
)
needs_memory = pytest.mark.skipif(
    not any("memory.limit_in_bytes" in wanted for wanted in bounds._places(1).values()),
    reason="no memory group (version 1) may be made here",
)


def start(code: str, limits: Bounds, output: int = 2) -> Supervised:
    argv = [sys.executable, "-I", "-S", "-c", code]
    return Supervised(argv, env={}, cwd=Path("/"), output=output, bounds=limits)


def test_the_limits_are_the_childs_and_not_ours() -> None:
    read, write = os.pipe()
    code = """
import resource as r
print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_FSIZE)[1], r.getrlimit(r.RLIMIT_NOFILE)[1])
"""
    child = start(code, Bounds(), write)
    os.close(write)
    with os.fdopen(read) as said:
        core, size, files = said.read().rsplit(" ", 2)
    child.close()
    assert core == "(0, 0)"
    assert int(size) <= bounds.FILE_LIMIT
    assert int(files) <= bounds.OPEN_FILES


@pytest.mark.skipif(not os.getuid(), reason="the superuser's processes are not counted")
def test_an_ordinary_users_processes_are_limited() -> None:
    read, write = os.pipe()
    child = start("import resource as r; print(r.getrlimit(r.RLIMIT_NPROC)[1])", Bounds(), write)
    os.close(write)
    with os.fdopen(read) as said:
        assert int(said.read()) >= bounds.KERNEL_TASK_LIMIT
    child.close()


@needs_counting
def test_a_group_counts_what_is_in_it_and_is_gone_afterwards() -> None:
    limits = Bounds()
    folders = list(limits._folders)
    assert all(folder.is_dir() for folder in folders)
    assert limits.tasks() in (None, 0)
    read, write = os.pipe()
    code = "import os, signal; os.fork() or os.setsid(); os.fork(); print('here', flush=True); signal.pause()"
    child = start(code, limits, write)
    os.close(write)
    with os.fdopen(read) as said:
        assert [said.readline() for _ in range(4)] == ["here\n"] * 4
        assert limits.tasks() == 4
        assert len(limits.members()) == 4
        assert child.has_more_tasks_than(3)
        assert not child.has_more_tasks_than(4)
        child.close()
        assert said.read() == ""  # all of them have ended
    assert not any(folder.exists() for folder in folders)


@needs_counting
def test_the_groups_of_a_dead_runner_are_emptied_and_removed() -> None:
    code = """
import signal, subprocess, sys
from pathlib import Path
from harness.bounds import Bounds
limits = Bounds()
child = subprocess.Popen(["sleep", "60"], preexec_fn=limits.enter, stdout=subprocess.DEVNULL)
print(*limits._folders, flush=True)
signal.pause()
"""
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert runner.stdout
    folders = [Path(word) for word in runner.stdout.readline().split()]
    assert folders
    Bounds().close()
    assert all(folder.is_dir() for folder in folders)  # it lives
    runner.kill()
    runner.communicate()
    Bounds().close()
    if not any((folder / "cgroup.kill").exists() for folder in folders):
        pytest.skip("the kernel cannot empty a group")
    for _ in range(100):
        Bounds().close()  # what is dying can be removed a moment later
        if not any(folder.exists() for folder in folders):
            break
    assert not any(folder.exists() for folder in folders)


@needs_memory
def test_memory_beyond_the_limit_is_refused_at_once() -> None:
    child = start("x = bytearray(1 << 30)", Bounds(memory_mb=100))
    assert child.exited(30)
    assert child.code == -signal.SIGKILL
    child.close()


def test_a_name_tells_the_living_from_the_dead() -> None:
    name = identity.me()
    space, pid, started = name.split(".")
    assert not identity.is_dead(name)
    assert identity.is_dead(f"{space}.{pid}.{int(started) + 1}")  # the number was used again
    child = subprocess.Popen(["true"])
    child.wait()
    assert identity.is_dead(f"{space}.{child.pid}.1")
    # Neither another namespace's nor nonsense can be judged.
    assert not identity.is_dead(f"{int(space) + 1}.{child.pid}.1")
    assert not identity.is_dead("")
    assert not identity.is_dead(f"{pid}.{started}")
