"""The journal: every step is one durable transaction, illegal ones are refused, faults are sentences."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolve.database import file_system, without_rules
from evolve.journal import IllegalMove, Journal, state_folder
from evolve.model import (
    CandidateState,
    CommandState,
    EvolveError,
    NothingToDo,
    Operator,
    Purpose,
    UsageError,
    Verdict,
)
from evolve.propose.operators import Asked, Usage
from harness.spec import CurvePoint, Outcome
from tests.evolve.slots import sets_up_namespaces
from tests.evolve.workbench import (
    add,
    baseline,
    begin,
    judged,
    oid,
    open_journal,
    proposal,
    result,
    train,
)


def texts(journal: Journal) -> list[str]:
    return [event.text for event in journal.events()]


# ---- runs ------------------------------------------------------------------------------------------------


def test_an_empty_journal_has_no_run(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        assert journal.current_run() is None
        assert journal.next_candidate_id() == 1
        with pytest.raises(NothingToDo, match="autoresearch run"):
            journal.run()


def test_a_run_keeps_what_makes_its_scores_comparable(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        run = journal.run()
        assert (run.name, run.state, run.branch, run.base_commit) == (
            "try",
            "running",
            "main",
            oid(1),
        )
        assert run.fingerprint == {"device": "cpu"}
        assert run.settings["population"] == {"size": 6, "buffer": 2}
        journal.set_run_state("paused", "Paused by ann.")
        assert (journal.run().state, journal.run().finished) == ("paused", None)
        journal.set_run_state("finished", "All done.")
        assert journal.run().finished is not None
        journal.set_sigma(0.0005)
        assert journal.run().sigma == 0.0005
        assert texts(journal)[1:] == ["Paused by ann.", "All done."]


def test_the_newest_run_is_the_current_one_and_counts_from_1(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        judged(journal, 0.9, Verdict.PROMOTED)
        begin(journal, "second")
        assert journal.next_candidate_id() == 1
        assert journal.candidates() == ()
        assert journal.run().incumbent is None
        add(journal)
        assert [c.id for c in journal.candidates()] == [1]
        assert not any("idea 2" in text for text in texts(journal))
        with pytest.raises(UsageError, match="“try” here already"):
            begin(journal, "try")
        for name in ("../x", "-x", "", "a" * 41, "x.lock", "a..b", "a b", "x."):
            with pytest.raises(UsageError, match="cannot name a run"):
                begin(journal, name)


def test_a_run_without_a_name_gets_the_day_s(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        first = journal.free_run_name()
        begin(journal, first)
        assert journal.free_run_name() == f"{first}-2"


# ---- candidates ------------------------------------------------------------------------------------------


def test_a_candidate_comes_back_as_it_was_proposed(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        add(journal, 1)
        number = add(journal, 1, 2, title="two\nlines \x1b[31m", model="m", prompt_version="abc")
        child = journal.candidate(number)
        assert (child.id, child.parents, child.operator) == (3, (1, 2), Operator.CROSSOVER)
        assert (child.title, child.generation, child.lines) == ("two lines [31m", 2, 1)
        assert (child.model, child.prompt_version, child.changes) == ("m", "abc", ("LR: 3 -> 4",))
        assert (child.state, child.alive, child.mean) == (CandidateState.READY, False, None)
        assert [c.children for c in journal.candidates()] == [2, 1, 0]
        with pytest.raises(UsageError, match="no candidate #9"):
            journal.candidate(9)


def test_numbers_have_no_gaps_and_parents_must_exist(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        with pytest.raises(IllegalMove, match="not the next number"):
            journal.add_candidate(7, proposal(7, 1), commit=oid(7), code_hash="h")
        with pytest.raises(UsageError, match="no candidate #5"):
            add(journal, 5)
        assert journal.next_candidate_id() == 2
        assert [c.id for c in journal.candidates()] == [1]


def test_the_queue_keeps_its_order_and_can_be_put_in_another(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        for _ in range(3):
            add(journal, 1)
        assert [c.id for c in journal.queue()] == [2, 3, 4]
        journal.order_queue([4, 2, 3])
        add(journal, 1)
        assert [c.id for c in journal.queue()] == [4, 2, 3, 5]
        journal.drop_candidate(2, "Dropped by ann.")
        assert [c.id for c in journal.queue()] == [4, 3, 5]
        dropped = journal.candidate(2)
        assert (dropped.state, dropped.verdict) == (CandidateState.DROPPED, Verdict.DROPPED)
        with pytest.raises(UsageError, match="#2 is dropped, not ready"):
            journal.drop_candidate(2, "again")


def test_marks_and_the_population(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        number = judged(journal, 0.99, Verdict.KEPT)
        assert [c.id for c in journal.living()] == [1, number]
        journal.mark(number, pinned=True)
        journal.set_alive(number, False)
        journal.set_alive(number, False)
        child = journal.candidate(number)
        assert (child.pinned, child.banned, child.alive) == (True, False, False)
        assert texts(journal)[-2:] == ["#2 is pinned.", "#2 leaves the population."]


def test_only_the_moves_of_the_state_machine_are_legal(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        number = add(journal, 1)
        with pytest.raises(IllegalMove, match="from ready to judged"):
            journal.judge(number, Verdict.KEPT, "unseen", alive=True)
        experiment = journal.start_experiment(number, Purpose.SCREEN, 0)
        with pytest.raises(IllegalMove, match="from training to training"):
            journal.start_experiment(number, Purpose.SCREEN, 1)
        journal.finish_experiment(experiment.id, result(1.0), CandidateState.CONTENDER)
        with pytest.raises(IllegalMove, match="cannot go from ok to ok"):
            journal.finish_experiment(experiment.id, result(0.5), CandidateState.JUDGED)
        assert journal.candidate(number).scores == (1.0,)


def test_a_failure_never_becomes_a_number(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        begun = journal.start_experiment(1, Purpose.BASELINE, 5)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            journal._db.execute(
                "UPDATE experiment SET outcome = 'crash', finished = 1, val_bpb = 0.9 WHERE id = ?",
                (begun.id,),
            )


# ---- experiments and verdicts ----------------------------------------------------------------------------


def test_an_experiment_comes_back_with_what_was_measured(tmp_path: Path) -> None:
    curve = (CurvePoint(0.5, 1.0, 10, 3.0), CurvePoint(1.0, 2.0, 20, 2.0))
    with open_journal(tmp_path) as journal:
        baseline(journal)
        number = add(journal, 1)
        train(
            journal,
            number,
            0.98,
            curve=curve,
            train_seconds=300.0,
            train_tokens=10**9,
            tokens_per_second=1e6,
            sandbox="bubblewrap",
            log_tail="bye",
            fingerprint={"device": "cpu"},
            summary={
                "mfu_percent": "39.1",
                "num_steps": "1,024",
                "num_params_M": "x",
                "peak_vram_mb": "nan",
            },
        )
        (experiment,) = journal.experiments(number, curve=True)
        assert (experiment.val_bpb, experiment.outcome) == (0.98, Outcome.OK)
        assert (experiment.steps, experiment.mfu_percent, experiment.params_m) == (1024, 39.1, None)
        assert (experiment.peak_memory_mb, experiment.log_tail) == (None, "bye")
        assert (experiment.train_tokens, experiment.sandbox) == (10**9, "bubblewrap")
        assert experiment.curve == curve
        assert journal.experiments(number)[0].curve == ()
        assert journal.all_experiments()[-1].log_tail == ""


def test_scores_gather_on_the_candidate_and_two_make_it_less_provisional(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        number = add(journal, 1)
        train(journal, number, 0.98)
        assert journal.candidate(number).provisional
        train(journal, number, 0.96, Purpose.CONFIRM)
        child = journal.candidate(number)
        assert (child.scores, child.mean, child.provisional) == ((0.98, 0.96), 0.97, False)
        train(journal, number, None, Purpose.CONFIRM)
        child = journal.candidate(number)
        assert (child.scores, child.outcome) == ((0.98, 0.96), Outcome.CRASH)


def test_there_is_one_slot(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        first, second = add(journal, 1), add(journal, 1)
        running = journal.start_experiment(first, Purpose.SCREEN, 0)
        assert journal.running_experiment() == running
        with pytest.raises(sqlite3.IntegrityError):
            journal.start_experiment(second, Purpose.SCREEN, 0)
        assert journal.candidate(second).state is CandidateState.READY


@pytest.mark.parametrize(
    ("purpose", "state"),
    [
        (Purpose.SCREEN, CandidateState.READY),
        (Purpose.CONFIRM, CandidateState.CONTENDER),
        (Purpose.INCUMBENT, CandidateState.JUDGED),
    ],
)
def test_a_lost_training_says_nothing_and_is_done_again(
    tmp_path: Path, purpose: Purpose, state: CandidateState
) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        number = 1 if purpose is Purpose.INCUMBENT else add(journal, 1)
        if purpose is Purpose.CONFIRM:
            train(journal, number, 0.98)
        before = journal.candidate(number)
        experiment = journal.start_experiment(number, purpose, 0)
        journal.void_experiment(experiment.id, "The machine went down.")
        after = journal.candidate(number)
        assert after == before
        assert after.state is state
        assert journal.running_experiment() is None
        with pytest.raises(IllegalMove):
            journal.void_experiment(experiment.id, "again")


def test_the_baseline_is_the_first_incumbent_and_a_promotion_the_next(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal, 1.0, 1.01)
        assert journal.run().incumbent == 1
        seed = journal.candidate(1)
        assert (seed.verdict, seed.alive, seed.generation) == (Verdict.BASELINE, True, 0)
        judged(journal, 1.1, Verdict.REJECTED)
        number = judged(journal, 0.9, Verdict.PROMOTED)
        assert journal.run().incumbent == number
        assert journal.candidate(number).provisional  # one training stays one, whatever it moved
        assert texts(journal)[-1] == "#3 promoted: It is better."


def test_the_tally_counts_what_stop_rules_and_people_ask(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        judged(journal, 1.1, Verdict.REJECTED)
        judged(journal, 0.9, Verdict.PROMOTED)
        kept = judged(journal, 0.95, Verdict.KEPT, 1, 2)
        judged(journal, None, Verdict.FAILED)
        journal.judge(kept, Verdict.REJECTED, "No place left.", alive=False)
        journal.drop_candidate(add(journal, 1), "Not wanted.")
        journal.start_experiment(add(journal, 1), Purpose.SCREEN, 0)
        tally = journal.tally()
        assert (tally.candidates, tally.settled, journal.screened()) == (7, 4, 5)
        assert (tally.since_promotion, tally.promotions, tally.failures) == (2, 1, 1)
        assert (tally.crossovers, tally.experiments) == (1, 5)


# ---- settings, commands, money ---------------------------------------------------------------------------


def test_settings_in_force_are_those_of_the_start_with_every_change(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        add(journal)
        journal.change_setting("population.size", "6", "12", "ann")
        assert journal.settings_in_force()["population.size"] == "12"
        assert journal.settings_in_force()["budget.kind"] == '"tokens"'
        assert journal.live_settings()["llm.prices.m"] == "{ input = 1.0 }"
        assert "budget.kind" not in journal.live_settings()
        assert texts(journal)[-1] == "population.size: 6 → 12 (ann), from #2 on."


def test_a_resumed_run_notes_what_was_changed_meanwhile(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        now = journal.settings_in_force() | {"stop.candidates": "20", "budget.kind": '"seconds"'}
        journal.note_settings(now, "the command line")
        journal.note_settings(now, "the command line")
        assert journal.settings_in_force()["stop.candidates"] == "20"
        assert journal.settings_in_force()["budget.kind"] == '"tokens"'
        assert texts(journal)[1:] == ["stop.candidates: 12 → 20 (the command line), from #1 on."]


def test_requests_to_an_engine_that_is_gone_are_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        with sqlite3.connect(journal.path) as db:
            db.execute(
                "INSERT INTO command (time, who, verb, args) VALUES (0, 'ann', 'stop', '{}')"
            )
        db.close()
        journal.refuse_pending("That engine has ended; ask again.")
        assert journal.pending_commands() == ()
        assert journal.command(1).state is CommandState.REFUSED


def test_a_request_is_answered_once_and_told(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        version = journal.data_version()
        with sqlite3.connect(journal.path) as db:
            db.execute(
                "INSERT INTO command (time, who, verb, args) VALUES (0, 'ann', 'drop', '{\"candidate\": 3}')"
            )
        db.close()
        assert journal.data_version() != version
        (command,) = journal.pending_commands()
        assert (command.who, command.verb, command.args) == ("ann", "drop", {"candidate": 3})
        journal.answer_command(command.id, CommandState.REFUSED, "There is no candidate #3.")
        assert journal.pending_commands() == ()
        assert journal.command(1).answer == "There is no candidate #3."
        assert texts(journal)[-1] == "ann asked to drop: refused: There is no candidate #3."


def test_money_is_committed_before_it_is_spent_and_booked_once(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        calls = [
            journal.reserve_call(
                model="m",
                asked=Asked("mutate", (1,)),
                request=f"ask {i}",
                request_sha=f"sha {i}",
                dollars=0.5,
            )
            for i in range(4)
        ]
        assert (journal.dollars_committed(), journal.run().dollars) == (2.0, 0.0)
        usage = Usage(input_tokens=10, output_tokens=20, cache_read_tokens=30)
        journal.answer_call(
            calls[0], response="text", usage=usage, dollars=0.1, seconds=3.0, stop_reason="end_turn"
        )
        journal.fail_call(calls[1], error="overloaded", seconds=1.0)
        journal.refuse_call(
            calls[2],
            category="frontier_llm",
            error="It was refused.",
            usage=usage,
            dollars=0.05,
            seconds=1.0,
        )
        assert journal.run().dollars == pytest.approx(0.15)
        assert journal.dollars_committed() == pytest.approx(0.65)
        assert [c.status for c in journal.calls()] == ["answered", "failed", "refused", "reserved"]
        assert journal.calls()[0].cache_read_tokens == 30
        assert journal.calls()[2].category == "frontier_llm"
        assert journal.was_refused("m", "sha 2")
        assert not journal.was_refused("m", "sha 1")
        assert not journal.was_refused("another", "sha 2")
        (figures,) = journal.call_figures()
        assert (figures.model, figures.calls) == ("m", 4)
        assert (figures.answered, figures.refused, figures.failed) == (1, 1, 1)
        assert figures.dollars == pytest.approx(0.15)
        assert (figures.input_tokens, figures.cached_tokens) == (80, 60)
        assert figures.cached_share == 0.75
        assert journal.call_text(calls[0]) == ("ask 0", "text")
        with pytest.raises(IllegalMove, match="cannot go from answered to failed"):
            journal.fail_call(calls[0], error="twice", seconds=0.0)
        assert [answer.call for answer in journal.unused_answers()] == [calls[0]]
        number = add(journal, 1, calls=(calls[0],))
        assert journal.calls()[0].candidate == number
        assert journal.unused_answers() == ()


def test_a_call_that_a_killed_engine_left_open_is_booked_at_its_most(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        journal.reserve_call(
            model="m", asked=Asked("tune", (1,)), request="", request_sha="", dollars=0.5
        )
    with open_journal(tmp_path) as journal:
        assert journal.settle_abandoned_calls() == 1
        assert journal.settle_abandoned_calls() == 0
        (call,) = journal.calls()
        assert (call.status, call.dollars) == ("failed", 0.5)
        assert "The engine ended" in call.error
        assert journal.run().dollars == journal.dollars_committed() == 0.5
        assert "The engine ended" in texts(journal)[-1]


def test_an_answer_that_led_nowhere_is_not_offered_again(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        begin(journal)
        asked = Asked("crossover", (2, 3), "0123456789ab", "try less")
        call = journal.reserve_call(model="m", asked=asked, request="", request_sha="", dollars=0.5)
        assert journal.unused_answers() == ()
        journal.answer_call(
            call, response="text", usage=Usage(), dollars=0.1, seconds=1.0, stop_reason="end_turn"
        )
        (answer,) = journal.unused_answers()
        assert (answer.asked, answer.response, answer.model) == (asked, "text", "m")
        journal.dismiss_answers((call,), "it is the same code as #1")
        assert journal.unused_answers() == ()


# ---- durability and faults -------------------------------------------------------------------------------


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """The child prints each number after its transaction and is killed in the middle of the next ones."""
    code = """
import sys
from pathlib import Path
from tests.evolve.workbench import baseline, judged, open_journal
from evolve.model import Verdict
journal = open_journal(Path(sys.argv[1]))
baseline(journal)
while True:
    print(judged(journal, 0.9, Verdict.KEPT), flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    lines += child.stdout.read().splitlines(keepends=True)
    child.wait()
    child.stdout.close()
    acknowledged = max(int(line) for line in lines if line.endswith("\n"))
    with open_journal(tmp_path) as journal:
        candidates = journal.candidates()
        assert [c.id for c in candidates] == list(range(1, len(candidates) + 1))
        assert len(candidates) >= acknowledged
        assert all(c.verdict is Verdict.KEPT for c in candidates[1:acknowledged])
        assert journal.next_candidate_id() == len(candidates) + 1


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        before = journal.candidates(), journal.last_event_id()
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(EvolveError, match=r"The disk is full.*free some space"):
            add(journal, 1, hypothesis="x" * 100_000)
        journal._db.execute("PRAGMA max_page_count = 1000000")
        assert (journal.candidates(), journal.last_event_id()) == before
        assert add(journal, 1) == 2


def test_the_file_is_durable_and_private(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        pragma = {
            name: journal._db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "user_version")
        }
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "user_version": 4}
    assert (tmp_path / ".autoresearch").stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(tmp_path / ".autoresearch" / "journal.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        tables = [r[0] for r in db.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
    db.close()
    assert all("STRICT" in sql for sql in tables)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (b"this is no database, but it is long enough to be taken for one" * 20, "is no journal"),
        ("PRAGMA user_version = 99", "written by a newer autoresearch"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, spoil: bytes | str, sentence: str
) -> None:
    path = state_folder(tmp_path) / "journal.db"
    if isinstance(spoil, bytes):
        path.write_bytes(spoil)
    else:
        with sqlite3.connect(path) as db:
            db.execute(spoil)
        db.close()
    content = path.read_bytes()
    for opening in (Journal.open, Journal.reader):
        with pytest.raises(EvolveError, match=sentence):
            opening(path)
    assert path.read_bytes() == content


def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / ".autoresearch").write_text("")
    with pytest.raises(EvolveError, match="is a file; move it away"):
        state_folder(tmp_path)
    with pytest.raises(EvolveError, match="There is no folder"):
        state_folder(tmp_path / "nowhere")


def test_a_network_file_system_is_recognised() -> None:
    mounts = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:44 / /srv/my\\040home rw shared:9 - nfs4 server:/home rw,vers=4.2\n"
    )
    assert file_system(Path("/srv/my home/ann/work"), mounts) == "nfs4"
    assert file_system(Path("/srv"), mounts) == "ext4"
    assert file_system(Path("/srv"), "") == ""


@pytest.mark.parametrize("kind", ["nfs", "lustre", "fuse.glusterfs", "drvfs"])
def test_a_network_file_system_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = f"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:44 / {tmp_path} rw - {kind} server:/ rw\n"
    monkeypatch.setattr("evolve.database._mounts", lambda: told)
    with pytest.raises(EvolveError, match=f"network file system .{kind}.*local disk"):
        open_journal(tmp_path)


READ_ONLY = """
import sys
from pathlib import Path
from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import EvolveError
state = Path(sys.argv[1])
for act in (EngineLock(state / "engine.lock").__enter__, lambda: Journal.open(state / "journal.db")):
    try:
        act()
    except EvolveError as error:
        print(error)
"""


@pytest.mark.skipif(not sets_up_namespaces(), reason="needs bubblewrap to mount a folder read-only")
def test_a_read_only_file_system_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
    place = ["--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--ro-bind", tmp_path, tmp_path]
    said = subprocess.run(
        ["bwrap", *place, sys.executable, "-c", READ_ONLY, state_folder(tmp_path)],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert len(said) == 2
    assert all("not mounted read-only" in sentence for sentence in said), said


def test_reads_stay_cheap_with_many_candidates(tmp_path: Path) -> None:
    """20,000 candidates; the figures are bounds against a missing index, not a benchmark."""
    with open_journal(tmp_path) as journal:
        baseline(journal)
        columns = [
            row[1] for row in journal._db.execute("PRAGMA table_info(candidate)") if row[1] != "id"
        ]
        names = ", ".join(columns)
        with without_rules(journal._db):
            journal._db.execute("UPDATE candidate SET alive = 0")
            journal._db.execute(
                f"""WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                INSERT INTO candidate (id, {names}) SELECT n.i, {names} FROM candidate, n WHERE id = 1"""
            )
        assert len(journal.candidates()) == 20_000
        add(journal, 1)
        for read, limit in (
            (journal.queue, 0.01),
            (journal.living, 0.01),
            (journal.next_candidate_id, 0.01),
            (journal.tally, 0.05),
            (lambda: journal.candidate(15_000), 0.01),
            (lambda: journal.candidates(after=19_990), 0.01),
        ):
            fastest = min(_seconds(read) for _ in range(3))
            assert fastest < limit, read


def _seconds(call: object) -> float:
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began
