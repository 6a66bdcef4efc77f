"""Faults that pass, around real engines: a disk that is really full, a journal that is locked, a clock that jumps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from evolve.client import Client
from evolve.database import LOG_LIMIT
from evolve.holders import writer_of
from evolve.lock import holder
from evolve.model import CandidateState, EvolveError, Purpose
from evolve.workspace import create
from tests.evolve.slots import sets_up_namespaces
from tests.evolve.workbench import add, baseline, open_journal, result

PATIENCE = 40.0  # seconds
YEAR = 365 * 86400.0  # seconds
QUICK = {"evolve.weather.LOOK": 0.05, "evolve.serving.HASTE": 0.0, "evolve.engine.BEAT": 0.1}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    create(folder)
    return folder


def until(true: Callable[[], Any]) -> Any:
    """What `true` comes to say; a test that waits in vain says for what."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


@contextmanager
def engine(workspace: Path, **given: Any) -> Iterator[subprocess.Popen[str]]:
    """A small engine whose baseline has trained."""
    text = workspace.parent.parent / "text of all"  # one data set serves them all
    text.mkdir(exist_ok=True)
    environment = os.environ | {"SMALL_ENGINE": json.dumps(QUICK | given)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.evolve.small_engine", str(workspace), str(text)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    client = Client(workspace)
    try:
        until(lambda: process.poll() is not None or client.snapshot().incumbent is not None)
        assert process.poll() in (None, 0), process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()
        client.close()


def waits(workspace: Path) -> str:
    found = holder(workspace / ".autoresearch" / "engine.lock")
    return found.waits if found is not None and found.alive else ""


@contextmanager
def locked(workspace: Path) -> Iterator[None]:
    """The journal's write lock, held by this process."""
    path = workspace / ".autoresearch" / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=PATIENCE)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def texts(client: Client) -> list[str]:
    return [event.text for event in client.events(0, 100_000)]


# ---- a full disk -----------------------------------------------------------------------------------------


@pytest.fixture
def disk() -> Iterator[Path]:
    """A mount point with a short name: temporary files lie there, sockets among them."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.e2e
@pytest.mark.skipif(not sets_up_namespaces(), reason="no private file systems here")
def test_a_disk_that_is_full_at_every_step_costs_nothing_but_time(disk: Path) -> None:
    cell = ["bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"]
    cell += ["--size", str(48 << 20), "--tmpfs", str(disk)]
    done = subprocess.run(
        [*cell, "--", sys.executable, "-m", "tests.evolve.small_disk", str(disk), "20"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["fault"] == ""
    assert len(seen["points"]) >= 20, seen["points"]
    assert len(seen["said"]) >= 8  # at some points nothing is written before the disk is free again
    assert all("0 MB of 48 MB left" in words for words in seen["said"])
    assert seen["refused"].startswith("The engine cannot be asked: The disk is full")
    assert "nothing that was recorded is lost" in seen["told"][0]
    assert seen["seen"] > 50
    assert seen["lost"] == []
    assert (seen["code"], seen["state"], seen["promotions"]) == (0, "stopped", 1)
    assert (seen["journal"], seen["fsck"]) == ("ok", [0, ""])
    assert seen["main"] == seen["incumbent"]
    rows = [line.split("\t") for line in seen["table"].splitlines()]
    assert {len(row) for row in rows} == {5}
    assert [row[0] for row in rows[1:]] == seen["candidates"]


# ---- a locked journal ------------------------------------------------------------------------------------


def test_a_lock_that_is_held_for_a_moment_is_not_noticed(workspace: Path) -> None:
    with engine(workspace), closing(Client(workspace)) as client:
        with locked(workspace):
            time.sleep(1.0)
        count = client.snapshot().experiments
        until(lambda: client.snapshot().experiments > count + 1)
        assert not [text for text in texts(client) if "held the journal" in text]


def test_the_engine_waits_for_whoever_locks_the_journal_and_says_who(workspace: Path) -> None:
    with (
        engine(workspace, **{"evolve.database.BUSY": 0.3}) as process,
        closing(Client(workspace)) as client,
    ):
        pid = process.pid
        with locked(workspace):
            words = until(lambda: "the journal, which" in waits(workspace) and waits(workspace))
            assert f"(process {os.getpid()}) has locked" in words
            assert writer_of(workspace / ".autoresearch" / "journal.db") == ""  # we see only others
            time.sleep(1.0)
            assert "the journal, which" in waits(workspace)
        count = client.snapshot().experiments
        until(lambda: client.snapshot().experiments > count + 1)
        found = holder(workspace / ".autoresearch" / "engine.lock")
        assert found is not None
        assert found.pid == pid  # the same process, which never let go of its lock
        told = until(lambda: [text for text in texts(client) if "held the journal" in text])
        assert len(told) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_an_engine_that_waits_ends_when_it_is_asked(
    workspace: Path, number: signal.Signals, code: int
) -> None:
    with engine(workspace, **{"evolve.database.BUSY": 0.3}) as process, locked(workspace):
        until(lambda: "the journal, which" in waits(workspace))
        process.send_signal(number)
        assert process.wait(PATIENCE) == code
    assert holder(workspace / ".autoresearch" / "engine.lock") is None  # it took its name out


def test_what_was_granted_stands_when_the_engine_boots_anew(workspace: Path) -> None:
    with (
        engine(workspace, **{"evolve.database.BUSY": 0.3}) as process,
        closing(Client(workspace)) as client,
    ):
        granted = client.wait_for(client.send("pause", {}, "a tester"), PATIENCE)
        assert granted is not None
        until(lambda: client.snapshot().running is None)
        with locked(workspace):
            os.kill(process.pid, signal.SIGHUP)  # no reason to end
            client_words = until(lambda: waits(workspace) or _write(workspace))
            assert client_words
        until(lambda: [text for text in texts(client) if "held the journal" in text])
        snapshot = client.snapshot()
        assert snapshot.engine.state == "paused"
        time.sleep(0.5)
        assert client.snapshot().experiments == snapshot.experiments
        resumed = client.wait_for(client.send("resume", {}, "a tester"), PATIENCE)
        assert resumed is not None
        until(lambda: client.snapshot().experiments > snapshot.experiments)


def _write(workspace: Path) -> str:
    """A paused engine writes only when somebody gives it a reason to, and takes a file only once it is quiet."""
    program = workspace / "program.md"
    if time.time() - program.stat().st_mtime > 2:
        program.write_text(program.read_text() + "\n")
    return ""


# ---- clocks ----------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_ends_no_run_and_stops_none(workspace: Path) -> None:
    jumps, settings = [0.0, 3600.0, -3600.0, 3 * YEAR, -3 * YEAR], {"stop.hours": "0.5"}
    with (
        engine(workspace, clock=jumps, settings=settings) as process,
        closing(Client(workspace)) as client,
    ):
        count = client.snapshot().experiments
        until(lambda: client.snapshot().experiments > count + 6)
        assert process.poll() is None
        snapshot = client.snapshot()
        assert snapshot.engine.state == "running"
        hours = next(s for s in snapshot.standings if s.rule == "hours")
        assert hours.used is not None
        assert 0 < hours.used < 0.1
        assert all(s.hours is None or s.hours >= 0 for s in snapshot.standings)
        assert [text for text in texts(client) if "The machine's clock was set" in text]


def test_hours_that_are_used_up_end_the_run_whatever_the_clock_says(workspace: Path) -> None:
    with engine(workspace, clock=[-86400.0], settings={"stop.hours": "0.0008"}) as process:
        assert process.wait(PATIENCE) == 0
    with closing(Client(workspace)) as client:
        assert client.snapshot().run.reason == "The time is up: 3 seconds."


def test_a_clock_that_was_set_back_or_forward_leaves_the_pace_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    journal = open_journal(tmp_path)
    baseline(journal)
    for jump in (0.0, 0.0, 3 * YEAR, 0.0, -6 * YEAR, 0.0):
        number = add(journal, 1)
        started = journal.start_experiment(number, Purpose.SCREEN, 0)
        now += 300.0 + jump
        told = result(1.0, total_seconds=300.0)
        journal.finish_experiment(started.id, told, CandidateState.CONTENDER)
        now += 60.0
    assert journal.pace().experiments == pytest.approx(7 / (6 * 360 / 3600), rel=0.1)
    journal.close()


# ---- the data set ----------------------------------------------------------------------------------------


def test_a_data_set_that_is_deleted_during_a_run_is_made_again(workspace: Path) -> None:
    with engine(workspace) as process, closing(Client(workspace)) as client:
        cache = Path(os.environ["AUTORESEARCH_CACHE"])
        for folder in (p for p in (cache / "datasets").iterdir() if p.is_dir()):
            shutil.rmtree(folder)
        told = until(lambda: [t for t in texts(client) if "The data set is whole again" in t])
        assert len(told) == 1
        assert any("The data set is made again" in text for text in texts(client))
        count = client.snapshot().experiments
        until(lambda: client.snapshot().experiments > count + 2)
        assert process.poll() is None


# ---- readers ---------------------------------------------------------------------------------------------


def test_the_log_of_the_journal_is_cut_again_after_a_reader_that_never_ended(
    tmp_path: Path,
) -> None:
    journal = open_journal(tmp_path)
    baseline(journal)
    log = journal.path.with_name(f"{journal.path.name}-wal")

    def write(megabytes: int) -> int:
        for number in range(2 * megabytes):
            journal.set_meta("large", f"{number}" + "x" * (1 << 19))
        return log.stat().st_size

    with closing(journal):
        with journal.reader(journal.path) as coming, coming.instant():
            assert coming.meta("large") == ""
        assert write(30) < 8 << 20  # readers that come and go let it be begun anew
        with journal.reader(journal.path) as staying, staying.instant():
            before = staying.meta("large")
            assert write(30) > 30 << 20
            assert staying.meta("large") == before  # one instant, whatever is written
        assert write(6) <= LOG_LIMIT


# ---- the workspace ---------------------------------------------------------------------------------------


def test_an_engine_whose_workspace_is_moved_ends_with_a_sentence(workspace: Path) -> None:
    with engine(workspace) as process:
        workspace.rename(workspace.with_name("elsewhere"))
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        assert "was moved, deleted or unmounted" in said


def test_an_engine_whose_workspace_is_deleted_ends_with_a_sentence(workspace: Path) -> None:
    with engine(workspace) as process:
        shutil.rmtree(workspace, ignore_errors=True)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0
        assert EvolveError.__name__ in said


def test_a_table_that_cannot_be_written_is_told_once_and_ends_nothing(workspace: Path) -> None:
    with engine(workspace), closing(Client(workspace)) as client:
        until((workspace / "results.tsv").is_file)
        (workspace / "results.tsv").unlink()
        (workspace / "results.tsv").mkdir()
        told = until(lambda: [t for t in texts(client) if "results.tsv cannot be written" in t])
        count = client.snapshot().experiments
        until(lambda: client.snapshot().experiments > count + 3)
        told = [t for t in texts(client) if "results.tsv cannot be written" in t]
        assert len(told) == 1, told
        (workspace / "results.tsv").rmdir()
        until(lambda: (workspace / "results.tsv").is_file())
