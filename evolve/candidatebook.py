"""Questions about candidates: one, those in a state, the population, and the columns that a roster is made of.

A part of the journal's reader. It writes nothing and imports nothing heavy, because `status` starts through here.
Lists of candidates are one query each, so they stay cheap with 100,000 of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from evolve import rows
from evolve.callbook import CallBook
from evolve.model import Candidate, CandidateState, UsageError


class CandidateBook(CallBook):
    """A connection to the journal that knows about candidates."""

    def next_candidate_id(self) -> int:
        """The number that the next candidate gets; counts from 1 within the run."""
        return 1 + int(
            self._one("SELECT coalesce(max(id), 0) FROM candidate WHERE run = ?", (self.run_id(),))[
                0
            ]
        )

    def made_since(self, number: int) -> int:
        """How many candidates from this number on the built-in proposer has made."""
        row = self._one(
            "SELECT count(*) FROM candidate WHERE run = ? AND id >= ? AND proposer = 'builtin'",
            (self.run_id(), number),
        )
        return int(row[0])

    def has_candidate(self, number: int) -> bool:
        """Is there a candidate of that number?"""
        return bool(
            self._all("SELECT 1 FROM candidate WHERE run = ? AND id = ?", (self.run_id(), number))
        )

    def candidate(self, number: int) -> Candidate:
        """One candidate; raises UsageError when there is none of that number."""
        found = self._candidates("AND id = ?", number)
        if not found:
            raise UsageError(f"There is no candidate #{number}.")
        return found[0]

    def candidates(self, after: int = 0, limit: int | None = None) -> tuple[Candidate, ...]:
        """Those with a number above `after`, in the order of their numbers, at most `limit`."""
        most = -1 if limit is None else limit
        return self._candidates("AND id > ? ORDER BY id LIMIT ?", after, most)

    def candidates_of(self, numbers: Sequence[int]) -> tuple[Candidate, ...]:
        """Those of the numbers that exist, in the order of their numbers; a few hundred at most."""
        return self._candidates(
            "AND id IN (SELECT value FROM json_each(?)) ORDER BY id", json.dumps(list(numbers))
        )

    def lines_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """How long the scripts of these candidates are, by number."""
        found = self._all(
            "SELECT id, lines FROM candidate WHERE run = ? AND id IN (SELECT value FROM json_each(?))",
            (self.run_id(), json.dumps(list(numbers))),
        )
        return {row[0]: row[1] for row in found}

    def candidate_like(self, digest: str) -> Candidate | None:
        """The first candidate with this hash of its code, if any; looks at all of them."""
        found = self._candidates("AND code_hash = ? ORDER BY id LIMIT 1", digest)
        return found[0] if found else None

    def commits(self) -> dict[int, str]:
        """The commit of every candidate of the run, by number; one short row each."""
        sql = "SELECT id, commit_oid FROM candidate WHERE run = ? ORDER BY id"
        return {row[0]: row[1] for row in self._each(sql, (self.run_id(),))}

    def code_hashes(self, after: int) -> Iterator[sqlite3.Row]:
        """Number and hash of the code of those with a number above `after`, by number."""
        return self._each(
            "SELECT id, code_hash FROM candidate WHERE run = ? AND id > ? ORDER BY id",
            (self.run_id(), after),
        )

    def children_of(self, parents: Sequence[int]) -> tuple[int, ...]:
        """The numbers of all children of these candidates, ascending."""
        found = self._all(
            "SELECT DISTINCT candidate FROM parent WHERE run = ? "
            "AND parent IN (SELECT value FROM json_each(?)) ORDER BY candidate",
            (self.run_id(), json.dumps(list(parents))),
        )
        return tuple(row[0] for row in found)

    def latest_settled(self, limit: int) -> tuple[Candidate, ...]:
        """The last children that have a verdict, in the order of their numbers."""
        newest = self._candidates(
            "AND verdict IS NOT NULL AND parents != '[]' ORDER BY id DESC LIMIT ?", limit
        )
        return newest[::-1]

    def tunings(self, parents: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Of these, how many children with other constants were trained, and how many wait or train, by number."""
        found = self._all(
            "SELECT p.parent, total(c.outcome IS NOT NULL), "
            "total(c.outcome IS NULL AND c.state IN ('ready', 'training')) "
            "FROM parent AS p JOIN candidate AS c ON c.run = p.run AND c.id = p.candidate "
            "WHERE p.run = ? AND p.position = 0 AND c.operator = 'tune' "
            "AND p.parent IN (SELECT value FROM json_each(?)) GROUP BY p.parent",
            (self.run_id(), json.dumps(list(parents))),
        )
        return {row[0]: (int(row[1]), int(row[2])) for row in found}

    def turned_constants(self, after: int) -> Iterator[sqlite3.Row]:
        """Number, operator, parents and how many things it changed, of those with a number above `after`, by number."""
        return self._each(
            "SELECT id, operator, parents, json_array_length(changes) FROM candidate "
            "WHERE run = ? AND id > ? ORDER BY id",
            (self.run_id(), after),
        )

    def roster_page(self, after: int, limit: int) -> Iterator[sqlite3.Row]:
        """The `rows.ROSTER` of at most `limit` candidates with a number above `after`, by number."""
        return self._each(
            f"{rows.ROSTER} WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
            (self.run_id(), after, limit),
        )

    def touched_since(self, stamp: int) -> Iterator[sqlite3.Row]:
        """`rows.ROSTER` of every candidate that was written after `stamp`, by number."""
        return self._each(
            f"{rows.ROSTER} WHERE run = ? AND touched > ? ORDER BY id",
            (self.run_id(), stamp),
        )

    def table_since(self, stamp: int) -> Iterator[sqlite3.Row]:
        """Number, commit, title, verdict, outcome, scores as JSON and memory in MB of all written after `stamp`, by number."""
        return self._each(
            "SELECT id, commit_oid, title, verdict, outcome, scores, peak_memory_mb FROM candidate "
            "WHERE run = ? AND touched > ? ORDER BY id",
            (self.run_id(), stamp),
        )

    def newest_touch(self) -> int:
        """The stamp of the last write of a candidate of the run, 0 before the first."""
        return int(
            self._one(
                "SELECT coalesce(max(touched), 0) FROM candidate WHERE run = ?", (self.run_id(),)
            )[0]
        )

    def candidates_in(self, state: CandidateState) -> tuple[Candidate, ...]:
        """Those in one state, in the order in which they would train."""
        return self._candidates("AND state = ? ORDER BY priority, id", str(state))

    def queue(self) -> tuple[Candidate, ...]:
        """Those that wait for the slot, next first."""
        return self.candidates_in(CandidateState.READY)

    def living(self) -> tuple[Candidate, ...]:
        """The population, in the order of their numbers."""
        return self._candidates("AND alive ORDER BY id")

    def wished(self) -> tuple[Candidate, ...]:
        """Those that a person wants to have measured again, in the order of their numbers."""
        return self._candidates("AND wanted ORDER BY id")

    def peak_memory(self) -> dict[int, float]:
        """Candidate to the memory that it reported, in MB, where it did."""
        found = self._all(
            "SELECT id, peak_memory_mb FROM candidate WHERE run = ? AND peak_memory_mb IS NOT NULL",
            (self.run_id(),),
        )
        return {row[0]: row[1] for row in found}

    def _candidates(self, condition: str, *values: object) -> tuple[Candidate, ...]:
        found = self._all(
            f"{rows.CANDIDATE} WHERE run = ? {condition}",
            (self.run_id(), *values),
        )
        return tuple(rows.candidate(row) for row in found)
