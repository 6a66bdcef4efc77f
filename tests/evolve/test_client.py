"""The client: one light look at a run, and requests that stay pending until the engine answers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import CommandState, NothingToDo, Purpose, UsageError, Verdict
from evolve.places import JOURNAL, state_folder
from harness.spec import Progress
from tests.evolve.workbench import add, baseline, begin, judged, open_journal

REPOSITORY = Path(__file__).resolve().parents[2]


def progress(workspace: Path, experiment: int, *moments: Progress) -> None:
    folder = workspace / ".autoresearch" / "experiments" / str(experiment)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "progress.jsonl").open("a") as file:
        for moment in moments:
            file.write(json.dumps(moment.to_json()) + "\n")


def test_a_workspace_without_a_run_is_an_empty_look(tmp_path: Path) -> None:
    client = Client(tmp_path)
    look = client.snapshot()
    assert (look.run, look.engine.state, look.candidates, look.queue) == (None, "none", 0, ())
    assert (client.data_version(), client.events(), client.candidates()) == (0, (), ())
    with pytest.raises(NothingToDo, match="no run here yet"):
        client.send("pause", {}, "ann")
    with pytest.raises(UsageError, match="no candidate #1"):
        client.candidate(1)
    assert list(tmp_path.iterdir()) == []
    with open_journal(tmp_path) as journal:
        begin(journal)
        run = client.snapshot().run
        assert run is not None
        assert run.name == "try"
    client.close()


def test_a_look_shows_the_whole_first_screen(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal, 1.0, 1.02)
        journal.set_meta("sandbox", "bubblewrap")
        journal.change_setting("stop.hours", "0.0", "2.0", "ann")
        judged(journal, 1.2, Verdict.KEPT)
        best = judged(journal, 0.9, Verdict.KEPT, 1, 2)
        judged(journal, None, Verdict.FAILED)
        waiting = add(journal, 1)
        running = add(journal, 1)
        experiment = journal.start_experiment(running, Purpose.SCREEN, 0)
        progress(
            tmp_path,
            experiment.id,
            Progress("starting", 1.0),
            Progress("training", 2.0, fraction=0.25, loss=3.0, tokens_per_second=1e5),
            Progress("training", 3.0, fraction=0.5, loss=2.5),
        )
        client = Client(tmp_path)
        look = client.snapshot()
        assert [c.id for c in look.population] == [best, 1, 2]
        assert [c.id for c in look.queue] == [waiting]
        assert look.incumbent is not None
        assert look.incumbent.id == 1
        assert look.running is not None
        assert (look.running.candidate.id, look.running.experiment) == (running, experiment)
        assert look.running.progress == Progress("training", 3.0, fraction=0.5, loss=2.5)
        assert look.running.curve == ((0.25, 3.0), (0.5, 2.5))
        assert look.running.reference == ((0.5, 3.0), (1.0, 2.5))
        assert (look.candidates, look.experiments, look.failures, look.crossovers) == (6, 5, 1, 1)
        assert (look.sandbox, look.rehearsal) == ("bubblewrap", True)
        assert look.stop_rules == "12 candidates or 2 hours, whichever comes first"
        assert dict(look.settings)["stop.hours"] == "2.0"
        assert "budget.kind" not in dict(look.settings)
        assert look.gap_seconds is not None
        assert 0 <= look.gap_seconds < 5
        assert look.recent[-1].kind == "started"
        assert client.snapshot(curve=False).running == look.running.__class__(
            experiment, look.running.candidate, look.running.progress, (), ()
        )
        progress(tmp_path, experiment.id, Progress("scoring", 4.0, fraction=1.0))
        look = client.snapshot()
        assert look.running is not None
        assert look.running.progress == Progress("scoring", 4.0, fraction=1.0)
        assert len(look.running.curve) == 2
        assert [c.id for c in client.candidates(after=4, limit=1)] == [5]
        assert client.experiments(1, curve=True)[0].curve != ()
        client.close()


def test_the_engine_s_state_is_told_from_its_lock(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with open_journal(tmp_path) as journal:
        begin(journal)
        assert client.snapshot().engine.state == "dead"  # the run says running, and nobody runs it
        with EngineLock(tmp_path / ".autoresearch" / "engine.lock") as lock:
            lock.beat("builtin: tune of #1")
            engine = client.snapshot().engine
            assert (engine.state, engine.doing) == ("running", "builtin: tune of #1")
            assert engine.heartbeat_age is not None
            assert engine.heartbeat_age < 5
            journal.set_run_state("paused", "Paused by ann.")
            assert client.snapshot().engine.state == "paused"
            asked = client.send("stop", {"now": False}, "ann")
            assert client.snapshot().engine.state == "paused"
            journal.answer_command(asked, CommandState.DONE, "Stopping.")
            assert client.snapshot().engine.state == "stopping"
            journal.set_run_state("stopped", "Stopped by ann.")
        assert client.snapshot().engine.state == "none"
    client.close()


def test_a_request_is_pending_until_the_engine_answers(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        client = Client(tmp_path)
        before = client.data_version()
        asked = client.send("set", {"key": "population.size", "value": "12"}, "ann")
        assert client.data_version() != before
        assert client.snapshot().pending == ("set population.size 12 (ann)",)
        assert client.wait_for(asked, timeout=0.1) is None

    def engine() -> None:
        with Journal.open(tmp_path / ".autoresearch" / "journal.db") as writer:
            (command,) = writer.pending_commands()
            writer.answer_command(command.id, CommandState.DONE, "population.size = 12")

    worker = threading.Thread(target=engine)
    worker.start()
    answer = client.wait_for(asked, timeout=10)
    worker.join()
    assert answer is not None
    assert (answer.state, answer.answer) == (CommandState.DONE, "population.size = 12")
    assert client.snapshot().pending == ()
    client.close()


def test_a_read_only_client_asks_for_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        client = Client(tmp_path, read_only=True)
        with pytest.raises(UsageError, match="--read-only"):
            client.send("pause", {}, "ann")
        assert journal.pending_commands() == ()
        client.close()


def test_a_client_works_from_several_threads(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        client = Client(tmp_path)
        seen: list[int] = []

        def look() -> None:
            for _ in range(20):
                snapshot = client.snapshot()
                seen.append(len(snapshot.queue) - snapshot.candidates)

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            add(journal, 1)
        for thread in threads:
            thread.join()
        assert len(seen) == 60
        assert set(seen) == {
            -1
        }  # every look is one instant: the baseline and the queue are all there are
        client.close()


def test_importing_the_client_is_light(tmp_path: Path) -> None:
    heavy = ("pydantic", "git", "numpy", "torch", "textual", "anthropic", "evolve.settings")
    code = (
        "import sys; from pathlib import Path; from evolve.client import Client; "
        "Client(Path(sys.argv[1])).snapshot(); "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    with open_journal(tmp_path) as journal:
        baseline(journal)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    assert done.stdout.strip() == "[]"


def test_a_look_is_quick_enough_for_a_screen(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        for _ in range(100):
            judged(journal, 1.0, Verdict.REJECTED)
        client = Client(tmp_path)
        times = []
        for _ in range(5):
            began = time.perf_counter()
            client.snapshot()
            times.append(time.perf_counter() - began)
        assert min(times) < 0.05
        client.close()


def test_a_journal_that_is_being_made_holds_no_run_yet(tmp_path: Path) -> None:
    """The file is there before its tables are, also for good, where an engine was killed between the two."""
    from evolve.boot import goes_on, remembered

    state = state_folder(tmp_path)
    (state / JOURNAL).touch()
    assert not goes_on(tmp_path, None)
    assert remembered(tmp_path, None) == {}
    with Journal.open(state / JOURNAL) as journal:
        assert journal.made
        assert journal.current_run() is None
