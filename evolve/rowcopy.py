"""Brings rows of a recorded journal into a played one, whole or as far as they were known at a moment.

One connection has both: `main` is played, `recorded` is read. What a row means is `retelling`'s to say. Folders of trainings
are named anew on the way: a name in a file that somebody sent must not lead out of the scratch workspace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

Values = Mapping[str, object] | tuple[object, ...]
STAMP = "touched"  # given out by a trigger of the journal that is written


class Rows:
    """The rows of every table."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """`db` has both journals."""
        self._db = db
        tables = "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        self._columns = {
            row["name"]: self._shared(row["name"]) for row in db.execute(tables).fetchall()
        }

    def one(self, sql: str, values: Values = ()) -> sqlite3.Row:
        """The only row of an answer."""
        row: sqlite3.Row = self._db.execute(sql, values).fetchone()
        return row

    def of_run(self, table: str) -> tuple[str, ...]:
        """The condition for the rows of run `:run`, where a table has several runs."""
        key = "id" if table == "run" else "run"
        return (f"{key} = :run",) if key in self._columns[table] else ()

    def clear(self) -> None:
        """Nothing has happened yet."""
        for table in self._columns:
            self._db.execute(f"DELETE FROM main.{table}")  # noqa: S608 - our own words

    def latest(self, table: str, run: int) -> float:
        """When the last row of a run came that its own time brings in, unix seconds; 0 without one."""
        which = " AND ".join(["1", *self.of_run(table)])
        asked = f"SELECT coalesce(max(time), 0) FROM recorded.{table} WHERE {which}"  # noqa: S608
        return float(self.one(asked, {"run": run})[0])

    def bring(
        self, table: str, which: str, values: Values, instead: Mapping[str, object] | None = None
    ) -> None:
        """Bring in the rows of `table` that fit, with other values `instead` in some columns; names are our own."""
        other = {k: _literal(v) for k, v in (instead or {}).items() if k in self._columns[table]}
        if "directory" in self._columns[table]:
            other["directory"] = "CAST(id AS TEXT)"
        same = [name for name in self._columns[table] if name not in other]
        self._db.execute(
            f"INSERT OR REPLACE INTO main.{table} ({', '.join([*same, *other])}) "  # noqa: S608
            f"SELECT {', '.join([*same, *other.values()])} FROM recorded.{table} WHERE {which}",
            values,
        )

    def begin(self, table: str, known: tuple[str, ...], number: int) -> None:
        """A training or a smoke run begins: only these columns of its row are known."""
        names = ", ".join(name for name in known if name in self._columns[table])
        self._db.execute(
            f"INSERT OR REPLACE INTO main.{table} ({names}, directory) "  # noqa: S608
            f"SELECT {names}, CAST(id AS TEXT) FROM recorded.{table} WHERE id = ?",
            (number,),
        )

    def complete(self, table: str, number: int, keep: tuple[str, ...] = ()) -> None:
        """A row is as the recording has it, but for the columns that `keep` what they hold."""
        names = [n for n in self._columns[table] if n not in ("id", "directory", *keep)]
        self._db.execute(
            f"UPDATE main.{table} SET ({', '.join(names)}) = "  # noqa: S608
            f"(SELECT {', '.join(names)} FROM recorded.{table} WHERE id = :id) WHERE id = :id",
            {"id": number},
        )

    def _shared(self, table: str) -> tuple[str, ...]:
        """The columns that the recording has too; what one of another day lacks has its default."""
        there, here = (
            [row["name"] for row in self._db.execute(f"PRAGMA {schema}.table_info({table})")]
            for schema in ("recorded", "main")
        )
        return tuple(name for name in here if name in there and name != STAMP)


def _literal(value: object) -> str:
    """A value of our own as SQL: a text without quotes, a number, or nothing."""
    if value is None:
        return "NULL"
    return f"'{value}'" if isinstance(value, str) else repr(value)
