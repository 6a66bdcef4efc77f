"""Rows of a journal that is damaged, table by table: through SQLite where it still can, else off the pages themselves.

A record from a page has lost the name of its table; it is told by its shape, which differs between all tables of the journal.
`merged` joins what several files know: what never changes is believed of a copy that was sound, what may change of the
file that was written last. It writes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evolve.machines import APPEND_ONLY, MACHINES, Machine
from evolve.pages import Found, Pages, Value
from evolve.schema import LADDER

Row = dict[str, Value]
Tables = dict[str, dict[tuple[Value, ...], Row]]  # table → key → row

KEYS: dict[str, tuple[str, ...]] = {
    **{machine.table: machine.key for machine in MACHINES},
    **APPEND_ONLY,
    "meta": ("key",),
}
_NOTES = ("model", "builtin", "human")  # sources of a scratchpad, which an event's kind never is
_TYPES: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,)}


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    types: tuple[type, ...]
    may_be_null: bool


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a record of a table looks like."""

    table: str
    columns: tuple[_Column, ...]
    least: int  # columns that it had when it was new: older records are shorter
    alias: bool  # its first column is the rowid and stands in the record as NULL
    rowid: bool

    def fits(self, found: Found) -> bool:
        if (found.rowid is not None) != self.rowid:
            return False
        if not self.least <= len(found.values) <= len(self.columns):
            return False
        values = found.values
        if self.alias and values[0] is not None:
            return False
        if self.table == "scratchpad" and values[3] not in _NOTES:
            return False
        if self.table == "event" and values[3] in _NOTES:
            return False
        return all(
            column.may_be_null if value is None else isinstance(value, column.types)
            for column, value in zip(self.columns, values, strict=False)
        )

    def row(self, found: Found) -> Row:
        row = dict(zip((column.name for column in self.columns), found.values, strict=False))
        return row | {self.columns[0].name: found.rowid} if self.alias else row


def rows_of(path: Path) -> Tables:
    """Every row that can be read in the file at `path`, which may be damaged in any way.

    Its write-ahead log counts where it is beside it. SQLite may change the file: give it a copy.
    """
    found: Tables = {}
    unread = []
    for table, key in KEYS.items():
        rows = _by_sqlite(path, table)
        if rows is None:
            unread.append(table)
        else:
            found[table] = {tuple(row[name] for name in key): row for row in rows}
    if unread:
        found |= _by_pages(path, unread)
    return found


def merged(damaged: Tables, copies: Sequence[Tables]) -> Tables:
    """What a damaged file and sound copies of before know together; of the copies, the first is the newest."""
    machines = {machine.table: machine for machine in MACHINES}
    found: Tables = {}
    for table in KEYS:
        rows: dict[tuple[Value, ...], Row] = {}
        for copy in reversed(copies):
            rows |= copy.get(table, {})
        for key, row in damaged.get(table, {}).items():
            known = rows.get(key)
            if known is None or table == "meta":
                rows[key] = row
            elif table in machines:
                rows[key] = _joined(machines[table], row, known)
        found[table] = dict(sorted(rows.items(), key=lambda item: item[0]))
    return found


# ---- private ---------------------------------------------------------------------------------------------


def _joined(machine: Machine, newer: Row, known: Row) -> Row:
    """A row of a damaged file, with what the sound copy knows for certain."""
    certain = [*machine.fixed]
    if known.get(machine.column) in machine.last:
        certain += [machine.column, *machine.settled]
    return known | newer | {name: known[name] for name in certain if name in known}


def _by_sqlite(path: Path, table: str) -> list[Row] | None:
    """All rows of a table, or None where SQLite meets damage on the way; empty where there is no such table."""
    try:
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA cell_size_check = ON")
            there = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            if there is None:
                return [] if db.execute("PRAGMA user_version").fetchone()[0] else None
            cursor = db.execute(f"SELECT * FROM {table} NOT INDEXED")  # noqa: S608 - our own words
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
    except sqlite3.Error:
        return None


def _by_pages(path: Path, tables: Iterable[str]) -> Tables:
    shapes = [shape for shape in _shapes() if shape.table in tables]
    found: Tables = {shape.table: {} for shape in shapes}
    for record in Pages(path).records(plain=any(not shape.rowid for shape in shapes)):
        for shape in shapes:
            if shape.fits(record):
                row = shape.row(record)
                found[shape.table][tuple(row[name] for name in KEYS[shape.table])] = row
                break
    return found


@cache
def _shapes() -> tuple[_Shape, ...]:
    """What records look like, read off the tables that every version of the journal made."""
    counts: dict[str, int] = {}
    with closing(sqlite3.connect(":memory:")) as db:
        for step in LADDER:
            for statement in step:
                db.execute(statement)
            for table in KEYS:
                columns = db.execute(f"PRAGMA table_info({table})").fetchall()
                if columns:
                    counts.setdefault(table, len(columns))
        return tuple(_shape(db, table, counts[table]) for table in KEYS if table != "parent")


def _shape(db: sqlite3.Connection, table: str, least: int) -> _Shape:
    statement = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    columns = db.execute(f"PRAGMA table_info({table})").fetchall()
    rowid = not statement.endswith("WITHOUT ROWID")
    alias = rowid and "INTEGER PRIMARY KEY" in statement
    return _Shape(
        table,
        tuple(
            _Column(name, _TYPES[kind], not needed)  # a rowid's alias is NULL in its record
            for _, name, kind, needed, _, _ in columns
        ),
        least,
        alias,
        rowid,
    )
