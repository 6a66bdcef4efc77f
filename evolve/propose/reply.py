"""An answer as it streams in: its text, what it has consumed, what that costs, and why it ended.

No I/O. Everything that a server says is doubted here: counts that are none count as nothing, words that are none are
left out, and an estimate stands in for what was not reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from evolve.propose import pricing
from evolve.propose.endpoint import RETRY_LIMIT
from evolve.propose.operators import NO_USAGE, ProposalFailed, ProposerUnavailable, Usage
from evolve.sections import Price
from evolve.text import one_line

PATIENCE = (
    20.0  # seconds that a call waits for its next try; a longer `retry-after` ends it instead
)
PAUSE = 0.5  # seconds until the next try where the server names none; doubled each time
COUNT_LIMIT = 10**9  # of what a server may call a number of tokens

_INPUT = "input_tokens"
_READ = "cache_read_input_tokens"
_WRITE = "cache_creation_input_tokens"
_OUTPUT = "output_tokens"

Fault = ProposerUnavailable | ProposalFailed


@dataclass
class Reply:
    """An answer, with the money that was committed for it."""

    call: int  # its number in the ledger
    price: Price
    committed: float  # dollars; an answer that would cost more is not read on
    expected_input: int  # tokens, counted where a server reports none
    most: int  # tokens that the answer may have
    text: list[str] = field(default_factory=list)
    begun: bool = False  # the server has said that an answer follows, and counts its tokens
    cut: str = ""  # why it was not read to its end: "overlong" or "overdrawn"
    category: str = ""  # under which a refusal falls, "" where the server names none
    retry_after: float | None = None  # seconds that a failing server asked for
    silent: bool = False  # it ended by our patience, not by the server
    _stopped: str = ""
    _counts: dict[str, int] = field(default_factory=dict)
    _hour: int = 0  # tokens written to the cache for an hour
    _written: int = 0  # tokens of text and thinking so far, rather too many than too few

    def take(self, event: object) -> int:
        """Take in one event of the stream; returns the characters that it brought."""
        if not self.begun:
            message = _part(event, "message")
            self.begun = _part(event, "type") == "message_start" and message is not None
            self._count(_part(message, "usage"))
            return 0
        match _part(event, "type"):
            case "content_block_start":
                return self._say(_part(event, "content_block"))
            case "content_block_delta":
                return self._say(_part(event, "delta"))
            case "message_delta":
                self._count(_part(event, "usage"))
                self._stop(_part(event, "delta"))
        return 0

    @property
    def whole(self) -> str:
        """The text so far; half a surrogate pair, which no database takes, is replaced."""
        return "".join(self.text).encode("utf-8", "replace").decode()

    @property
    def stop_reason(self) -> str:
        """Why the answer ended, as the model says it, or why it was not read on; "" while it has not."""
        return self.cut or self._stopped

    @property
    def usage(self) -> Usage:
        """What has been consumed so far, in tokens; an estimate stands in for a count that has not come."""
        if not self.begun:
            return NO_USAGE
        fresh, read, wrote, said = (
            self._counts.get(n, 0) for n in (_INPUT, _READ, _WRITE, _OUTPUT)
        )
        reported = _INPUT in self._counts and fresh + read + wrote > 0
        counted = self._stopped and said
        return Usage(
            input_tokens=fresh if reported else self.expected_input,
            output_tokens=said if counted else max(said, min(self._written, self.most)),
            cache_read_tokens=read,
            cache_write_tokens=wrote,
            cache_write_1h_tokens=min(self._hour, wrote),
        )

    @property
    def dollars(self) -> float:
        """What it has cost so far."""
        return pricing.cost(self.usage, self.price)

    @property
    def overdrawn(self) -> bool:
        """May it have cost more than was committed, by its counts or by its length?"""
        usage = self.usage
        longest = replace(usage, output_tokens=max(usage.output_tokens, self._written))
        return pricing.cost(longest, self.price) > self.committed

    def again(self, fault: Fault, tries: int) -> float | None:
        """Seconds after which the same request is worth another try, the next one after `tries`; None: not now.

        Only what cost nothing is tried again at once: a request that never led to an answer.
        """
        wait = fault.retry_after if isinstance(fault, ProposerUnavailable) else None
        if wait is None or wait >= RETRY_LIMIT or self.silent or self.begun:
            return None
        wait = PAUSE * 2.0**tries if self.retry_after is None else max(0.0, self.retry_after)
        return wait if wait <= PATIENCE else None

    # ---- private -----------------------------------------------------------------------------------------

    def _say(self, piece: object) -> int:
        """Text is kept; thinking, where it is shown, only counts."""
        text, thinking = _part(piece, "text"), _part(piece, "thinking")
        if isinstance(text, str) and text:
            self.text.append(text)
        said = "".join(part for part in (text, thinking) if isinstance(part, str))
        self._written += pricing.estimate_tokens(said)
        return len(said)

    def _count(self, usage: object) -> None:
        """Counts are totals so far: a later one replaces an earlier one, and one that is none replaces nothing."""
        for name in (_INPUT, _READ, _WRITE, _OUTPUT):
            count = _part(usage, name)
            if type(count) is int and 0 <= count <= COUNT_LIMIT:
                self._counts[name] = count
        hour = _part(_part(usage, "cache_creation"), "ephemeral_1h_input_tokens")
        if type(hour) is int and 0 <= hour <= COUNT_LIMIT:
            self._hour = hour

    def _stop(self, delta: object) -> None:
        reason = _part(delta, "stop_reason")
        if isinstance(reason, str):
            self._stopped = one_line(reason, 40)
        named = _part(_part(delta, "stop_details"), "category")
        if isinstance(named, str):
            self.category = one_line(named, 40)


def _part(whole: object, name: str) -> object:
    """A field of an event as the SDK builds it: an object, or the plain JSON where that does not fit."""
    return whole.get(name) if isinstance(whole, Mapping) else getattr(whole, name, None)
