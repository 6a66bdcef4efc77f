"""Questions about calls of language models: what they cost, what was refused, which answers are still to be used.

The lowest part of the journal's reader. It writes nothing and imports nothing heavy, because `status` starts
through here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evolve import rows
from evolve.database import faults
from evolve.model import LlmCall

if TYPE_CHECKING:
    from evolve.propose.operators import Asked, Paid


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What the calls to one model have come to."""

    model: str
    calls: int
    answered: int
    refused: int
    failed: int
    dollars: float  # paid
    input_tokens: int  # all of them, cached or not
    cached_tokens: int  # of those, read from the cache
    output_tokens: int  # thinking included
    seconds: float  # of waiting for answers

    @property
    def cached_share(self) -> float | None:
        """Share of the input that was read from the cache, 0 to 1; None before any input was counted."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None


@dataclass(frozen=True, slots=True)
class CallCost:
    """What one finished call of a language model was for, and what it cost."""

    time: float  # unix seconds
    model: str
    operator: str
    dollars: float
    candidate: int | None  # that came of it


class CallBook:
    """A connection to the journal that knows about calls."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        """Use `Reader.open` or `Journal.open`."""
        db.row_factory = sqlite3.Row
        self._db = db
        self.path = path

    def run_id(self) -> int:
        """The newest run's number, 0 without one."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM run")[0])

    def calls(self, after: int = 0, limit: int = 1000) -> tuple[LlmCall, ...]:
        """Requests to language models, oldest first."""
        found = self._all(
            f"{rows.CALL} WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
            (self.run_id(), after, limit),
        )
        return tuple(rows.call(row) for row in found)

    def calls_of(self, candidate: int) -> tuple[LlmCall, ...]:
        """The calls that a candidate came of, oldest first."""
        found = self._all(
            f"{rows.CALL} WHERE run = ? AND candidate = ? ORDER BY id", (self.run_id(), candidate)
        )
        return tuple(rows.call(row) for row in found)

    def call_text(self, call: int) -> tuple[str, str]:
        """Request and response of one call, as they were sent and received."""
        row = self._one("SELECT request, response FROM llm_call WHERE id = ?", (call,))
        return row["request"], row["response"]

    def call_figures(self) -> tuple[CallFigures, ...]:
        """What the run's calls have come to, by model, the most used one first."""
        found = self._all(
            """SELECT model, count(*) AS calls, sum(status = 'answered') AS answered,
            sum(status = 'refused') AS refused, sum(status = 'failed') AS failed,
            total(CASE WHEN status = 'reserved' THEN 0.0 ELSE dollars END) AS dollars,
            sum(input_tokens + cache_read_tokens + cache_write_tokens) AS input_tokens,
            sum(cache_read_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
            total(seconds) AS seconds
            FROM llm_call WHERE run = ? GROUP BY model ORDER BY calls DESC, model""",
            (self.run_id(),),
        )
        return tuple(CallFigures(**dict(row)) for row in found)

    def call_costs(self, limit: int) -> tuple[CallCost, ...]:
        """The latest calls that have ended, oldest first, without their texts."""
        found = self._all(
            "SELECT time, model, operator, dollars, candidate FROM llm_call "
            "WHERE run = ? AND status != 'reserved' ORDER BY id DESC LIMIT ?",
            (self.run_id(), limit),
        )
        return tuple(CallCost(*row) for row in reversed(found))

    def lost_calls(self, operator: str, parent: int) -> int:
        """How many answers and refusals about a child of `parent` by `operator` led to no candidate."""
        row = self._one(
            "SELECT count(*) FROM llm_call WHERE run = ? AND operator = ? AND candidate IS NULL "
            "AND status IN ('answered', 'refused') "
            "AND CASE brief WHEN '' THEN 0 ELSE json_extract(brief, '$.parents[0]') END = ?",
            (self.run_id(), operator, parent),
        )
        return int(row[0])

    def dollars_committed(self) -> float:
        """Paid, plus what calls under way may cost at most."""
        row = self._one(
            """SELECT dollars + (SELECT coalesce(sum(dollars), 0) FROM llm_call
                WHERE llm_call.run = run.id AND status = 'reserved') FROM run ORDER BY id DESC LIMIT 1"""
        )
        return float(row[0])

    def was_refused(self, model: str, request_sha: str) -> bool:
        """Has `model` refused this very prompt before, in whatever run?"""
        return bool(
            self._all(
                "SELECT 1 FROM llm_call WHERE status = 'refused' AND request_sha = ? AND model = ? LIMIT 1",
                (request_sha, model),
            )
        )

    def unused_answers(self) -> tuple[Paid, ...]:
        """Answers that were paid for and led neither to a candidate nor to a reason why not, oldest first.

        One that a later answer puts right is not among them: it shares that one's fate.
        """
        from evolve.propose.operators import Paid  # only the engine asks, and clients start faster

        found = self._all(
            """SELECT id, model, brief, request, response, time FROM llm_call WHERE run = :run AND status = 'answered'
            AND candidate IS NULL AND outcome = '' AND brief != '' AND id NOT IN (
                SELECT json_extract(brief, '$.corrects') FROM llm_call
                WHERE run = :run AND status = 'answered' AND json_extract(brief, '$.corrects') > 0)
            ORDER BY id""",
            {"run": self.run_id()},
        )
        return tuple(
            Paid(
                *(row["id"], row["model"], _asked(row["brief"])),
                *(row["request"], row["response"], row["time"]),
            )
            for row in found
        )

    # ---- for every other question --------------------------------------------------------------------------

    def _all(self, sql: str, values: object = ()) -> list[sqlite3.Row]:
        with faults(self.path):
            return self._db.execute(sql, values).fetchall()  # type: ignore[arg-type]

    def _each(self, sql: str, values: Sequence[object] = ()) -> Iterator[sqlite3.Row]:
        """Row by row, for answers that are too long to hold; to be taken to its end at once."""
        with faults(self.path):
            yield from self._db.execute(sql, values)

    def _one(self, sql: str, values: object = ()) -> sqlite3.Row:
        with faults(self.path):
            row: sqlite3.Row = self._db.execute(sql, values).fetchone()  # type: ignore[arg-type]
            return row


def _asked(text: str) -> Asked:
    from evolve.propose.operators import Asked

    given = json.loads(text)
    return Asked(**given | {"parents": tuple(given["parents"])})
