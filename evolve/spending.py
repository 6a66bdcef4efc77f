"""The money of a run in the journal: what was committed, asked, answered and paid, call by call."""

from __future__ import annotations

import time
from dataclasses import asdict

from evolve.machines import CALL, IllegalMove
from evolve.propose.operators import NO_USAGE, Asked, Usage
from evolve.rows import as_json
from evolve.writer import Writer

ABANDONED = "The engine ended during this call; it is counted at the most that it can have cost."


class Spending(Writer):
    """Calls of language models. A call is reserved before it is made and settled once."""

    def reserve_call(
        self, *, model: str, asked: Asked, request: str, request_sha: str, dollars: float
    ) -> int:
        """Commit `dollars` (an upper bound) for a call before it is made; returns its number."""
        with self._transaction():
            cursor = self._db.execute(
                """INSERT INTO llm_call (run, time, model, operator, status, request, request_sha, brief, dollars)
                VALUES (?, ?, ?, ?, 'reserved', ?, ?, ?, ?)""",
                (
                    self.run_id(),
                    time.time(),
                    model,
                    asked.purpose,
                    request,
                    request_sha,
                    as_json(asdict(asked)),
                    dollars,
                ),
            )
            return int(cursor.lastrowid or 0)

    def answer_call(
        self,
        call: int,
        *,
        response: str,
        usage: Usage,
        dollars: float,
        seconds: float,
        stop_reason: str,
    ) -> None:
        """Store a paid answer with its true price, before anything is done with it."""
        with self._transaction():
            model = self._settle_call(
                call,
                dollars,
                usage,
                status="answered",
                response=response,
                stop_reason=stop_reason,
                seconds=seconds,
            )
            lost = self._failed_before(call, model)
            again = f" again after {lost} failed {'call' if lost == 1 else 'calls'}" if lost else ""
            self._event(
                "llm",
                f"{model} answered{again} in {seconds:.0f} s for ${dollars:.4f}.",
                data={"call": call, "dollars": dollars, **asdict(usage)},
            )

    def fail_call(
        self,
        call: int,
        *,
        error: str,
        seconds: float,
        usage: Usage = NO_USAGE,
        dollars: float = 0.0,
        response: str = "",
    ) -> None:
        """Release what was committed for a call that brought nothing; `dollars` is what it cost all the same."""
        with self._transaction():
            model = self._settle_call(
                call,
                dollars,
                usage,
                status="failed",
                error=error,
                seconds=seconds,
                response=response,
            )
            self._event("llm", f"{model} failed: {error}", data={"call": call, "dollars": dollars})

    def refuse_call(
        self, call: int, *, category: str, error: str, usage: Usage, dollars: float, seconds: float
    ) -> None:
        """Record that the model refused, and under which category; `dollars` is what that cost."""
        with self._transaction():
            model = self._settle_call(
                call,
                dollars,
                usage,
                status="refused",
                error=error,
                category=category,
                seconds=seconds,
            )
            data = {"call": call, "dollars": dollars, "category": category}
            self._event("llm", f"{model} refused: {error}", data=data)

    def dismiss_answers(self, calls: tuple[int, ...], why: str) -> None:
        """Answers of these calls lead to no candidate; the first reason that is given stays."""
        with self._transaction():
            self._db.executemany(
                "UPDATE llm_call SET outcome = ? WHERE id = ? AND outcome = '' AND candidate IS NULL",
                [(why, call) for call in calls],
            )

    def settle_abandoned_calls(self) -> int:
        """Close the calls that a killed engine left open, at the most that they can have cost; returns how many.

        Whoever calls this holds the engine's lock, so no such call can still be under way.
        """
        found = self._all("SELECT id, dollars FROM llm_call WHERE status = 'reserved'")
        for row in found:
            self.fail_call(row["id"], error=ABANDONED, seconds=0.0, dollars=row["dollars"])
        return len(found)

    def _failed_before(self, call: int, model: str) -> int:
        """How many calls to `model` failed since its last answer or refusal."""
        row = self._one(
            """SELECT count(*) FROM llm_call WHERE run = :run AND model = :model AND status = 'failed' AND id < :call
            AND id > (SELECT coalesce(max(id), 0) FROM llm_call WHERE run = :run AND model = :model
                AND status IN ('answered', 'refused') AND id < :call)""",
            {"run": self.run_id(), "model": model, "call": call},
        )
        return int(row[0])

    def _settle_call(
        self, call: int, dollars: float, usage: Usage, *, status: str, **columns: object
    ) -> str:
        """Close a reserved call and book its price; returns the model's name."""
        row = self._one("SELECT model, status FROM llm_call WHERE id = ?", (call,))
        if row is None:
            raise IllegalMove(f"there is no call {call}")
        CALL.check(f"call {call}", row["status"], status)
        given = columns | {
            "status": status,
            "dollars": dollars,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        }
        self._db.execute(
            f"UPDATE llm_call SET {', '.join(f'{c} = :{c}' for c in given)} WHERE id = :id",  # noqa: S608
            given | {"id": call},
        )
        self._db.execute(
            "UPDATE run SET dollars = dollars + ? WHERE id = (SELECT run FROM llm_call WHERE id = ?)",
            (dollars, call),
        )
        return str(row["model"])
