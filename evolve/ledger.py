"""The money of a run: commits dollars before a call and stores each paid answer before it is used.

Implements `propose.operators.CallLedger` on the journal; the cap is the live `[stop] dollars`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evolve.propose.operators import NO_USAGE, Asked, ProposerUnavailable, Usage
from harness.crashpoints import reached

if TYPE_CHECKING:
    from evolve.context import Context

SETTLING = 30.0  # seconds in which a call under way may free what was committed for it


class JournalLedger:
    """A `CallLedger` whose every line is a durable transaction."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def left(self) -> float:
        """Dollars of the cap that are neither paid nor committed; infinity without a cap."""
        cap = self._context.settings.stop.dollars
        return max(0.0, cap - self._context.journal.dollars_committed()) if cap else math.inf

    def was_refused(self, model: str, request_sha: str) -> bool:
        """Has `model` refused this very prompt before, in whatever run or engine?"""
        return self._context.journal.was_refused(model, request_sha)

    def reserve(
        self, *, model: str, asked: Asked, request: str, request_sha: str, dollars: float
    ) -> int:
        """Commit `dollars` for one call; refuses when the cap would be passed."""
        if dollars > self.left():
            cap = self._context.settings.stop.dollars
            committed = self._context.journal.dollars_committed()
            reserved = committed - self._context.journal.run().dollars
            raise ProposerUnavailable(
                f"The language model rests: ${committed:.2f} of ${cap:.2f} is spent and one more call may "
                f"cost ${dollars:.2f}. `autoresearch set stop.dollars N` raises the cap.",
                SETTLING if reserved > 1e-9 else None,
            )
        call = self._context.journal.reserve_call(
            model=model, asked=asked, request=request, request_sha=request_sha, dollars=dollars
        )
        reached("ledger.reserved")
        return call

    def answered(
        self,
        call: int,
        *,
        response: str,
        usage: Usage,
        dollars: float,
        seconds: float,
        stop_reason: str,
        useless: str = "",
    ) -> None:
        """Store the answer and its true price, and why it leads to nothing where that is known."""
        reached("ledger.before-answer")
        journal = self._context.journal
        with journal.together():
            journal.answer_call(
                call,
                response=response,
                usage=usage,
                dollars=dollars,
                seconds=seconds,
                stop_reason=stop_reason,
            )
            if useless:
                journal.dismiss_answers((call,), useless)
        reached("ledger.answered")

    def failed(
        self,
        call: int,
        *,
        error: str,
        seconds: float,
        usage: Usage = NO_USAGE,
        dollars: float = 0.0,
        response: str = "",
    ) -> None:
        """Release the reservation and say why nothing came of the call."""
        self._context.journal.fail_call(
            call, error=error, seconds=seconds, usage=usage, dollars=dollars, response=response
        )

    def refused(
        self, call: int, *, category: str, error: str, usage: Usage, dollars: float, seconds: float
    ) -> None:
        """Record a refusal with its category."""
        self._context.journal.refuse_call(
            call, category=category, error=error, usage=usage, dollars=dollars, seconds=seconds
        )

    def useless(self, call: int, why: str) -> None:
        """An answered call leads to no child."""
        self._context.journal.dismiss_answers((call,), why)
