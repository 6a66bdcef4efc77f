"""For scripts that keep their own time, as the ancestor does: how long they warm up, and how they come to an end.

The ancestor leaves its first eleven optimizer steps out of its time, and each moment between two steps. What is
said here of a warm-up is a wish; the trusted side decides, and gives nothing of worth before its clock starts. The
script's clocks must never be touched while its budget lasts: only after it, and in a replay, which has none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from time import monotonic  # which nobody puts forward
from typing import Any

from prepare_seeds import swap_in_script

WARMUP_STEPS = (
    10  # optimizer steps behind a script when it asks for the first batch that its clock counts
)
CLOCKS = ("time", "perf_counter", "monotonic")
LAST_STEPS = 2.0  # seconds for them after the end; the weights must come soon afterwards


class WarmUp:
    """How long a script with its own clock is still warming up, by the steps that its optimizers have taken."""

    def __init__(self) -> None:
        """Count from now on. Scripts without an optimizer of torch's kind have no warm-up of their own."""
        from torch.optim import optimizer

        self._kind = optimizer.Optimizer
        self._steps: dict[int, int] = {}  # of each optimizer
        self._taken = 0  # of the foremost one, when a batch was last asked for
        self._asked = self._usual = 0  # batches since that step, and between the last two
        optimizer.register_optimizer_step_post_hook(self._count)  # for good: see the test

    def _count(self, optimizer: Any, arguments: Any, named: Any) -> None:
        self._steps[id(optimizer)] = self._steps.get(id(optimizer), 0) + 1

    @property
    def steps(self) -> int:
        """Steps of the foremost optimizer."""
        return max(self._steps.values(), default=0)

    def lasts(self) -> bool | None:
        """Whether the batch that is asked for now is one of the warm-up; None without an optimizer.

        To be called once a batch.
        """
        taken = self.steps
        if taken != self._taken:
            self._taken, self._usual, self._asked = taken, self._asked, 0
        self._asked += 1
        if taken == 0:
            return any(getattr(kind.step, "hooked", False) for kind in _kinds(self._kind)) or None
        # The ancestor fetches a batch ahead: the last one fetched in its eleventh step is the first that counts.
        return taken < WARMUP_STEPS or (taken == WARMUP_STEPS and self._asked < self._usual)


def _kinds(kind: Any) -> Iterator[Any]:
    """All classes below `kind`; torch hooks into the steps of those that have been made use of."""
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)


class Hurry:
    """Clocks of this process that can be put forward, so that a script with its own clock finds its time gone."""

    def __init__(self) -> None:
        """Replace the clocks of the module `time`, and those that the script has imported from it."""
        self._ahead = 0  # nanoseconds
        replaced: dict[Any, Any] = {}
        for name in CLOCKS:
            seconds, nanoseconds = getattr(time, name), getattr(time, f"{name}_ns")
            replaced[seconds] = lambda real=seconds: real() + self._ahead / 1e9
            replaced[nanoseconds] = lambda real=nanoseconds: real() + self._ahead
            vars(time).update({name: replaced[seconds], f"{name}_ns": replaced[nanoseconds]})
        swap_in_script(replaced)

    def skip(self, seconds: float) -> None:
        """Put the clocks forward."""
        self._ahead += round(seconds * 1e9)

    def skip_each_step(self, seconds: float) -> None:
        """Put them forward with every optimizer step as well: some scripts time those alone."""
        from torch.optim import optimizer

        optimizer.register_optimizer_step_post_hook(lambda *_: self.skip(seconds))


class LastSteps:
    """The end of a script with its own clock, when ours has run out before that one: it may finish its step.

    Its clock leaves moments out that count. It is put forward, a little for the step that is under way and all the
    way for one more, so the script ends by itself; what decides is when its weights come.
    """

    def __init__(self, warm_up: WarmUp, hurry: Hurry, budget: float) -> None:
        """To be made when the budget of `budget` seconds is found spent."""
        self._warm_up, self._hurry = warm_up, hurry
        self._leaps = [budget, budget / 20]
        self._steps, self._until = -1, monotonic() + LAST_STEPS

    def go_on(self) -> bool:
        """Whether the script may have its last batch once more."""
        if monotonic() > self._until:
            return False
        if self._warm_up.steps != self._steps:
            if not self._leaps:
                return False
            self._steps = self._warm_up.steps
            self._hurry.skip(self._leaps.pop())
        return True
