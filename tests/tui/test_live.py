"""View 1 on a real journal: what the slot and the proposers are at, what is foretold, and why an engine is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.database import without_rules
from evolve.model import CandidateState, CommandState, Operator, Purpose, Verdict
from evolve.propose.operators import Asked
from evolve.telemetry import Load
from evolve.view import Playback
from tests.tui.live_run import LiveRun
from tests.tui.recording import snapshot
from tests.tui.test_app import opened
from tui import slotwords
from tui.plain import status
from tui.state import ViewState
from tui.widgets.ink import text_of
from tui.widgets.panels import status_line


def trained(run: LiveRun, scores: list[float]) -> None:
    """Children that were trained once, and the baseline once more, so that the noise is known."""
    run.train(1, Purpose.BASELINE, 1.0, seed=8)
    run.finish(2.204, CandidateState.JUDGED)
    for score in scores:
        number = run.add(f"a child of {score}")
        run.train(number, Purpose.SCREEN, 1.0)
        run.finish(score, CandidateState.JUDGED)
        run.journal.judge(number, Verdict.KEPT, "distinct enough", alive=True)


async def test_the_running_training_has_a_forecast_and_a_load(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        trained(run, [])
        run.train(run.add("larger matrix learning rate"), fraction=0.02)
        client = Client(tmp_path)
        async with opened(client) as session:
            assert "foretold   too early" in session.shows()
            run.advance(0.5)
            await session.settled()
            shown = session.shows()
            assert "P(beats main)" in shown
            assert "tokens/s   20.0k 1.00× main" in shown
            assert "CPU" in shown
            assert "GB" in shown
            await session.press("l")
            assert "on a log axis" in session.shows()
            assert "nats a token, log" in session.shows()
            await session.press("h", "m")
            assert "second half of the budget, on a log axis, smoothed" in session.shows()
        look = client.snapshot()
        client.close()
    assert look.running is not None
    told, load = look.running.foretold, look.running.load
    assert told is not None
    assert told.score == pytest.approx(2.202, abs=0.01)  # its curve is that of the baseline
    assert load is not None
    assert load.memory_mb is not None
    assert load.memory_mb > 10
    plain = status(look)
    assert f"{told.score:.5f} ± {told.margin:.5f} (80 %), by main's curve alone" in plain
    assert "Machine     CPU" in plain
    assert "trainings an hour" in plain


def test_a_forecast_goes_by_finished_curves_of_the_same_loss_only(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        trained(run, [2.19, 2.195, 2.2, 2.205, 2.21])
        run.train(run.add("another"), fraction=0.5)
        client = Client(tmp_path)
        told = client.snapshot(curve=False).running
        client.close()
        assert told is not None
        assert told.foretold is not None
        assert told.foretold.curves == 6
        assert told.curve == ()
        with without_rules(run.journal._db):
            run.journal._db.execute("UPDATE candidate SET loss_form = 'other' WHERE id < 7")
        client = Client(tmp_path)
        alone = client.snapshot().running
        client.close()
        assert alone is not None
        assert alone.foretold is None


async def test_the_slot_is_never_just_idle(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        client = Client(tmp_path)
        async with opened(client) as session:
            assert "waiting for a child" in session.shows()
            number = run.add("rope theta", Operator.MUTATE)
            smoke = run.journal.start_smoke(number)
            asked = Asked("crossover", (1, 2))
            run.journal.reserve_call(
                model="opus", asked=asked, request="?", request_sha="0", dollars=0.12
            )
            await session.settled()
            shown = session.shows()
            assert f"trying out #{number} (smoke run)" in shown
            assert f"#{number} idea" in shown
            assert "opus writes a crossover of #1 and #2, 0 s, at most $0.12" in shown
            assert f"trying out #{smoke.candidate} (smoke run)" in status(client.snapshot())
            client.send("pause", {}, "maria on gpu-a")
            run.answer("Paused.")
            run.journal.drop_candidate(number, "no")
            run.journal._db.execute("UPDATE smoke SET finished = started, outcome = 'void'")
            await session.settled()
            assert "paused by maria on gpu-a since" in session.shows()
        client.close()


def test_who_waits_for_a_word_of_a_person_is_told(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        number = run.add("rope theta", Operator.MUTATE)
        command = Client(tmp_path).send("set", {"key": "approval.required", "value": "true"}, "me")
        run.journal.change_setting("approval.required", "false", "true", "me")
        run.journal.answer_command(command, CommandState.DONE, "Done.")
        client = Client(tmp_path)
        look = client.snapshot()
        client.close()
        assert slotwords.waiting_for_word(look) == {number}
        assert slotwords.slot(look) == "1 child waits for your approval"
        assert "(waits for approval)" in status(look)


async def test_a_dead_engine_says_why_in_its_last_words(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        run.journal.set_run_state("running", "Started.")
        lock = (run.state / "engine.lock").read_bytes()
    (tmp_path / ".autoresearch/engine.lock").write_bytes(lock)  # as a killed engine leaves it
    log = tmp_path / ".autoresearch/engine.log"
    log.write_text("14:02:11 #1 finished\nautoresearch: The disk is full; free some space.\n")
    client = Client(tmp_path)
    async with opened(client, attach="autoresearch") as session:
        shown = session.shows()
        assert "The engine is dead since " in shown
        assert (
            "The disk is full; free some space; nothing is lost. Resume with: autoresearch run"
            in (" ".join(shown.split()))
        )
    assert "gone, The disk is full; free some space" in status(client.snapshot())
    log.write_text("14:02:11 #1 finished\n")
    assert "gone without a word" in status(client.snapshot())
    client.close()


def test_a_dead_engine_has_no_load_and_a_recording_that_is_over_waits_for_nobody():
    running = snapshot(0.5)
    busy = replace(running, running=replace(running.running, load=Load("CPU", 0.5, 100.0, 24_000.0, cores=1.5)))  # fmt: skip
    dead = replace(busy, engine=replace(busy.engine, state="dead"))
    assert "1.5 cores" in text_of(status_line(ViewState(snapshot=busy), 160, 1))
    assert "cores" not in text_of(status_line(ViewState(snapshot=dead), 160, 1))
    idle = replace(snapshot(None), queue=())
    assert slotwords.slot(idle) == "waiting for a child"
    over = replace(idle, playback=Playback(8.0, playing=False, begins=0.0, ends=idle.time))
    assert slotwords.slot(over) == "the recording ends here"
