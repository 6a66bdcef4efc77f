"""What has been spent of a budget, and which batches come before the clock: the rules, as pure arithmetic.

It reads no clock itself and never trusts a number that a candidate sends; `harness.meter` gives it the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.spec import Budget

WARMUP_BATCHES = 16  # before the clock of a `seconds` budget starts: compilation is free
LONG_WARMUP = (
    4096  # of these at most, for a script with its own clock that has not taken its first steps
)
COMMIT_GRACE = 3.0  # seconds to finish the last step and hand the weights over
COMMIT_RATE = 1 << 30  # bytes a second that handing them over may take, on top of the grace


@dataclass(slots=True)
class BudgetClock:
    """What has been spent of a budget. All times are seconds on one monotonic clock, given by the caller.

    A budget of tokens counts from the first batch. The clock of a budget of seconds starts with the first batch
    of data: the 17th, or any that is asked for `setup_limit` seconds after the first. What comes before is
    warm-up, in no order, and teaches nothing, so nobody gains by more of it. Hence a script that keeps its
    own time, and leaves its first optimizer steps out of that, may say itself when its warm-up is over, before
    16 batches or after: its clock and this one then start together.
    """

    budget: Budget
    first: float | None = None  # when the first batch was served
    batches: int = 0  # of warm-up and of data
    warm: int = 0  # of warm-up
    tokens: int = 0  # of data
    end: float | None = None  # when the weights were committed
    _start: float | None = None

    def warming(self, now: float, said: bool | None = None) -> bool:
        """Whether a batch that is asked for at `now` comes before the clock; `said`: what the script thinks."""
        if self.budget.kind == "tokens" or self.start(now) is not None:
            return False
        return self.batches < {None: WARMUP_BATCHES, True: LONG_WARMUP, False: 0}[said]

    def served(self, now: float, tokens: int, *, warm: bool = False) -> None:
        """Count one batch, served at `now`: `tokens` tokens of data, or one of the warm-up."""
        if self.first is None:
            self.first = now
        self.batches += 1
        if warm:
            self.warm += 1
            return
        if self.start(now) is None:
            self._start = now
        self.tokens += tokens

    def start(self, now: float) -> float | None:
        """When the clock started: with the first data, or `setup_limit` after the first batch; None before that."""
        limit = self.budget.setup_limit
        if self._start is None and self.first is not None and now > self.first + limit:
            self._start = self.first + limit
        return self._start

    def seconds(self, now: float) -> float:
        """Seconds on the clock; it stands still once the weights are committed."""
        start = self.start(now)
        return 0.0 if start is None else max(0.0, (now if self.end is None else self.end) - start)

    def fraction(self, now: float) -> float:
        """Share of the budget that is spent, 0…1."""
        spent = self.tokens if self.budget.kind == "tokens" else self.seconds(now)
        return min(1.0, spent / self.budget.amount)

    def spent(self, now: float, tokens: int, *, overtime: bool = False) -> bool:
        """Whether a batch of `tokens` tokens more is out of the question.

        A script that keeps its own time (`overtime`) is served until the overrun is used up as well, so that
        its own clock ends it and not ours. A budget of tokens is never exceeded.
        """
        if self.end is not None:
            return True
        if self.budget.kind == "tokens":
            return self.tokens + tokens > self.budget.amount
        share = 1 + self.budget.overrun if overtime else 1.0
        return self.seconds(now) >= self.budget.amount * share

    def late(self, now: float, size: int) -> bool:
        """Whether weights of `size` bytes that arrive at `now` come too late to count."""
        if self.budget.kind == "tokens":
            return False
        allowed = self.budget.amount * (1 + self.budget.overrun) + COMMIT_GRACE + size / COMMIT_RATE
        return self.seconds(now) > allowed
