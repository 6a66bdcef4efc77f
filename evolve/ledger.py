"""The money of a run: commits dollars before a call and stores each paid answer before it is used.

Implements `propose.operators.CallLedger` on the journal; the cap is the live `[stop] dollars`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.propose.operators import ProposerUnavailable, Usage

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Operator


class JournalLedger:
    """A `CallLedger` whose every line is a durable transaction."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def reserve(self, *, model: str, operator: Operator, request: str, dollars: float) -> int:
        """Commit `dollars` for one call; refuses when the cap would be passed."""
        cap = self._context.settings.stop.dollars
        committed = self._context.journal.dollars_committed()
        if cap and committed + dollars > cap:
            raise ProposerUnavailable(
                f"The language model rests: ${committed:.2f} of ${cap:.2f} is spent and one more call may "
                f"cost ${dollars:.2f}. `autoresearch set stop.dollars N` raises the cap."
            )
        return self._context.journal.reserve_call(
            model=model, operator=operator, request=request, dollars=dollars
        )

    def answered(
        self,
        call: int,
        *,
        response: str,
        usage: Usage,
        dollars: float,
        seconds: float,
        stop_reason: str,
    ) -> None:
        """Store the answer and its true price."""
        self._context.journal.answer_call(
            call,
            response=response,
            usage=usage,
            dollars=dollars,
            seconds=seconds,
            stop_reason=stop_reason,
        )

    def failed(
        self, call: int, *, error: str, seconds: float, refused: bool = False, dollars: float = 0.0
    ) -> None:
        """Release the reservation and say why nothing came of the call."""
        self._context.journal.fail_call(
            call, error=error, seconds=seconds, refused=refused, dollars=dollars
        )
