"""An engine and its keeper, whole and real: killed during a training, killed for good, started twice at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolve.lock import holder
from evolve.places import KEEPER, LOCK, LOG, STATE
from harness import identity
from harness.crashpoints import VARIABLE
from tests.tui.test_run import TINY, autoresearch, git, line

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

# It trains, rests for some seconds, and is scored: time enough to kill an engine, and to start another one.
SCRIPT = TINY.replace("print(f", "import time\n\nprint('here', flush=True)\ntime.sleep(5)\nprint(f")
ONE = ("--set", "stop.experiments=1", "--set", "budget.tokens=2048")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose engine is ended whatever the test did."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    git(workspace, "init", "-q", "-b", "main")
    (workspace / "train.py").write_text(SCRIPT)
    git(workspace, "add", "train.py")
    git(workspace, "commit", "-qm", "start")
    yield workspace
    autoresearch(workspace, "stop", "--now")


def until(condition: Callable[[], object], patience: float = 40.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def engine_of(folder: Path) -> int:
    """The engine that works in the folder; 0 for none."""
    found = holder(folder / STATE / LOCK)
    return found.pid if found is not None and found.alive else 0


def trains(folder: Path) -> bool:
    log = folder / STATE / "experiments" / "1" / "run.log"
    return log.exists() and "here" in log.read_text()


def left_of(folder: Path) -> list[str]:
    """Command lines of processes that still have to do with the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in words and int(entry.name) != os.getpid():
            found.append(words)
    return found


def story(folder: Path) -> str:
    return autoresearch(folder, "logs").stdout


def test_an_engine_killed_during_a_training_is_followed_by_one_that_adopts_it(folder: Path) -> None:
    assert autoresearch(folder, "run", "--detach", *ONE).returncode == 0
    until(lambda: trains(folder))
    killed = engine_of(folder)
    os.kill(killed, signal.SIGKILL)
    until(lambda: engine_of(folder) not in (0, killed))
    follow = autoresearch(folder, "logs", "--engine", "-f", "-n", "100").stdout  # to its end
    told = story(folder)
    assert re.search(r"The engine was killed \(SIGKILL\) at [\d:]{8}; .*the training in the slot goes on", told)  # fmt: skip
    assert (told.count("trains (baseline"), told.count("#1 scored")) == (1, 1)
    assert "All 1 training asked for are done" in told
    assert follow.count("it is started again in 1 s.") == 1
    assert follow.count(", engine of process ") == 2
    until(lambda: not left_of(folder), 10)
    assert holder(folder / STATE / KEEPER) is None


def test_an_engine_of_a_crash_point_comes_back_and_its_finished_training_is_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed with the result in its hands, before the journal has it."""
    (folder / "train.py").write_text(TINY)
    git(folder, "commit", "-qam", "quick")
    monkeypatch.setenv(VARIABLE, "engine.training-ended")
    ran = autoresearch(folder, "run", "--headless", *ONE)
    assert ran.returncode == 0, ran.stderr
    assert "The engine was killed (SIGKILL)" in ran.stderr
    assert "the training in the slot had ended meanwhile." in ran.stdout
    assert (ran.stdout.count("trains (baseline"), ran.stdout.count("#1 scored")) == (1, 1)


def test_a_person_who_kills_both_ends_it_and_the_next_start_goes_on(folder: Path) -> None:
    started = autoresearch(folder, "run", "--detach", *ONE)
    keeper = int(re.findall(r"process (\d+)", started.stdout)[0])
    until(lambda: trains(folder))
    os.kill(keeper, signal.SIGKILL)
    until(lambda: identity.started(keeper) is None)
    engine = engine_of(folder)
    assert engine, "without its keeper the engine lives on"
    os.kill(engine, signal.SIGKILL)
    until(lambda: not engine_of(folder))
    assert "gone without a word" in autoresearch(folder, "status").stdout
    again = autoresearch(folder, "run", "--headless", *ONE)  # the training lives for its grace
    assert again.returncode == 0, again.stderr
    assert story(folder).count("#1 scored") == 1
    assert story(folder).count("trains (baseline") == 1


def test_a_signal_to_the_keeper_ends_the_engine_cleanly(folder: Path) -> None:
    started = autoresearch(folder, "run", "--detach", *ONE)
    keeper = int(re.findall(r"process (\d+)", started.stdout)[0])
    until(lambda: trains(folder))
    os.kill(keeper, signal.SIGTERM)
    until(lambda: not left_of(folder))
    assert "Stopped by SIGTERM" in story(folder).splitlines()[-1]


def test_no_restarts_are_asked_for_and_the_journal_says_why_nobody_works(folder: Path) -> None:
    assert autoresearch(folder, "run", "--detach", "--restarts", "0", *ONE).returncode == 0
    until(lambda: trains(folder))
    os.kill(engine_of(folder), signal.SIGKILL)
    until(lambda: "nothing is lost, and `autoresearch run` goes on from here" in story(folder))
    status = autoresearch(folder, "status").stdout
    assert "failed: The engine was killed (SIGKILL)" in status
    assert "Engine      not running" in status


def test_a_stop_that_was_asked_for_during_a_restart_is_heard(folder: Path) -> None:
    assert autoresearch(folder, "run", "--detach", *ONE).returncode == 0
    until(lambda: trains(folder))
    killed = engine_of(folder)
    os.kill(killed, signal.SIGKILL)
    until(lambda: "restarting: The engine was killed" in autoresearch(folder, "status").stdout)
    stopped = autoresearch(folder, "stop", "--now")
    assert stopped.stdout.startswith("Stopping now")
    until(lambda: not left_of(folder))
    assert "Stopped by" in story(folder).splitlines()[-1]


def test_of_two_runs_started_at_once_one_works_and_the_other_says_who(folder: Path) -> None:
    two = [
        subprocess.Popen(
            line(folder, "run", "--headless", *ONE),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    until(lambda: any(one.poll() is not None for one in two))
    lost, won = sorted(two, key=lambda one: one.poll() is None)
    until(lambda: engine_of(folder))
    _, said = lost.communicate()
    assert lost.returncode == 1
    assert f"engine (pid {engine_of(folder)}) works here" in said
    until(lambda: trains(folder))
    won.send_signal(signal.SIGTERM)
    won.communicate(timeout=30)
    assert story(folder).count("begins at") == 1


def test_a_fault_that_nobody_expected_is_told_and_the_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that fails in the middle of a run, once: this one, at the end of the first training."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "if '--kept' in sys.orig_argv and '--after' not in sys.orig_argv:\n"
        "    import evolve.judging\n"
        "    def fails(*_, **__):\n"
        "        raise RuntimeError('a library has a fault')\n"
        "    evolve.judging.Judge.settle = fails\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{broken}:{Path(__file__).parents[2]}")
    (folder / "train.py").write_text(TINY)
    git(folder, "commit", "-qam", "quick")
    ran = autoresearch(folder, "run", "--headless", *ONE)
    assert ran.returncode == 0, ran.stderr
    assert "met a fault of its own (RuntimeError: a library has a fault)" in ran.stdout
    assert "Traceback" not in ran.stderr
    assert "a library has a fault" in (folder / STATE / "crash.log").read_text()
    assert ran.stdout.count("#1 scored") == 1
    assert not (folder / STATE / LOG).exists()  # its output was ours
