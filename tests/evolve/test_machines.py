"""Every pair of states of every machine, against the journal's own methods and against plain SQL of a second program."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from evolve.database import without_rules
from evolve.journal import IllegalMove, Journal
from evolve.machines import (
    APPEND_ONLY,
    CALL,
    CANDIDATE,
    COMMAND,
    EXPERIMENT,
    MACHINES,
    RATCHET,
    RUN,
    SMOKE,
    Machine,
)
from evolve.model import CandidateState, CommandState, Purpose
from evolve.propose.operators import NO_USAGE, Asked
from harness.spec import Outcome, Result, SmokeResult
from tests.evolve.workbench import add, baseline, open_journal, result

EACH = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.table)
# The row that is moved, and what has to be there besides its state for the file's constraints to hold.
ROW = {
    "candidate": 3,
    "command": 1,
    "experiment": 2,
    "llm_call": 1,
    "ratchet": 1,
    "run": 1,
    "smoke": 1,
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """One row of every table that has states, each as it was born."""
    with open_journal(tmp_path) as journal:
        baseline(journal)
        two, _ = add(journal, 1), add(journal, 1)
        journal.start_experiment(two, Purpose.SCREEN, 0)
        journal.start_smoke(3)
        journal.reserve_call(
            model="m", asked=Asked("mutate", (1,)), request="{}", request_sha="s", dollars=0.5
        )
        with closing(sqlite3.connect(journal.path)) as client:
            client.execute(
                "INSERT INTO command (time, who, verb, args) VALUES (0, 'a', 'pin', '{}')"
            )
            client.commit()
        journal.intend_ratchet(1, "a" * 40, "b" * 40, "merge")
        yield journal


def values(machine: Machine, state: str) -> dict[str, object]:
    """The columns of a row that is in this state."""
    begun = state == machine.born
    found: dict[str, object] = {machine.column: None if begun and machine.null else state}
    if machine in (EXPERIMENT, SMOKE):
        found["finished"] = None if begun else 9.0
    if machine is EXPERIMENT:
        found["val_bpb"] = found["fitness"] = 1.0 if state == Outcome.OK else None
    if machine is RATCHET:
        found["ended"] = None if begun else 9.0
    return found


def put(db: sqlite3.Connection, machine: Machine, state: str) -> None:
    columns = values(machine, state)
    db.execute(
        f"UPDATE {machine.table} SET {', '.join(f'{c} = :{c}' for c in columns)} WHERE id = :row",
        columns | {"row": ROW[machine.table]},
    )


@EACH
def test_a_second_program_takes_legal_steps_only(journal: Journal, machine: Machine) -> None:
    only = f"UPDATE {machine.table} SET {machine.column} = ? WHERE id = {ROW[machine.table]}"
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        for old, new in product(machine.moves, repeat=2):
            with without_rules(other):
                put(other, machine, old)
            if new in machine.moves[old]:
                put(other, machine, new)
                continue
            for attempt in (
                partial(put, other, machine, new),
                partial(other.execute, only, (values(machine, new)[machine.column],)),
            ):
                with pytest.raises(sqlite3.IntegrityError, match=r"illegal move|never changes"):
                    attempt()
                assert state_of(other, machine) == old, f"{old} to {new}"


def state_of(db: sqlite3.Connection, machine: Machine) -> str:
    found = db.execute(
        f"SELECT {machine.column} FROM {machine.table} WHERE id = {ROW[machine.table]}"
    )
    return found.fetchone()[0] or machine.born


def _by_journal(journal: Journal, machine: Machine, new: str) -> Callable[[], object]:
    """The step to `new` by the journal's own method."""
    if machine is EXPERIMENT:
        score = 1.0 if new == Outcome.OK else None
        ended = Result(Outcome(new), "x", score)
        return lambda: journal.finish_experiment(2, ended, CandidateState.CONTENDER)
    if machine is SMOKE:
        smoke = journal.smokes(3)[0]
        return lambda: journal.finish_smoke(smoke, SmokeResult(Outcome(new), "x"))
    if machine is COMMAND:
        return lambda: journal.answer_command(1, CommandState(new), "x")
    if machine is RATCHET:
        return lambda: journal.end_ratchet(1, new, "x")
    if machine is RUN:
        return lambda: journal.set_run_state(new, "x")
    if machine is CANDIDATE:
        return lambda: _moved(journal, CandidateState(new))
    paid = {"usage": NO_USAGE, "dollars": 0.1, "seconds": 1.0}
    return {
        "answered": lambda: journal.answer_call(1, response="x", stop_reason="end", **paid),
        "refused": lambda: journal.refuse_call(1, category="x", error="x", **paid),
        "failed": lambda: journal.fail_call(1, error="x", **paid),
    }[new]


def _moved(journal: Journal, new: CandidateState) -> None:
    with journal._transaction():
        journal._move(3, new)


@EACH
def test_the_journal_takes_legal_steps_only(
    journal: Journal, machine: Machine, tmp_path: Path
) -> None:
    back = machine not in (CANDIDATE, RUN)  # no method brings such a row back to its beginning
    journal.close()
    for old, new in product(machine.moves, repeat=2):
        if back and new == machine.born:
            continue
        path = tmp_path / f"{old} to {new}.db"
        shutil.copyfile(journal.path, path)
        with Journal.open(path) as copy:
            with without_rules(copy._db):
                put(copy._db, machine, old)
            step = _by_journal(copy, machine, new)
            before = copy._db.total_changes, copy.last_event_id()
            if new in machine.moves[old]:
                step()
                assert state_of(copy._db, machine) == new
            else:
                with pytest.raises(IllegalMove, match=f"cannot go from {old} to {new}"):
                    step()
                assert (copy._db.total_changes, copy.last_event_id()) == before


@EACH
def test_every_column_is_said_to_be_fixed_settled_or_free(
    journal: Journal, machine: Machine
) -> None:
    told = (machine.column, *machine.fixed, *machine.settled, *machine.free)
    there = [row[1] for row in journal._db.execute(f"PRAGMA table_info({machine.table})")]
    assert sorted(told) == sorted(there)


@EACH
def test_what_a_row_was_begun_with_and_what_it_came_to_stay(
    journal: Journal, machine: Machine
) -> None:
    db, row = journal._db, ROW[machine.table]
    db.execute("PRAGMA foreign_keys = OFF")
    if machine.last:
        with without_rules(db):
            put(db, machine, machine.last[0])
    kinds = {c[1]: c[2] for c in db.execute(f"PRAGMA table_info({machine.table})")}
    for column in (*machine.fixed, *machine.settled):
        other = "'another'" if kinds[column] == "TEXT" else "77"
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            db.execute(f"UPDATE {machine.table} SET {column} = {other} WHERE id = {row}")


@EACH
def test_rows_begin_in_their_first_state(journal: Journal, machine: Machine) -> None:
    if not machine.last:
        return
    names = [row[1] for row in journal._db.execute(f"PRAGMA table_info({machine.table})")]
    given = values(machine, machine.last[0]) | {"id": "99"}
    chosen = ", ".join(f":{name}" if name in given else name for name in names)
    with pytest.raises(sqlite3.IntegrityError, match="illegal beginning"):
        journal._db.execute(
            f"INSERT INTO {machine.table} SELECT {chosen} FROM {machine.table} WHERE id = {ROW[machine.table]}",
            {key: value for key, value in given.items() if f":{key}" in chosen},
        )


@pytest.mark.parametrize("table", [m.table for m in MACHINES] + list(APPEND_ONLY))
def test_nothing_is_deleted_or_replaced(journal: Journal, table: str) -> None:
    db = journal._db
    journal.finish_experiment(2, result(1.0, curve=()), CandidateState.CONTENDER)
    db.execute("INSERT INTO curve VALUES (2, 0, 0.5, 1.0, 10, 3.0)")
    journal.change_setting("population.size", "6", "7", "ann")
    journal.write_scratchpad("x", source="human", who="ann", settled=0)
    journal.keep_templates([("v", "mutate", "x")])
    journal.keep_templates([("v", "mutate", "y")])  # known: it stays as it is
    before = db.execute(f"SELECT * FROM {table}").fetchall()
    assert before
    db.execute("PRAGMA foreign_keys = OFF")
    with pytest.raises(sqlite3.IntegrityError, match="never deleted"):
        db.execute(f"DELETE FROM {table}")
    with pytest.raises(sqlite3.IntegrityError, match=r"never replaced|illegal beginning"):
        db.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    if table in APPEND_ONLY:
        column = db.execute(f"PRAGMA table_info({table})").fetchone()[1]
        with pytest.raises(sqlite3.IntegrityError, match="never changes"):
            db.execute(f"UPDATE {table} SET {column} = {column}")
    assert db.execute(f"SELECT * FROM {table}").fetchall() == before


def test_there_is_one_open_row_where_there_is_one_slot(journal: Journal) -> None:
    for insert in (
        "INSERT INTO experiment (id, run, candidate, purpose, seed, directory, started) "
        "VALUES (9, 1, 1, 'baseline', 9, '9', 0)",
        "INSERT INTO smoke (id, run, candidate, directory, started) VALUES (9, 1, 1, 'x', 0)",
        "INSERT INTO ratchet (run, time, candidate, tip, target, kind) "
        f"VALUES (1, 0, 1, '{'a' * 40}', '{'b' * 40}', 'merge')",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            journal._db.execute(insert)
    with pytest.raises(IllegalMove, match="is being moved to #1 already"):
        journal.intend_ratchet(1, "a" * 40, "c" * 40, "merge")


def test_rules_that_somebody_took_away_are_back_at_the_next_start(journal: Journal) -> None:
    with closing(sqlite3.connect(journal.path)) as other:
        other.execute("DROP TRIGGER rule_experiment_moves")
        other.execute("DROP TRIGGER rule_event_stays")
        other.execute("CREATE TRIGGER rule_event_stays BEFORE UPDATE ON event BEGIN SELECT 1; END")
    journal.close()
    with Journal.open(journal.path) as again:
        with pytest.raises(sqlite3.IntegrityError, match="a row of event never changes"):
            again._db.execute("UPDATE event SET text = 'another'")
        with pytest.raises(sqlite3.IntegrityError, match="illegal move"):
            again._db.execute("UPDATE experiment SET outcome = 'void' WHERE id = 1")


def test_a_call_s_price_is_booked_once(journal: Journal) -> None:
    assert CALL.last == ("answered", "refused", "failed")
    journal.fail_call(1, error="x", seconds=1.0, dollars=0.25)
    with pytest.raises(IllegalMove):
        journal.fail_call(1, error="x", seconds=1.0, dollars=0.25)
    assert journal.run().dollars == 0.25
