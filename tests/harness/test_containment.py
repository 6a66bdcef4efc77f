"""Scripts that multiply, flee or refuse to end, at every level: they are stopped, and the next experiment runs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from harness import bounds, landlock, process, sandbox, trial
from harness.spec import Limits, Outcome, Result

Run = Callable[..., Result]
LEVELS = [
    pytest.param(
        level, marks=pytest.mark.skipif(level not in sandbox.probe().available, reason="not here")
    )
    for level in sandbox.LEVELS
]
FORK_BOMB = """
import os, signal, time
made = 0
while made < 10_000:
    try:
        if os.fork() == 0:
            os.setsid()
            signal.pause()
        made += 1
    except OSError:
        time.sleep(0.01)
print('all 10,000')
time.sleep(100)
"""
DOUBLING = """
import os, time
for _ in range(13):
    try: os.fork()
    except OSError: pass
time.sleep(100)
"""
THREADS = """
import threading, time
made = 0
while made < 3000:
    try:
        threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
        made += 1
    except RuntimeError:
        time.sleep(0.01)
print('all 3,000')
"""
FLEES = """
import os, signal, sys, time, atexit
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    while True: time.sleep(10)
atexit.register(time.sleep, 100)
print('fled', flush=True)
"""
SCORED = """
import torch
from prepare import evaluate_bpb
class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(64, 64)
    def forward(self, x): return self.table(x)
evaluate_bpb(Model(), None, 50)
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lower limit shows the same, sooner."""
    monkeypatch.setattr(trial, "TASK_LIMIT", 300)
    monkeypatch.setattr(bounds, "KERNEL_TASK_LIMIT", 600)


def nothing_is_left(run: Run, level: str, result: Result) -> None:
    assert process.descendants(os.getpid()) == []
    assert result.total_seconds < 60
    assert run(SCORED, sandbox=level).outcome is Outcome.OK


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "script", [FORK_BOMB, DOUBLING, THREADS], ids=["forks", "doubles", "threads"]
)
@pytest.mark.parametrize("level", LEVELS)
def test_a_bomb_is_stopped(run: Run, level: str, script: str) -> None:
    result = run(script, sandbox=level)
    assert result.outcome is Outcome.CRASH
    assert result.reason == "It started more than 300 processes and threads."
    assert "all" not in result.log_tail
    nothing_is_left(run, level, result)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("level", LEVELS)
def test_a_bomb_is_stopped_where_the_kernel_counts_nothing(
    run: Run, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_places", lambda memory: {})
    monkeypatch.setattr(landlock, "spaces", lambda: "none")
    result = run(FORK_BOMB, sandbox=level)
    assert result.outcome is Outcome.CRASH
    assert "more than 300" in result.reason
    nothing_is_left(run, level, result)


@pytest.mark.parametrize("level", LEVELS)
def test_a_daemon_that_holds_the_pipe_open_holds_up_nobody(run: Run, level: str) -> None:
    result = run(FLEES, sandbox=level, limits=Limits(wall_seconds=3, threads=1))
    assert result.outcome is Outcome.TIMEOUT
    assert "fled" in result.log_tail
    nothing_is_left(run, level, result)
