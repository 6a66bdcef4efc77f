"""What every write to the journal is made of: one durable transaction, its events, and legal moves only.

It also remembers candidates between two writes, which is sound because nobody else writes them. Which steps
there are is `journal`'s and `spending`'s to say.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from evolve.database import faults, open_writer
from evolve.machines import CANDIDATE, IllegalMove
from evolve.model import Candidate, CandidateState, Run
from evolve.reader import Reader, Tally
from evolve.rows import as_json
from evolve.text import one_line
from harness.crashpoints import reached

__all__ = ["IllegalMove", "Writer"]

_REMEMBERED = 2_048  # candidates; some kilobytes each
_T = TypeVar("_T")

Effect = Callable[[], None]  # outside the journal


class Writer(Reader):
    """The engine's connection. Answers every question of `Reader` too."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Use `Journal.open`."""
        super().__init__(db, path)
        self.undone = 0  # transactions that came to nothing: what was read within them may never have come to be
        self._run: int | None = None  # the newest one; None = not known
        self._known: dict[int, Candidate] = {}  # those that were asked for of late
        self._stale: set[int] = set()
        self._counted: dict[
            str, tuple[int, Any]
        ] = {}  # answer and the number of changes it was given at
        self._effects: list[Effect] | None = None  # a list within `together`

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the journal at `path`; the caller holds the engine's lock.

        Raises EvolveError when the file is none, comes from a newer version, or cannot be written.
        """
        return cls(open_writer(path), path)

    # ---- questions that are asked again and again, answered from memory, since nobody else writes ------------

    def run_id(self) -> int:
        """As `Reader.run_id`."""
        if self._run is None:
            self._run = super().run_id()
        return self._run

    def current_run(self) -> Run | None:
        """As `Reader.current_run`."""
        return self._answer("run", super().current_run)

    def tally(self) -> Tally:
        """As `Reader.tally`."""
        return self._answer("tally", super().tally)

    def screened(self) -> int:
        """As `Reader.screened`."""
        return self._answer("screened", super().screened)

    def candidate(self, number: int) -> Candidate:
        """As `Reader.candidate`."""
        if number not in self._known or number in self._stale:
            found = super().candidate(number)
            self._remember({number: found})
            return found
        return self._known[number]

    def candidates_of(self, numbers: Sequence[int]) -> tuple[Candidate, ...]:
        """As `Reader.candidates_of`."""
        wanted = sorted(set(numbers))
        if missing := [n for n in wanted if n not in self._known or n in self._stale]:
            fresh = {c.id: c for c in super().candidates_of(missing)}
            found = fresh | {
                n: self._known[n] for n in wanted if n not in fresh and n in self._known
            }
            self._remember(fresh)
            return tuple(found[n] for n in wanted if n in found)
        return tuple(self._known[n] for n in wanted)

    def _remember(self, fresh: Mapping[int, Candidate]) -> None:
        self._known |= fresh
        self._stale -= fresh.keys()
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    def _answer(self, name: str, ask: Callable[[], _T]) -> _T:
        """The answer to a question about everything, which stays until something is written."""
        known = self._counted.get(name)
        if known is None or known[0] != self._db.total_changes:
            known = self._counted[name] = (self._db.total_changes, ask())
        answer: _T = known[1]
        return answer

    def _forget(self) -> None:
        """Another run begins, or what was written is undone."""
        self._run, self._known, self._stale, self._counted = None, {}, set(), {}

    @contextmanager
    def together(self) -> Iterator[list[Effect]]:
        """Several steps as one: all of them are in the journal afterwards, or none is.

        Gives a list, which holds at the end what `afterwards` was given meanwhile; whoever opened this does it.
        """
        if self._effects is not None:
            yield self._effects
            return
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
                self.undone += 1
                self._forget()
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
