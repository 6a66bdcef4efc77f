"""Keeps watch over the speed of the machine in a run: says when the baseline is due, tells of drift, and of its end.

What speeds mean is `drift`'s to say. This module reads them from the journal and writes down what follows:
events, the sentence that clients show, and which scores count no more. It starts no training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.drift import Drift, assess

if TYPE_CHECKING:
    from evolve.context import Context

META = (
    "drift of {}"  # journal key of the sentence that tells of a run's drift; empty = there is none
)
_INCOMPARABLE = (
    "It was trained while the machine ran at another speed than at the start of the run."
)


def current(context: Context) -> Drift:
    """What the speeds say now. A score does not depend on them where tokens are the budget and speed is worth nothing."""
    if context.settings.budget.kind != "seconds" and not context.weights.tokens_per_second:
        return Drift()
    return assess(context.journal.speeds())


def note(context: Context) -> Drift:
    """Write down what has changed since the last look; safe to be repeated after a crash."""
    journal, found = context.journal, current(context)
    for experiment in found.incomparable:
        journal.discount(experiment, _INCOMPARABLE)
    key = META.format(journal.run().name)
    told, sentence = journal.meta(key), _sentence(found)
    if sentence != told:
        figures = {"start": found.start, "now": found.now, "drifting": found.drifting}
        journal.tell("drift", sentence or _recovered(found), figures, key, sentence)
    elif found.suspected:
        journal.record_event(
            "drift",
            "A repeat trained at another speed than the same candidate did before; the baseline is measured "
            "once more, to see whether it is the machine.",
        )
    return found


def _sentence(found: Drift) -> str:
    if not found.drifting:
        return ""
    return (
        f"The baseline now trains {found.change}: main does not move and contenders wait, because scores from "
        "before and after are not comparable; look for another process, heat or power limits "
        "(`autoresearch doctor`), or start a new run with `--name`."
    )


def _recovered(found: Drift) -> str:
    return (
        f"The baseline trains at its first speed again ({found.start:,.0f} tokens a second at the start, "
        f"{found.now:,.0f} now): contenders are repeated, and main may move."
    )
