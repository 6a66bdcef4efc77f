"""Asks the stop rules about the run as the journal has it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evolve.stop import StopRules, StopState, check, describe

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.settings import Settings


def rules(settings: Settings) -> StopRules:
    """The stop rules in force."""
    stop = settings.stop
    return StopRules(
        candidates=stop.candidates,
        hours=stop.hours,
        dollars=stop.dollars,
        target_bpb=stop.target_bpb,
        plateau=stop.plateau,
        experiments=stop.experiments,
    )


def in_words(settings: Settings) -> str:
    """`12 candidates or 2 hours, whichever comes first`."""
    return describe(rules(settings))


def reason_to_stop(context: Context) -> str | None:
    """The sentence with which the run ends now, or None."""
    journal = context.journal
    tally = journal.tally()
    incumbent = context.incumbent()
    return check(
        rules(context.settings),
        StopState(
            candidates=tally.settled,
            hours=(time.time() - context.started) / 3600,
            dollars=tally.dollars,
            best_bpb=incumbent.mean if incumbent else None,
            since_promotion=tally.since_promotion,
            experiments=tally.experiments,
        ),
    )
