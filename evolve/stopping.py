"""Asks the stop rules about the run as the journal has it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
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


def trainings_left(context: Context) -> float:
    """How many more trainings the rules in force leave, as far as they tell; infinity when they do not.

    A number of children says nothing of repeats, so it does not count here.
    """
    stop = context.settings.stop
    left = math.inf
    if stop.experiments:
        left = stop.experiments - context.journal.tally().experiments
    if stop.hours and (spent := context.journal.seconds_per_training()):
        left = min(left, (context.started + 3600 * stop.hours - time.time()) / spent)
    return left


def may_confirm(context: Context) -> bool:
    """Is the number of children all that ends the run? Then what leads is still confirmed or turned away first."""
    without = replace(rules(context.settings), candidates=0)
    return check(without, _state(context)) is None


def reason_to_stop(context: Context) -> str | None:
    """The sentence with which the run ends now, or None."""
    return check(rules(context.settings), _state(context))


def _state(context: Context) -> StopState:
    """How far the run has come."""
    journal = context.journal
    tally = journal.tally()
    incumbent = context.incumbent()
    return StopState(
        candidates=tally.settled,
        hours=(time.time() - context.started) / 3600,
        dollars=tally.dollars,
        best_bpb=incumbent.mean if incumbent else None,
        since_promotion=tally.since_promotion,
        experiments=tally.experiments,
    )
