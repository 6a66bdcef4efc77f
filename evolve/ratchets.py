"""Moves of the branch in the journal: each is written down before git is touched, and ended when it is known what came of it.

A part of the journal: each public method is one durable transaction. What git does is `lineage`'s, and when main is to
move `settling`'s.
"""

from __future__ import annotations

import time

from evolve import rows
from evolve.machines import RATCHET, IllegalMove
from evolve.model import RatchetStep
from evolve.writer import Writer


class Ratchets(Writer):
    """The steps of the ratchet."""

    def intend_ratchet(self, candidate: int, tip: str, target: str, kind: str) -> int:
        """The branch is to go from commit `tip` to `target`, for `candidate`; returns the step's number.

        `kind`: "fast-forward" or "merge". Raises IllegalMove while another step is under way.
        """
        with self._transaction():
            if (other := self.open_ratchet()) is not None:
                raise IllegalMove(f"the branch is being moved to #{other.candidate} already")
            cursor = self._db.execute(
                "INSERT INTO ratchet (run, time, candidate, tip, target, kind) VALUES (?, ?, ?, ?, ?, ?)",
                (self.run_id(), time.time(), candidate, tip, target, kind),
            )
            return int(cursor.lastrowid or 0)

    def end_ratchet(self, step: int, state: str, reason: str) -> None:
        """A step is over: `state` is moved, deferred or abandoned; `reason` is told as an event.

        An empty reason tells nothing, nor does one that was given for the step before.
        """
        with self._transaction():
            found = self._all(f"{rows.RATCHET} WHERE id = ?", (step,))
            if not found:
                raise IllegalMove(f"there is no move {step} of the branch")
            before = rows.ratchet(found[0])
            RATCHET.check(f"move {step} of the branch", before.state, state)
            said = self._all(
                "SELECT state, reason FROM ratchet WHERE run = ? AND id < ? ORDER BY id DESC LIMIT 1",
                (self.run_id(), step),
            )
            self._db.execute(
                "UPDATE ratchet SET state = ?, reason = ?, ended = ? WHERE id = ?",
                (state, reason, time.time(), step),
            )
            if reason and (state, reason) not in [tuple(row) for row in said]:
                data = {
                    "ratchet": step,
                    "state": state,
                    "commit": before.target,
                    "kind": before.kind,
                }
                self._event("ratchet", reason, before.candidate, data)

    def open_ratchet(self) -> RatchetStep | None:
        """The step that was begun and not ended, as far as the journal knows."""
        found = self._all(f"{rows.RATCHET} WHERE run = ? AND state = 'intended'", (self.run_id(),))
        return rows.ratchet(found[0]) if found else None

    def last_ratchet(self) -> RatchetStep | None:
        """The last step by which the branch moved."""
        found = self._all(
            f"{rows.RATCHET} WHERE run = ? AND state = 'moved' ORDER BY id DESC LIMIT 1",
            (self.run_id(),),
        )
        return rows.ratchet(found[0]) if found else None
