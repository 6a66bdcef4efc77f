"""Asks the stop rules about the run as the journal has it."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from evolve.stop import StopRules, StopState, check, describe

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.journal import Journal
    from evolve.settings import Settings


_HOURS = "seconds used of {}"  # journal key of a run, of what `stop.hours` counts


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
        left = min(left, 3600 * (stop.hours - hours_used(context)) / spent)
    return left


def begin_hours(journal: Journal, run: str, *, again: bool) -> float:
    """The moment of CLOCK_MONOTONIC from which the hours of the stop rule count.

    They count from a person's start on, and only while the machine is awake; an engine that goes on after a fault
    (`again`) has those of the one before it, to the minute (`keep_hours`).
    """
    spent = journal.meta(_HOURS.format(run)) if again else ""
    return time.monotonic() - float(spent or 0.0)


def hours_used(context: Context) -> float:
    """Hours of the stop rule that are used up. Setting the machine's clock changes nothing about them."""
    return (time.monotonic() - context.awake_since) / 3600


def keep_hours(context: Context) -> None:
    """Write down how much is used up, for an engine that goes on after a fault."""
    journal = context.journal
    journal.set_meta(_HOURS.format(journal.run().name), f"{3600 * hours_used(context):.0f}")


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
        hours=hours_used(context),
        dollars=tally.dollars,
        best_bpb=incumbent.mean if incumbent else None,
        since_promotion=tally.since_promotion,
        experiments=tally.experiments,
    )
