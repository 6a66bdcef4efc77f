"""A recorded run told again: at every moment the played journal is what the real one was then.

Copies of a journal are taken while it is written, by every step that the journal has and by a real engine; afterwards the
recording is played to the moment of each copy and compared with it, row by row.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.database import without_rules
from evolve.journal import Journal
from evolve.model import (
    CandidateState,
    CommandState,
    EvolveError,
    Operator,
    Purpose,
    UsageError,
    Verdict,
)
from evolve.places import JOURNAL, STATE, state_folder
from evolve.propose.operators import NO_USAGE, Asked, Proposal
from evolve.recordings import DEMO
from evolve.replay import Replay
from evolve.sealing import SealedGain
from harness.spec import AuditReport, CurvePoint, Outcome, Result, SmokeResult
from tests.evolve.night import live

# What a journal keeps no history of; the docstring of `replay` says so.
UNKNOWN = {
    "candidate": {"touched"},
    "experiment": {"directory"},
    "smoke": {"directory"},
    "llm_call": {"dollars", "outcome"},
    "run": {"sigma"},  # the engine writes it, and no step of the journal does
}
TABLES = ("run", "candidate", "parent", "experiment", "smoke", "curve", "event", "command", "llm_call", "setting_change", "scratchpad", "ratchet")  # fmt: skip


def rows(path: Path, table: str, run: int) -> list[tuple[object, ...]]:
    """The rows of a table, sorted, without what nobody can know."""
    with closing(sqlite3.connect(path)) as db:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        kept = [name for name in names if name not in UNKNOWN.get(table, set())]
        of_run = f"WHERE run = {run} OR run IS NULL" if "run" in names else ""
        found = db.execute(f"SELECT {', '.join(kept)} FROM {table} {of_run}").fetchall()
    return sorted(([*row] for row in found), key=repr)  # type: ignore[arg-type]


def newest(path: Path) -> float:
    """The moment of a copy: when the last thing in it happened."""
    with closing(sqlite3.connect(path)) as db:
        times = [
            db.execute(f"SELECT max(time) FROM {t}").fetchone()[0]
            for t in ("event", "command", "llm_call", "ratchet")
        ]
        times += db.execute("SELECT max(ended) FROM ratchet").fetchone()
    return max(moment for moment in times if moment is not None)


def same(replay: Replay, copy: Path) -> None:
    """The played journal is the copy."""
    played = replay.workspace / STATE / JOURNAL
    for table in TABLES:
        assert rows(played, table, 1) == rows(copy, table, 1), (table, copy.name)


def copied(path: Path, to: Path) -> Path:
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(to)) as copy:
        db.backup(copy)
    return to


# ---- a story with every step of the journal ------------------------------------------------------------------


class Story:
    """Writes a journal step by step, and keeps a copy after each."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "work"
        self.workspace.mkdir()
        self.path = state_folder(self.workspace) / JOURNAL
        self.journal = Journal.open(self.path)
        self.copies: list[Path] = []
        self._folder = folder

    def step(self, *acts: Callable[[], object]) -> None:
        """Carry out acts, then keep a copy; a moment passes, so that every copy has its own."""
        for act in acts:
            act()
        time.sleep(0.002)
        self.copies.append(copied(self.path, self._folder / f"copy-{len(self.copies):03}.db"))

    def child(
        self, *parents: int, operator: Operator = Operator.TUNE, calls: tuple[int, ...] = ()
    ) -> int:
        number = self.journal.next_candidate_id()
        proposal = Proposal(
            source=f"# {number}\n", operator=operator, proposer="claude", parents=parents, calls=calls,
            title=f"idea {number}: promoted, kept #7", hypothesis="It should pay.", category="optimizer",
        )  # fmt: skip
        self.step(
            lambda: self.journal.add_candidate(
                number, proposal, commit=f"{number:040x}", code_hash=str(number)
            )
        )
        return number

    def train(self, number: int, purpose: Purpose, result: Result, state: CandidateState) -> int:
        self.step(lambda: self.journal.start_experiment(number, purpose, result.seed))
        running = self.journal.running_experiment()
        assert running is not None
        self.step(lambda: self.journal.finish_experiment(running.id, result, state))
        return running.id

    def command(self, verb: str, **args: object) -> int:
        with closing(Client(self.workspace)) as client:
            number = client.send(verb, args, "ann")
        self.step()
        return number


def scored(bpb: float, seed: int = 0) -> Result:
    curve = tuple(CurvePoint(i / 10, i / 10, i * 100, 9.0 - i / 10) for i in range(11))
    return Result(
        Outcome.OK, "It is in.", bpb, seed=seed, curve=curve, train_seconds=1.0, total_seconds=2.0,
        train_tokens=1000, tokens_per_second=1000.0, peak_memory_mb=12.0,
    )  # fmt: skip


def open_step(journal: Journal) -> int:
    step = journal.open_ratchet()
    assert step is not None
    return step.id


def tell(story: Story) -> None:
    """Every step once."""
    j, judged, contender = story.journal, CandidateState.JUDGED, CandidateState.CONTENDER
    story.step(lambda: j.record_event("data", "Looking for the data set."))
    story.step(
        lambda: j.create_run(
            name="nov21", branch="main", base_commit="0" * 40, settings={}, fingerprint={}
        )
    )
    story.child(operator=Operator.SEED)
    story.train(1, Purpose.BASELINE, scored(2.2), judged)
    story.step(lambda: j.crown_baseline(1))
    story.train(1, Purpose.BASELINE, scored(2.21, 1), judged)
    asked = Asked("mutate", (1,), "")
    sha = {"model": "claude", "asked": asked, "request": "{}", "request_sha": "1"}
    story.step(lambda: j.reserve_call(dollars=1.0, **sha))
    story.step(
        lambda: j.answer_call(
            1, response="…", usage=NO_USAGE, dollars=0.25, seconds=1.0, stop_reason="end"
        )
    )
    story.step(
        lambda: j.reserve_call(dollars=1.0, **sha),
        lambda: j.fail_call(2, error="busy", seconds=0.1),
    )
    story.step(
        lambda: j.reserve_call(dollars=1.0, **sha),
        lambda: j.refuse_call(
            3, category="x", error="no", usage=NO_USAGE, dollars=0.1, seconds=1.0
        ),
    )
    story.child(1, calls=(1,))
    story.child(1)
    story.child(1, 2, operator=Operator.CROSSOVER)
    story.step(
        lambda: j.order_queue([4, 2, 3]),
        lambda: j.record_event("queue", "The queue is now #4, #2, #3."),
    )
    number = story.command("move", candidate=3, by=-1)
    story.step(
        lambda: j.order_queue([4, 3, 2]),
        lambda: j.answer_command(number, CommandState.DONE, "#3 is now number 2 in the queue."),
    )
    story.step(lambda: j.start_smoke(3))
    story.step(
        lambda: j.finish_smoke(
            j.smokes(3)[-1], SmokeResult(Outcome.CRASH, "It fell.", traceback="x")
        )
    )
    story.train(2, Purpose.SCREEN, scored(2.1), contender)
    gain = SealedGain(1, 0.02, 0.03)
    story.train(2, Purpose.CONFIRM, scored(2.11, 1), contender)
    story.step(lambda: j.promote(2, "P(better) = 0.99", gain))
    for state in ("deferred", "deferred", "moved"):  # the second one tells nothing new
        story.step(lambda: j.intend_ratchet(2, "a" * 40, "b" * 40, "fast-forward"))
        story.step(partial(j.end_ratchet, open_step(j), state, f"main is {state}."))
    story.step(lambda: j.set_alive(1, False))
    story.step(lambda: j.mark(2, pinned=True), lambda: j.mark(1, banned=True))
    story.step(lambda: j.mark(2, pinned=False), lambda: j.boost(2, 2, "#2 is boosted."))
    story.train(
        4, Purpose.SCREEN, Result(Outcome.VOID, "The power went.", seed=0), CandidateState.READY
    )
    story.train(4, Purpose.SCREEN, scored(2.15), contender)
    story.step(lambda: j.judge(4, Verdict.REJECTED, "Not among the 8 that live.", alive=False))
    story.step(lambda: j.reopen(4, "#4 gets a second chance."))
    story.train(4, Purpose.CONFIRM, scored(2.16, 1), contender)
    story.step(lambda: j.judge(4, Verdict.KEPT, "good enough", alive=True))
    five = story.child(2)
    audit = AuditReport(passed=False, reason="it looked ahead", claimed_bpb=1.0)
    story.train(five, Purpose.SCREEN, scored(2.0), contender)
    lied = replace(scored(2.0), outcome=Outcome.INVALID, val_bpb=None, audit=audit)
    story.train(five, Purpose.CONFIRM, lied, judged)
    story.step(lambda: j.void_score(five, audit, "It looked ahead."))
    six = story.child(2)
    story.step(lambda: j.drop_candidate(six, "Dropped by ann."))
    story.step(lambda: j.want(4, 1, "#4 is measured again."))
    story.train(4, Purpose.CONFIRM, scored(2.155, 2), judged)
    seven = story.child(4)
    story.step(lambda: j.approve(seven, "ann"))
    story.step(lambda: j.change_setting("population.size", "8", "9", "ann"))
    story.step(lambda: j.write_scratchpad("# Summary", source="human", who="ann", settled=3))
    story.step(lambda: j.set_run_state("paused", "Paused by ann."))
    story.step(lambda: j.set_run_state("running", "Resumed by ann."))
    story.step(lambda: j.start_experiment(seven, Purpose.SCREEN, 0))
    running = j.running_experiment()
    assert running is not None
    story.step(
        lambda: j.note_pruning(running.id, {"limit": 2.0, "spared": False}, "It is hopeless.")
    )
    story.step(
        lambda: j.finish_experiment(running.id, Result(Outcome.PRUNED, "It cannot win."), judged)
    )
    story.step(lambda: j.judge(seven, Verdict.REJECTED, "It cannot win.", alive=False))
    story.step(lambda: j.set_run_state("finished", "12 candidates are reached."))
    j.close()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    told = Story(tmp_path_factory.mktemp("story"))
    tell(told)
    return told


def test_every_step_of_the_journal_is_told_as_it_was(story: Story) -> None:
    with Replay(story.path) as replay:
        for copy in story.copies[1:]:
            replay.at(newest(copy))
            same(replay, copy)
        for copy in (story.copies[-1], story.copies[20], story.copies[2], story.copies[40]):
            replay.at(newest(copy))
            same(replay, copy)


def test_the_end_is_what_a_client_says_of_the_recording(story: Story) -> None:
    with Replay(story.workspace) as replay:
        replay.at(replay.ends)
        with closing(Client(story.workspace)) as real, closing(Client(replay.workspace)) as played:
            then, now = real.snapshot(), played.snapshot()
            assert replace(then, time=0.0) == replace(now, time=0.0)
            assert real.candidates() == played.candidates()
            assert real.events() == played.events()
            assert [real.experiments(n, curve=True) for n in range(1, 8)] == [
                played.experiments(n, curve=True) for n in range(1, 8)
            ]


def stretched(story: Story, folder: Path) -> Path:
    """The story with two seconds more after the first training of #2 began."""
    path = copied(story.path, folder / JOURNAL)
    with closing(sqlite3.connect(path, isolation_level=None)) as db, without_rules(db):
        found = "SELECT id, time FROM event WHERE kind = 'started' AND candidate = 2 ORDER BY id LIMIT 1"
        _, moment = db.execute(found).fetchone()
        for table, column in (
            ("event", "time"),
            ("command", "time"),
            ("experiment", "finished"),
            ("experiment", "started"),
        ):
            db.execute(f"UPDATE {table} SET {column} = {column} + 2 WHERE {column} > ?", (moment,))
        db.execute(
            "UPDATE experiment SET setup_seconds = 0.1, eval_seconds = 0.5 WHERE candidate = 2"
        )
        screen = "UPDATE experiment SET started = ? WHERE candidate = 2 AND purpose = 'screen'"
        db.execute(screen, (moment,))
    return path


def test_progress_is_told_as_it_was_written(story: Story, tmp_path: Path) -> None:
    """Of a training that took two seconds, in a journal that says so: in the story it took none."""
    with Replay(stretched(story, tmp_path)) as replay, closing(Client(replay.workspace)) as client:
        start = replay.start_of(2)
        seen = []
        for later in (0.0, 0.55, 1.05, 1.5):
            replay.at(start + later)
            running = client.snapshot().running
            assert running is not None
            assert running.candidate.id == 2
            assert running.progress is not None
            seen.append((running.progress.phase, running.progress.tokens, len(running.curve)))
        assert seen == [
            ("starting", 0, 0),
            ("training", 400, 5),
            ("training", 900, 10),
            ("scoring", 1000, 11),
        ]
        replay.at(start + 3)
        assert client.snapshot().running is None
        replay.at(start + 0.55)
        with closing(Client(replay.workspace)) as again:
            running = again.snapshot().running
            assert running is not None
            assert running.progress is not None
            assert running.progress.tokens == 400


def test_moments_are_found_by_candidates_and_trainings(story: Story) -> None:
    with Replay(story.path) as replay:
        first = replay.start_of(2)
        assert replay.begins < first < replay.ends
        assert replay.neighbour(first, 1) > first > replay.neighbour(first, -1)
        assert replay.neighbour(replay.ends, 1) == replay.ends
        assert replay.neighbour(replay.begins, -1) == replay.begins
        with pytest.raises(UsageError, match="no candidate #99"):
            replay.start_of(99)


# ---- a real engine -------------------------------------------------------------------------------------------


class Copier(threading.Thread):
    """Copies the journal of a night again and again."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.path = folder / "work" / STATE / JOURNAL
        self.copies: list[Path] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.4):
            if self.path.exists():
                to = self._folder / f"copy-{len(self.copies):03}.db"
                self.copies.append(copied(self.path, to))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Copier:
    folder = tmp_path_factory.mktemp("night")
    copier = Copier(folder)
    copier.start()
    try:
        live(folder, 12)
    finally:
        copier.over.set()
        copier.join()
    return copier


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_night_of_a_real_engine_is_told_as_it_was(night: Copier) -> None:
    compared, known = 0, 0
    with Replay(night.path) as replay:
        for copy in night.copies:
            with closing(sqlite3.connect(copy)) as db:
                tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                begun = tables and db.execute("SELECT count(*) FROM run").fetchone()[0]
            if not begun:
                continue
            replay.at(newest(copy))
            played = replay.workspace / STATE / JOURNAL
            told = rows(played, "event", 1)
            assert len(told) >= known
            assert all(event[2] <= newest(copy) for event in told)  # type: ignore[operator]
            known = len(told)
            # A copy may fall between the engine's note of its noise or its queue and the event behind it.
            for table in ("parent", "experiment", "curve", "event", "setting_change"):
                assert rows(played, table, 1) == rows(copy, table, 1), (table, copy.name)
            for table in ("candidate", "llm_call"):
                assert len(rows(played, table, 1)) == len(rows(copy, table, 1))
            compared += 1
        replay.at(replay.ends)
        same(replay, night.path)
    assert compared >= 3


# ---- the file ------------------------------------------------------------------------------------------------


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_the_recording_is_never_touched_also_on_a_medium_that_cannot_be_written(
    story: Story, tmp_path: Path
) -> None:
    shutil.copyfile(story.path, tmp_path / JOURNAL)
    tmp_path.chmod(0o500)
    (tmp_path / JOURNAL).chmod(0o400)
    before = listing(tmp_path)
    with Replay(tmp_path / JOURNAL) as replay:
        replay.at(replay.ends)
    assert listing(tmp_path) == before
    tmp_path.chmod(0o700)


def test_what_stands_in_the_log_of_a_killed_engine_is_played_too(tmp_path: Path) -> None:
    """A journal with a write-ahead log and without its index, as copied off a machine that lost its power."""
    with Journal.open(state_folder(tmp_path) / JOURNAL) as journal:
        journal.create_run(
            name="a", branch="main", base_commit="0" * 40, settings={}, fingerprint={}
        )
        lost = tmp_path / "copy"
        lost.mkdir()
        for end in ("", "-wal"):
            shutil.copyfile(f"{journal.path}{end}", lost / f"{JOURNAL}{end}")
    assert (lost / f"{JOURNAL}-wal").stat().st_size > 0
    before = listing(lost)
    with Replay(lost) as replay:
        replay.at(replay.ends)
        with closing(Client(replay.workspace)) as client:
            assert client.snapshot().run is not None
    assert listing(lost) == before


def test_a_journal_that_an_engine_writes_is_played_as_far_as_it_is(tmp_path: Path) -> None:
    with Journal.open(state_folder(tmp_path) / JOURNAL) as journal:
        journal.create_run(
            name="a", branch="main", base_commit="0" * 40, settings={}, fingerprint={}
        )
        with Replay(tmp_path) as replay:
            journal.record_event("run", "later")
            replay.at(time.time())
            with closing(Client(replay.workspace)) as client:
                assert [event.kind for event in client.events()] == ["run"]


def test_what_cannot_be_played_is_told_in_a_sentence(story: Story, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    data = bytearray(story.path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    damaged.write_bytes(data)
    foreign = tmp_path / "notes.db"
    foreign.write_text("These are notes, not a journal. " * 200)
    torn = tmp_path / "torn.tar.xz"
    torn.write_bytes(DEMO.read_bytes()[:5000])
    empty = tmp_path / "empty"
    Journal.open(state_folder_of(empty) / JOURNAL).close()
    for place, words in (
        (damaged, "damaged.db is damaged"),
        (foreign, "is no journal of autoresearch"),
        (empty, "has no run yet"),
        (tmp_path / "nowhere", "does not exist"),
        (torn, "is no recording, or damaged"),
        (tmp_path / "nowhere.tar.xz", "does not exist"),
        (tmp_path, "has no journal"),
    ):
        with pytest.raises(EvolveError, match=words):
            Replay(place)


def state_folder_of(workspace: Path) -> Path:
    workspace.mkdir()
    return state_folder(workspace)


def test_a_folder_that_a_recording_names_is_never_followed(story: Story, tmp_path: Path) -> None:
    shutil.copyfile(story.path, tmp_path / JOURNAL)
    with (
        closing(sqlite3.connect(tmp_path / JOURNAL, isolation_level=None)) as db,
        without_rules(db),
    ):
        db.execute("UPDATE smoke SET directory = '../../../../etc'")
        db.execute("UPDATE experiment SET directory = '../../../../etc'")
    with Replay(tmp_path) as replay:
        replay.at(replay.ends)
        with closing(sqlite3.connect(replay.workspace / STATE / JOURNAL)) as db:
            found = db.execute(
                "SELECT id, directory FROM experiment UNION SELECT id, directory FROM smoke"
            )
            assert all(directory == str(number) for number, directory in found)
