"""What every way of making a child has brought and cost, read from the journal for the bandit.

It reads and decides nothing. Neither settings nor git nor numpy are imported: clients show the same shares as the
engine follows, and a restarted engine finds what it knew before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING

from evolve.bandit import (
    BUILTIN,
    LOST_CALL_COST,
    MOST_CALL_COST,
    Arm,
    Pull,
    Rules,
    Share,
    distribute,
)
from evolve.callbook import CallCost
from evolve.evidence import Evidence
from evolve.model import Candidate, Operator, Verdict
from evolve.reader import Reader

if TYPE_CHECKING:
    from evolve.journal import Journal

Believed = tuple[Mapping[int, float], float]  # corrected scores by candidate, and the noise of one
WINDOW = 400  # newest candidates that are looked at: at the usual discount nothing older counts
OPERATORS = (Operator.MUTATE, Operator.REWRITE, Operator.CROSSOVER, Operator.TUNE)
_ARMS = (
    "arms of {}"  # journal key: which proposers the engine of a run has, and for which operators
)


def shares(reader: Reader, known: Believed | None = None) -> tuple[Share, ...]:
    """How the next proposals of the newest run are shared out, largest share first.

    `known`: what is believed of everybody, where that has been computed. Raises NothingToDo without a run.
    """
    rules = rules_of(reader.settings_in_force())
    return distribute(known_arms(reader), pulls(reader, known), rules)


def rules_of(settings: Mapping[str, str]) -> Rules:
    """The rules from settings as text; what an older run's settings lack has its default."""
    plain = Rules({})
    return Rules(
        weights={str(o): float(settings.get(f"operators.{o}", "0")) for o in OPERATORS},
        enabled=settings.get("bandit.enabled", "true") == "true",
        floor=float(settings.get("bandit.floor", str(plain.floor))),
        discount=float(settings.get("bandit.discount", str(plain.discount))),
    )


def known_arms(reader: Reader) -> tuple[Arm, ...]:
    """What the engine last had to choose from; the built-in proposer's operators before it chose at all."""
    stored = reader.meta(_ARMS.format(reader.run().name))
    if stored:
        return tuple(Arm(proposer, operator) for proposer, operator in json.loads(stored))
    able = (Operator.MUTATE, Operator.CROSSOVER, Operator.TUNE)
    return tuple(Arm(BUILTIN, str(operator)) for operator in able)


def note_arms(journal: Journal, arms: Iterable[Arm]) -> None:
    """Write down what there is to choose from, when it is not what was written before."""
    key = _ARMS.format(journal.run().name)
    text = json.dumps([[arm.proposer, arm.operator] for arm in sorted(arms)])
    if journal.meta(key) != text:
        journal.set_meta(key, text)


def pulls(reader: Reader, known: Believed | None = None) -> tuple[Pull, ...]:
    """Every use of an arm, oldest first: children, and paid calls that led to none.

    A child's gain is over the better of its parents, both as they are believed to be and not as they scored: one
    lucky training is no merit. A failure gained nothing. Its cost is its first training, in units of the run's
    typical one, and its calls, at what an hour of the device is worth; repeats are the price of certainty and not
    of the idea.
    """
    first = reader.next_candidate_id() - 1 - WINDOW
    seconds = reader.screening_seconds(after=first)
    calls = reader.call_costs(limit=4 * WINDOW)
    typical = median(spent) if (spent := [s for s in seconds.values() if s > 0]) else 0.0
    worth = _worth(reader.settings_in_force(), typical)
    paid = _by_candidate(calls, worth)
    means, sigma = known or _means(reader)
    found: list[tuple[float, Pull]] = []
    for child in reader.candidates_of(range(max(0, first) + 1, reader.next_candidate_id())):
        if child.parents and child.operator in OPERATORS:
            cost = min(MOST_CALL_COST, paid.get(child.id, 0.0))
            cost += seconds.get(child.id, 0.0) / typical if typical else float(bool(child.scores))
            found.append((child.created, Pull(arm_of(child), cost, _gain(child, means, sigma))))
    for call in calls:
        if call.candidate is None and call.operator in OPERATORS:
            cost = min(MOST_CALL_COST, max(LOST_CALL_COST, call.dollars * worth))
            found.append((call.time, Pull(Arm(call.model, call.operator), cost)))
    return tuple(pull for _, pull in sorted(found, key=lambda pair: pair[0]))


def arm_of(candidate: Candidate) -> Arm:
    """The arm that made a candidate."""
    return Arm(candidate.model or candidate.proposer, str(candidate.operator))


# ---- private ---------------------------------------------------------------------------------------------


def _worth(settings: Mapping[str, str], typical: float) -> float:
    """Trainings that a dollar is worth."""
    hour = float(settings.get("bandit.hour_dollars", "3.0"))
    return 3600 / (hour * typical) if typical and hour else 0.0


def _by_candidate(calls: Iterable[CallCost], worth: float) -> dict[int, float]:
    paid: dict[int, float] = {}
    for call in calls:
        if call.candidate is not None:
            paid[call.candidate] = paid.get(call.candidate, 0.0) + call.dollars * worth
    return paid


def _gain(child: Candidate, means: Mapping[int, float], sigma: float) -> float | None:
    """Sigmas by which a child is believed to beat its better parent; None before its verdict."""
    if child.verdict is None or child.verdict is Verdict.DROPPED:
        return None
    rivals = [means[p] for p in child.parents if p in means]
    if child.id not in means or not rivals or sigma <= 0:
        return 0.0
    return max(0.0, (min(rivals) - means[child.id]) / sigma)


def _means(reader: Reader) -> Believed:
    """The believed fitness of everybody who has one, and the noise of one training."""
    evidence = Evidence()
    evidence.update(reader)
    return evidence.field(), evidence.noise.sigma
