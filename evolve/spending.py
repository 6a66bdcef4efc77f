"""The money of a run in the journal: what was committed, asked, answered and paid, call by call."""

from __future__ import annotations

import time

from evolve.propose.operators import Usage
from evolve.writer import IllegalMove, Writer


class Spending(Writer):
    """Calls of language models. A call is reserved before it is made and settled once."""

    def reserve_call(self, *, model: str, operator: str, request: str, dollars: float) -> int:
        """Commit `dollars` (an upper bound) for a call before it is made; returns its number."""
        with self._transaction():
            cursor = self._db.execute(
                """INSERT INTO llm_call (run, time, model, operator, status, request, dollars)
                VALUES (?, ?, ?, ?, 'reserved', ?, ?)""",
                (self.run_id(), time.time(), model, str(operator), request, dollars),
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
            tokens = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.cache_read_tokens,
                "cache_write_tokens": usage.cache_write_tokens,
            }
            model = self._settle_call(
                call,
                dollars,
                status="answered",
                response=response,
                stop_reason=stop_reason,
                seconds=seconds,
                **tokens,
            )
            self._event(
                "llm",
                f"{model} answered in {seconds:.0f} s for ${dollars:.4f}.",
                data={"call": call, "dollars": dollars, **tokens},
            )

    def fail_call(
        self, call: int, *, error: str, seconds: float, refused: bool = False, dollars: float = 0.0
    ) -> None:
        """Release what was committed for a call that brought nothing; `dollars` is what it cost all the same."""
        with self._transaction():
            status = "refused" if refused else "failed"
            model = self._settle_call(call, dollars, status=status, error=error, seconds=seconds)
            self._event(
                "llm", f"{model} {status}: {error}", data={"call": call, "dollars": dollars}
            )

    def _settle_call(self, call: int, dollars: float, **columns: object) -> str:
        """Close a reserved call and book its price; returns the model's name."""
        row = self._one("SELECT model, status FROM llm_call WHERE id = ?", (call,))
        if row is None or row["status"] != "reserved":
            raise IllegalMove(f"call {call} is not under way")
        given = columns | {"dollars": dollars}
        self._db.execute(
            f"UPDATE llm_call SET {', '.join(f'{c} = :{c}' for c in given)} WHERE id = :id",  # noqa: S608
            given | {"id": call},
        )
        self._db.execute(
            "UPDATE run SET dollars = dollars + ? WHERE id = (SELECT run FROM llm_call WHERE id = ?)",
            (dollars, call),
        )
        return str(row["model"])
