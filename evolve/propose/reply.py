"""An answer as it streams in: its text, what it has consumed, what that costs, and why it ended.

No I/O. Everything that a server says about itself is doubted here: counts that are none count as nothing, words that
are none are left out, and an estimate stands in for what was not reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.propose import pricing
from evolve.propose.operators import NO_USAGE, ProposalFailed, ProposerUnavailable, Usage
from evolve.sections import Price
from evolve.text import one_line

if TYPE_CHECKING:
    from anthropic.types import Message

PATIENCE = (
    20.0  # seconds that a call waits for its next try; a longer `retry-after` ends it instead
)
PAUSE = 0.5  # seconds until the next try where the server names none; doubled each time
COUNT_LIMIT = 10**9  # of what a server may call a number of tokens

Fault = ProposerUnavailable | ProposalFailed


@dataclass
class Reply:
    """An answer as it comes in, with the money that was committed for it."""

    call: int  # its number in the ledger
    price: Price
    committed: float  # dollars; an answer that would cost more is not read on
    expected_input: int  # tokens, counted where a server reports none
    text: list[str] = field(default_factory=list)
    written: int = 0  # tokens of text and thinking so far, rather too many than too few
    message: Message | None = None  # the SDK's snapshot, once the answer has begun
    cut: str = ""  # why it was not read to its end: "overlong" or "overdrawn"
    retry_after: float | None = None  # seconds that a failing server asked for
    silent: bool = False  # it ended by our patience, not by the server

    @property
    def whole(self) -> str:
        """The text so far; half a surrogate pair, which no database takes, is replaced."""
        return "".join(self.text).encode("utf-8", "replace").decode()

    @property
    def stop_reason(self) -> str:
        """Why the answer ended, as the model says it, or why it was not read on; "" while it has not."""
        return self.cut or self._stopped

    @property
    def _stopped(self) -> str:
        reason = getattr(self.message, "stop_reason", None)
        return one_line(reason, 40) if isinstance(reason, str) else ""

    @property
    def usage(self) -> Usage:
        """What has been consumed so far, in tokens; an estimate stands in for a count that has not come."""
        if self.message is None:
            return NO_USAGE
        said = getattr(self.message, "usage", None)
        fresh, read, wrote = (
            _count(getattr(said, name, None))
            for name in (
                "input_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
            )
        )
        written = _count(getattr(said, "output_tokens", None))
        if not self._stopped or not written:
            written = max(written, self.written)
        hour = _count(
            getattr(getattr(said, "cache_creation", None), "ephemeral_1h_input_tokens", 0)
        )
        return Usage(
            input_tokens=fresh if fresh + read + wrote else self.expected_input,
            output_tokens=written,
            cache_read_tokens=read,
            cache_write_tokens=wrote,
            cache_write_1h_tokens=min(hour, wrote),
        )

    @property
    def dollars(self) -> float:
        """What it has cost so far."""
        return pricing.cost(self.usage, self.price)

    @property
    def category(self) -> str:
        """The category under which a refusal falls, "" where the server names none."""
        named = getattr(getattr(self.message, "stop_details", None), "category", None)
        return one_line(named, 40) if isinstance(named, str) else ""

    def again(self, fault: Fault, tries: int) -> float | None:
        """Seconds after which the same request is worth another try, the next one after `tries`; None: not now.

        Only what cost nothing is tried again at once: a request that never led to an answer.
        """
        passing = isinstance(fault, ProposerUnavailable) and fault.retry_after is not None
        if not passing or self.silent or self.message is not None:
            return None
        wait = PAUSE * 2.0**tries if self.retry_after is None else max(0.0, self.retry_after)
        return wait if wait <= PATIENCE else None


def _count(said: object) -> int:
    """A number of tokens as a server reports it; what is none counts as 0."""
    return said if type(said) is int and 0 <= said <= COUNT_LIMIT else 0
