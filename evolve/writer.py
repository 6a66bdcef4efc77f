"""What every write to the journal is made of: one durable transaction, its events, and legal moves only.

It also remembers candidates between two writes, which is sound because nobody else writes them. Which steps
there are is `journal`'s and `spending`'s to say.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from evolve.database import faults, open_writer
from evolve.machines import CANDIDATE, IllegalMove
from evolve.model import Candidate, CandidateState
from evolve.reader import Reader
from evolve.rows import as_json
from evolve.text import one_line
from harness.crashpoints import reached

__all__ = ["IllegalMove", "Writer"]

Effect = Callable[[], None]  # outside the journal


class Writer(Reader):
    """The engine's connection. Answers every question of `Reader` too."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Use `Journal.open`."""
        super().__init__(db, path)
        self._known: dict[int, Candidate] = {}
        self._known_of = 0  # the run to which they belong
        self._stale: set[int] = set()
        self._effects: list[Effect] | None = None  # a list within `together`

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the journal at `path`; the caller holds the engine's lock.

        Raises EvolveError when the file is none, comes from a newer version, or cannot be written.
        """
        return cls(open_writer(path), path)

    def candidates(self, after: int = 0, limit: int | None = None) -> tuple[Candidate, ...]:
        """As `Reader.candidates`; without arguments answered from memory, since nobody else writes them."""
        if after or limit is not None:
            return super().candidates(after, limit)
        run = self.run_id()
        if run != self._known_of:
            self._known_of, self._stale = run, set()
            self._known = {c.id: c for c in super().candidates()}
        for number in sorted(self._stale):
            for fresh in self._candidates("AND id = ?", number):
                self._known[number] = fresh
        self._stale = set()
        return tuple(self._known.values())

    @contextmanager
    def together(self) -> Iterator[list[Effect]]:
        """Several steps as one: all of them are in the journal afterwards, or none is.

        Gives a list, which holds at the end what `afterwards` was given meanwhile; whoever opened this does it.
        """
        effects: list[Effect] = []
        with self._transaction():
            self._effects = effects
            try:
                yield effects
            finally:
                self._effects = None

    def afterwards(self, effect: Effect) -> None:
        """Do this once all that is written now is durable: at once, except within `together`."""
        if self._effects is None:
            effect()
        else:
            self._effects.append(effect)

    # ---- for the methods that write -------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._effects is not None:  # a part of a larger step
            yield
            return
        with faults(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                reached("journal.before-commit")
                self._db.execute("COMMIT")
                reached("journal.after-commit")
            except BaseException:
                self._known_of = 0  # what was read meanwhile may not have come to be
                if self._db.in_transaction:  # SQLite may have rolled back by itself, on a full disk
                    self._db.execute("ROLLBACK")
                raise

    def _event(
        self,
        kind: str,
        text: str,
        candidate: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        cursor = self._db.execute(
            "INSERT INTO event (run, time, kind, text, candidate, data) VALUES (?, ?, ?, ?, ?, ?)",
            (
                self.run_id() or None,
                time.time(),
                kind,
                one_line(text),
                candidate,
                as_json(data or {}),
            ),
        )
        return int(cursor.lastrowid or 0)

    def _move(self, number: int, new: CandidateState) -> None:
        old = self.candidate(number).state
        CANDIDATE.check(f"#{number}", old, new)
        self._update(number, state=str(new))

    def _update(self, number: int, **columns: object) -> None:
        """Set columns of one candidate; their names are our own, never anybody's input."""
        self._stale.add(number)
        self._db.execute(
            f"UPDATE candidate SET {', '.join(f'{c} = :{c}' for c in columns)} "  # noqa: S608
            "WHERE run = :of_run AND id = :number",
            columns | {"of_run": self.run_id(), "number": number},
        )
