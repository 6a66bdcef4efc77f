"""A journal that an older version wrote: it is read as it is, brought up to date by an engine, and loses nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.journal import Journal, state_folder
from evolve.model import CandidateState, Purpose, Verdict
from evolve.reader import Reader
from evolve.schema import LADDER, VERSION
from harness.spec import Outcome
from tests.evolve.workbench import judged, oid, report, result, train

RUN = """INSERT INTO run (id, name, created, state, reason, branch, base_commit, settings, fingerprint, sigma)
    VALUES (1, 'old', 1.0, 'stopped', 'Stopped.', 'main', ?, '{}', '{"device": "cpu"}', 0.01)"""
CANDIDATE = """INSERT INTO candidate (run, id, operator, proposer, title, hypothesis, category, commit_oid, source_sha,
    code_hash, lines, created, state, alive, verdict, generation, prompt_version, model, priority, changes, parents,
    scores, outcome) VALUES (1, 1, 'seed', 'human', 'the baseline', '', 'other', ?, '', 'h', 9, 1.0, 'judged', 1,
    'baseline', 0, '', '', 0, '[]', '[]', '[2.0,2.1]', 'ok')"""
EXPERIMENT = """INSERT INTO experiment (id, run, candidate, purpose, seed, directory, started, finished, outcome, val_bpb,
    tokens_per_second) VALUES (?, 1, 1, 'baseline', ?, '1', 1.0, 2.0, 'ok', ?, 1000.0)"""


def write(workspace: Path, version: int) -> Path:
    """The journal of a workspace as version `version` wrote it, made by the statements of that version."""
    path = state_folder(workspace) / "journal.db"
    with closing(sqlite3.connect(path)) as db:
        for statement in (s for step in LADDER[:version] for s in step):
            db.execute(statement)
        db.execute(RUN, (oid(1),))
        db.execute(CANDIDATE, (oid(1),))
        db.executemany(EXPERIMENT, [(1, 0, 2.0), (2, 1, 2.1)])
        db.execute("UPDATE run SET incumbent = 1")
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A workspace with the file of a version 1."""
    write(tmp_path, 1)
    return tmp_path


def test_a_client_reads_an_older_file_without_touching_it(old: Path) -> None:
    path = old / ".autoresearch" / "journal.db"
    before = path.read_bytes()
    client = Client(old)
    snapshot = client.snapshot()
    assert snapshot.incumbent is not None
    assert (snapshot.incumbent.scores, snapshot.incumbent.voided) == ((2.0, 2.1), "")
    assert (snapshot.voided, snapshot.drift) == (0, "")
    assert [(e.val_bpb, e.sealed_bpb, e.audit) for e in client.experiments(1)] == [
        (2.0, None, None),
        (2.1, None, None),
    ]
    assert client.scratchpads() == client.templates() == ()
    assert path.read_bytes() == before
    # An engine brings the file up to date under the open app: it sees the new facts too.
    with Journal.open(path) as journal:
        train(
            journal, 1, 2.2, Purpose.BASELINE, CandidateState.JUDGED, sealed_bpb=2.4, audit=report()
        )
        last = client.experiments(1)[-1]
        assert (last.sealed_bpb, last.audit) == (2.4, report())
    client.close()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_what_any_older_version_wrote_is_there_and_its_rules_hold(
    version: int, tmp_path: Path
) -> None:
    path = write(tmp_path, version)
    with closing(sqlite3.connect(path)) as db:
        before = {
            table: db.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("run", "candidate", "experiment")
        }
        if version == 3:  # an engine that was killed twice while it tried a candidate out
            for number in (1, 2):
                db.execute(
                    "INSERT INTO smoke (id, run, candidate, directory, started) VALUES (?, 1, 1, '', 5.0)",
                    (number,),
                )
            db.commit()
    with Journal.open(path) as journal:
        for table, rows in before.items():
            found = journal._db.execute(f"SELECT * FROM {table}").fetchall()
            assert [tuple(row)[: len(rows[0])] for row in found] == rows
        assert journal._db.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="illegal move"):
            journal._db.execute("UPDATE candidate SET state = 'ready'")
        smoke = journal.running_smoke()
        assert (smoke and smoke.id) == (2 if version == 3 else None)
        again = journal.start_experiment(1, Purpose.BASELINE, 2)
        journal.void_experiment(again.id, "The machine went down.")
        step = journal.intend_ratchet(1, "a" * 40, "b" * 40, "merge")
        journal.end_ratchet(step, "moved", "main moved.")


def test_an_engine_brings_an_older_file_up_to_date(old: Path) -> None:
    path = old / ".autoresearch" / "journal.db"
    with Journal.open(path) as journal:
        assert journal._db.execute("PRAGMA user_version").fetchone()[0] == VERSION == 4
        assert journal.scores_by_seed(1) == {0: 2.0, 1: 2.1}
        assert journal.sealed_by_seed(1) == {}
        assert [s.tokens_per_second for s in journal.speeds()] == [1000.0, 1000.0]
        child = judged(journal, 1.9, Verdict.KEPT, 1)
        assert journal.candidate(child).sealed_gain is None
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_fresh_file_and_one_brought_up_to_date_hold_the_same_tables(
    old: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh = state_folder(tmp_path_factory.mktemp("fresh")) / "journal.db"
    columns = []
    for path in (old / ".autoresearch" / "journal.db", fresh):
        with Journal.open(path) as journal:
            tables = [
                r[0] for r in journal._db.execute("SELECT name FROM sqlite_master ORDER BY 1")
            ]
            columns.append(
                {
                    t: [tuple(c) for c in journal._db.execute(f"PRAGMA table_info({t})")]
                    for t in tables
                }
            )
    assert columns[0] == columns[1]


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_client_finds_every_column_of_today_in_a_file_of_any_version(
    version: int, tmp_path: Path
) -> None:
    older = state_folder(tmp_path) / "journal.db"
    with closing(sqlite3.connect(older)) as db:
        for statement in (s for step in LADDER[:version] for s in step):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.commit()
    with Journal.open(tmp_path / "today.db") as today:
        tables = [
            row[0] for row in today._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]  # fmt: skip
        with Reader.open(older) as reader:
            for table in tables:
                ours = {row[1] for row in today._db.execute(f"PRAGMA table_info({table})")}
                read = {c[0] for c in reader._db.execute(f"SELECT * FROM {table}").description}
                assert ours <= read, table


# ---- the new columns -------------------------------------------------------------------------------------


def test_audit_and_sealed_score_come_back_as_they_were_found(old: Path) -> None:
    with Journal.open(old / ".autoresearch" / "journal.db") as journal:
        found = report(passed=False, claimed=0.5, mean=1.25, outliers=3, stateful=0.5, largest=0.75)
        child = judged(journal, 1.9, Verdict.KEPT, 1)
        void = result(None, outcome=Outcome.INVALID, audit=found, sealed_bpb=0.5)
        experiment = journal.start_experiment(child, Purpose.CONFIRM, 1)
        journal.finish_experiment(experiment.id, void, CandidateState.JUDGED)
        last = journal.experiments(child)[-1]
        assert last.audit == found
        assert last.sealed_bpb is None  # a failure never becomes a number
        again = journal.start_experiment(child, Purpose.CONFIRM, 2)
        with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
            journal._db.execute(
                "UPDATE experiment SET outcome = 'crash', finished = 2.0, sealed_bpb = 0.9 WHERE id = ?",
                (again.id,),
            )


def test_a_score_can_be_discounted_once_and_nothing_else_of_it_changes(old: Path) -> None:
    with Journal.open(old / ".autoresearch" / "journal.db") as journal:
        journal.discount(2, "The machine was slow.")
        journal.discount(2, "Another reason.")
        assert journal.candidate(1).scores == (2.0,)
        assert journal.scores_by_seed(1) == {0: 2.0}
        second = journal.experiments(1)[1]
        assert (second.val_bpb, second.discounted) == (2.1, "The machine was slow.")
        for column in ("val_bpb", "sealed_bpb", "audit", "seed"):
            with pytest.raises(sqlite3.IntegrityError, match="never changes"):
                journal._db.execute(f"UPDATE experiment SET {column} = 7 WHERE id = 2")
