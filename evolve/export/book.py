"""Questions that only an export asks of a journal: whole tables of a run row by row, and who was main when.

A reader with a few questions more. It writes nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from evolve import rows
from evolve.database import faults
from evolve.reader import Reader

if TYPE_CHECKING:
    from evolve.export.tables import Table

# The journal tells of main in events; a candidate may become main long after its first verdict.
_CROWNED = re.compile(r"#\d+ (?:is the baseline|promoted)\b")


class Book(Reader):
    """A connection for exports. All of it is about the newest run."""

    def each_row(self, sql: str) -> Iterator[sqlite3.Row]:
        """The rows of one of the questions in `rows`, oldest first, as they are read."""
        return self._each(f"{sql} WHERE run = ? ORDER BY id", (self.run_id(),))

    def each_event(self) -> Iterator[sqlite3.Row]:
        """The story, oldest first, with what happened before the run began."""
        sql = f"{rows.EVENT} WHERE run IS NULL OR run = ? ORDER BY id"
        return self._each(sql, (self.run_id(),))

    def each_batch(self, table: Table, size: int) -> Iterator[list[tuple[Any, ...]]]:
        """The cells of the columns that the journal has of a table, in its order, `size` rows at a time."""
        which, values = _of_run(table)
        names = ", ".join(column.origin for column in table.stored)
        sql = f"SELECT {names} FROM {table.source} WHERE {which} ORDER BY {table.order}"  # noqa: S608 - our own words
        run = self.run()
        known = {"run": run.id, "created": run.created, "name": run.name}
        with faults(self.path):
            cursor = self._db.execute(sql, {name: known[name] for name in values})
            cursor.row_factory = None
            while rows := cursor.fetchmany(size):
                yield rows

    def each_point(self) -> Iterator[sqlite3.Row]:
        """Training, candidate, fraction, seconds, tokens and loss of every point of every curve, in order."""
        return self._each(
            "SELECT c.experiment, e.candidate, c.fraction, c.seconds, c.tokens, c.loss FROM experiment AS e "
            "JOIN curve AS c ON c.experiment = e.id WHERE e.run = ? ORDER BY e.id, c.position",
            (self.run_id(),),
        )

    def crowned(self) -> tuple[tuple[float, int], ...]:
        """When which candidate became main (unix seconds, number), the baseline first."""
        told = self._each(
            "SELECT time, text, candidate FROM event WHERE run = ? AND kind = 'verdict' "
            "AND candidate IS NOT NULL ORDER BY id",
            (self.run_id(),),
        )
        return tuple((row[0], row[2]) for row in told if _CROWNED.match(row[1]))

    def ends(self) -> tuple[float, ...]:
        """When the trainings of the run ended, unix seconds, ascending."""
        sql = "SELECT finished FROM experiment WHERE run = ? AND finished IS NOT NULL ORDER BY finished"
        return tuple(row[0] for row in self._each(sql, (self.run_id(),)))


def _of_run(table: Table) -> tuple[str, tuple[str, ...]]:
    """The condition for the rows of one run, and what it names."""
    match table.mine:
        case "run" | "id":
            return f"{table.mine} = :run", ("run",)
        case "run?":  # of none: what happened before the run began
            return "run IS NULL OR run = :run", ("run",)
        case "time":
            return "time >= :created", ("created",)
        case (
            "key"
        ):  # facts about other runs are not this one's, nor is how it came into this journal
            return (
                "(key NOT LIKE '% of %' OR key LIKE '% of ' || :name) AND key NOT LIKE 'imported%'",
                ("name",),
            )
        case _ if table.source == "curve":
            return "experiment IN (SELECT id FROM experiment WHERE run = :run)", ("run",)
        case _:
            return "1", ()
