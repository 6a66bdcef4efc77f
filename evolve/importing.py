"""A run that was exported, or that the ancestor left, as a journal of this workspace: finished, to be looked at and exported again.

The journal is written beside its place, examined as a whole, read through as every client would, and only then put there. So
whatever is wrong with what somebody sent ends in a sentence, and leaves nothing. It is never gone on with: `Reader.imported_from` says
so to whoever would. It writes the journal and nothing else.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.database import open_writer, without_rules
from evolve.export.gather import gather
from evolve.export.tables import TABLES, Table
from evolve.importing_rows import Damaged, Row, checked
from evolve.model import EvolveError, UsageError
from evolve.places import JOURNAL, STATE, state_folder
from evolve.reader import IMPORTED
from evolve.rows import as_json
from evolve.soundness import examine
from evolve.text import check_run_name, one_line

Rows = Iterator[tuple[Table, Row]]
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_CUT_OFF = "It was still going on when the export was made."


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in."""

    run: str
    candidates: int
    trainings: int
    scripts: bool  # does git here have the script that main held?


def bring_in(rows: Iterable[tuple[Table, Row]], workspace: Path, origin: str) -> Imported:
    """Make the journal of `workspace` from rows in the order of `TABLES`; `origin` says in words where they are from.

    Raises UsageError where a run is already, EvolveError where the rows are not those of a run.
    """
    path = workspace / STATE / JOURNAL
    if path.exists():
        raise UsageError(
            f"There is a run in {workspace} already, and an import never touches it; name a folder for the import."
        )
    temporary = state_folder(workspace) / f"{JOURNAL}.import"
    try:
        _remove(temporary)
        try:
            _write(temporary, rows, origin)
            found = _looked_at(temporary, workspace)
        except Damaged as error:
            raise EvolveError(f"{origin} cannot be imported: {error}") from None
        except sqlite3.IntegrityError as error:
            raise EvolveError(
                f"{origin} cannot be imported, its rows do not fit together ({one_line(str(error), 120)})."
            ) from None
        try:
            path.hardlink_to(temporary)  # unlike a rename, never in place of something
        except FileExistsError:
            raise UsageError(f"A run has just begun in {workspace}; name another folder.") from None
        return found
    finally:
        _remove(temporary)


# ---- private -------------------------------------------------------------------------------------------------


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _write(path: Path, rows: Iterable[tuple[Table, Row]], origin: str) -> None:
    with closing(open_writer(path)) as db:
        db.execute("PRAGMA synchronous = OFF")  # it is made durable at the end
        db.execute(
            "PRAGMA foreign_keys = OFF"
        )  # looked at by `examine`, for the run comes before its candidates
        with without_rules(db):  # rows come in as they ended
            name = _insert(db, rows)
            _end(db)
            told = as_json({"from": one_line(origin, 200), "at": time.time()})
            db.execute("INSERT INTO meta VALUES (?, ?)", (IMPORTED.format(name), told))
        state = examine(db)
        if not state.whole:
            raise Damaged("; ".join((*state.damage, *state.oddities)[:3]))
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode = DELETE")  # so that the file alone is all of it


def _insert(db: sqlite3.Connection, rows: Iterable[tuple[Table, Row]]) -> str:
    """All rows; returns the name of the run."""
    statements = {table.name: _statement(table) for table in TABLES}
    name, order = "", [table.name for table in TABLES]
    at = 0
    for table, row in rows:
        place = order.index(table.name)
        if place < at or (place > 0 and not name):
            raise Damaged(f"its table {table.name} is not where it belongs")
        at = place
        cells = checked(table, row)
        if table.name == "run":
            if name:
                raise Damaged("it holds more than one run")
            name = _run_name(cells["name"])
        if table.name == "candidates":
            _check_candidate(cells)
        db.execute(statements[table.name], cells)
        if table.name == "candidates":
            links = enumerate(json.loads(cells["parents"]))
            db.executemany("INSERT INTO parent VALUES (1, ?, ?, ?)", ((cells["id"], *link) for link in links))  # fmt: skip
    if not name:
        raise Damaged("it holds no run")
    return name


def _run_name(name: str) -> str:
    try:
        return check_run_name(name)
    except UsageError as error:
        raise Damaged(str(error)) from None


def _check_candidate(cells: dict[str, Any]) -> None:
    if not _OID.fullmatch(cells["commit"]):  # handed to git later on
        raise Damaged(f"the commit of #{cells['id']} is none")
    parents = json.loads(cells["parents"])
    if len(parents) > 2 or any(not 0 < parent < cells["id"] for parent in parents):
        raise Damaged(f"the parents of #{cells['id']} cannot be its parents")


def _own(table: Table) -> dict[str, str]:
    """Columns that an import fills by itself. A folder's name must never come from outside."""
    own = {"run": {"id": "1"}, "experiments": {"directory": "CAST(:id AS TEXT)"},
           "smoke_runs": {"directory": "'smoke-' || CAST(:id AS TEXT)"}}.get(table.name, {})  # fmt: skip
    if table.mine == "run?":
        return {"run": "CASE WHEN :before_run THEN NULL ELSE 1 END"}
    return own | ({"run": "1"} if table.mine == "run" else {})


def _statement(table: Table) -> str:
    plain = (column for column in table.stored if column.origin.isidentifier())
    given = {column.origin: f":{column.name}" for column in plain} | _own(table)
    return f"INSERT INTO {table.source} ({', '.join(given)}) VALUES ({', '.join(given.values())})"  # noqa: S608


def _end(db: sqlite3.Connection) -> None:
    """An export of a run that went on: what was under way has ended without a result, and the run has stopped."""
    db.execute(
        "UPDATE experiment SET finished = started, outcome = 'void', reason = ? WHERE finished IS NULL",
        (_CUT_OFF,),
    )
    db.execute("UPDATE smoke SET finished = started, outcome = 'void', reason = ? WHERE finished IS NULL", (_CUT_OFF,))  # fmt: skip
    db.execute(
        "UPDATE candidate SET state = CASE WHEN verdict IS NOT NULL THEN 'judged' WHEN scores != '[]' THEN 'contender' "
        "ELSE 'ready' END WHERE state = 'training'"
    )
    db.execute(
        "UPDATE ratchet SET state = 'abandoned', ended = time, reason = ? WHERE state = 'intended'",
        (_CUT_OFF,),
    )
    db.execute("UPDATE command SET state = 'refused', answer = ? WHERE state = 'pending'", (_CUT_OFF,))  # fmt: skip
    db.execute(
        "UPDATE run SET state = 'stopped', reason = ?, finished = coalesce("
        "(SELECT max(time) FROM event), created) WHERE state IN ('running', 'paused')",
        (_CUT_OFF,),
    )


def _looked_at(path: Path, workspace: Path) -> Imported:
    """Read everything as clients do, so that none of them meets what it cannot read."""
    try:
        with gather(path, workspace) as gathered:
            for rows in (gathered.experiments(), gathered.smokes(), gathered.calls(), gathered.events(),
                         gathered.moves(), gathered.prompts(), gathered.scratchpads(), gathered.commands()):  # fmt: skip
                for _ in rows:
                    pass
            settings = gathered.run.settings
            if any(not isinstance(settings[key], dict) for key in settings if key != "profile"):
                raise Damaged("its settings are none")
            len(gathered.settings)
            main = gathered.run.incumbent
            scripts = main is not None and gathered.source(main) is not None
            return Imported(
                gathered.run.name, len(gathered.everybody), gathered.tally.experiments, scripts
            )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise Damaged(f"its rows cannot be read ({one_line(str(error), 120)})") from None
