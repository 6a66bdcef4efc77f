"""Questions about the slot and whoever fills it: curves to compare with, calls under way, pauses, failures.

A part of the journal's reader. It writes nothing and imports nothing heavy, because `status` starts through here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from evolve.callbook import CallBook

PAUSED = "Paused by {}."  # why a run is paused that a person has paused; others pause by themselves


class Finished(NamedTuple):
    """A scored training whose curve can be compared with others of the same loss."""

    candidate: int
    experiment: int
    fitness: float


class Scored(NamedTuple):
    """What others are compared with."""

    experiment: int
    tokens_per_second: float
    memory_mb: float | None  # measured, at its largest


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request to a language model that has not been answered yet."""

    model: str
    purpose: str  # an operator's word, or "scratchpad"
    parents: tuple[int, ...]  # of the child that it asks for
    since: float  # unix seconds
    dollars: float  # that are reserved for it, at most


class SlotBook(CallBook):
    """A connection to the journal that knows about the slot."""

    def finished_like(self, form: str, limit: int) -> tuple[Finished, ...]:
        """Scored trainings that count, of the last `limit` candidates with this form of loss, oldest first."""
        run = self.run_id()
        found = self._all(
            """SELECT candidate, id, fitness FROM experiment WHERE run = :run AND outcome = 'ok'
            AND discounted = '' AND fitness IS NOT NULL AND candidate IN (
                SELECT id FROM candidate WHERE run = :run AND loss_form = :form AND fitness != '[]'
                ORDER BY id DESC LIMIT :limit)
            ORDER BY id""",
            {"run": run, "form": form, "limit": limit},
        )
        return tuple(Finished(*row) for row in found)

    def last_scored(self, candidate: int) -> Scored | None:
        """A candidate's last scored training, or None."""
        found = self._all(
            "SELECT id, tokens_per_second, coalesce(device_memory_mb, host_memory_mb) FROM experiment "
            "WHERE run = ? AND candidate = ? AND outcome = 'ok' ORDER BY id DESC LIMIT 1",
            (self.run_id(), candidate),
        )
        return Scored(*found[0]) if found else None

    def calls_under_way(self) -> tuple[UnderWay, ...]:
        """Requests to language models that have not been answered yet, oldest first."""
        found = self._all(
            "SELECT model, operator, brief, time, dollars FROM llm_call "
            "WHERE run = ? AND status = 'reserved' ORDER BY id",
            (self.run_id(),),
        )
        return tuple(
            UnderWay(
                row["model"],
                row["operator"],
                tuple(json.loads(row["brief"])["parents"]) if row["brief"] else (),
                row["time"],
                row["dollars"],
            )
            for row in found
        )

    def last_pause(self) -> tuple[str, float] | None:
        """Who asked last for the pause that was granted, and when (unix seconds)."""
        found = self._all(
            "SELECT who, answered FROM command WHERE verb = 'pause' AND state = 'done' "
            "AND answered IS NOT NULL ORDER BY id DESC LIMIT 1"
        )
        return (str(found[0][0]), float(found[0][1])) if found else None

    def failed_by_kind(self) -> tuple[tuple[str, int], ...]:
        """How many candidates came to no score, by outcome, the most frequent first; `voided` by the audit."""
        found = self._all(
            "SELECT CASE WHEN voided != '' THEN 'voided' ELSE outcome END AS kind, count(*) FROM candidate "
            "WHERE run = ? AND verdict = 'failed' AND outcome IS NOT NULL GROUP BY kind "
            "ORDER BY count(*) DESC, kind",
            (self.run_id(),),
        )
        return tuple((str(kind), int(number)) for kind, number in found)
