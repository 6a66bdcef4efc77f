"""Which child takes a few steps and an evaluation before its first training, and what comes of that.

The run itself is the harness's, and the slot's own turn: beside a training it would cost that some of its time. A child
that does not come through has failed, and its traceback goes to whoever repairs it; it has cost seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.model import Operator
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate, Smoke
    from harness.spec import SmokeResult

VOIDS = 2  # smoke runs lost to outside causes, after which the training itself finds out
# Their children differ from what has trained before in more than constants.
CODE = frozenset(
    {Operator.MUTATE, Operator.REWRITE, Operator.CROSSOVER, Operator.REPAIR, Operator.HUMAN}
)


def wanted(context: Context, candidate: Candidate) -> bool:
    """Is this ready child to be tried out before it trains?

    `auto`: where time is the budget, children with other code or another size; a rehearsal's training is as short as
    its trial. What came through once, or was lost to outside causes repeatedly, is not tried again.
    """
    mode = context.settings.vetting.smoke
    if mode == "never" or not candidate.parents:
        return False
    if mode == "auto" and (context.settings.budget.kind == "tokens" or not _changed(candidate)):
        return False
    tried = [smoke.outcome for smoke in context.journal.smokes(candidate.id)]
    return Outcome.OK not in tried and tried.count(Outcome.VOID) < VOIDS


def settle(context: Context, smoke: Smoke, result: SmokeResult) -> None:
    """Write down what a smoke run came to, and what a person should know of its memory."""
    context.journal.finish_smoke(smoke, result, _memory(context, result))


def may_train(context: Context, candidate: int, result: SmokeResult) -> bool:
    """Does the candidate's training follow at once? Meanwhile it may have been dropped, or the run paused."""
    if result.outcome not in (Outcome.OK, Outcome.VOID) or context.stopping or context.paused:
        return False
    return any(ready.id == candidate for ready in context.journal.queue())


def _changed(candidate: Candidate) -> bool:
    return candidate.operator in CODE or candidate.category == "size"


def _memory(context: Context, result: SmokeResult) -> str:
    """A soft limit is only told of."""
    limit, peak = context.weights.memory_limit_mb, result.peak_memory_mb
    if peak is None or not limit or peak <= limit:
        return ""
    return f"That is above the soft limit of {limit:,.0f} MB."
