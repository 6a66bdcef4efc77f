"""Which proposer makes the next child, and by which operator: a cost-aware bandit over the pairs of both.

Pure, and everything it knows comes from the journal, so that a restarted engine decides alike. The weights of
[operators] are its prior: they count fully at the start, 0 switches an operator off for good, and what an arm has
gained for what it cost moves its share from there. It never sees a source, git or a device.

Sources: the upper bound on improvement (never on the score itself) from ShinkaEvolve's asymmetric UCB over language
models (Lange et al. 2025, arXiv 2509.19349); credit by operator from adaptive operator selection (Fialho et al.
2010) and meta black-box optimisation; forgetting from discounted UCB (Garivier and Moulines 2011).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TypeVar

BUILTIN = "builtin"
# Beside a language model the built-in proposer keeps its part: constants are what it is as good at, at no price
# (TPE alone ties code agents on this task), while structure is the model's.
BESIDE_A_MODEL = {"tune": 1.0}
BESIDE_OTHERWISE = 0.25
# The prior of every arm, the same for all: as if each had gained a sigma in 10 trainings. Its upper bound is hopeful
# (0.2 sigmas a training, where a night's children gain about 0.1), and one lucky child does not turn the shares over.
PRIOR_GAIN = 1.0  # sigmas
PRIOR_COST = 10.0  # trainings
MOST_GAIN = 2.5  # sigmas that one child is credited with: a first jump must not decide a night
MOST_CALL_COST = 1.0  # trainings that one proposal's calls count as: who gives a key wants it used
# What a call without a child counts as at least: it took a turn, and the buffer waited.
LOST_CALL_COST = 0.5  # trainings
SHARPNESS = 2.0  # how strongly the shares lean towards what pays
NEWS = 0.15  # a change of an operator's share that is worth telling

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One way of making a child."""

    proposer: str  # the model's name, or "builtin"
    operator: str  # a key of [operators]

    def __str__(self) -> str:
        return f"{self.operator} by {self.proposer}"


@dataclass(frozen=True, slots=True)
class Pull:
    """One use of an arm, oldest first in every sequence: a child, or a paid call from which none came."""

    arm: Arm
    cost: float = 0.0  # in trainings
    gain: float | None = (
        0.0  # over its better parent in sigmas, never negative; None = not known yet
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that it follows."""

    weights: Mapping[str, float]  # by operator; only their ratios count
    enabled: bool = True
    floor: float = (
        0.05  # share of proposals that no operator falls below, unless its weight asks for less
    )
    discount: float = 0.98  # what a pull still counts after each later one


@dataclass(frozen=True, slots=True)
class Share:
    """How one arm stands."""

    arm: Arm
    share: float  # of the next proposals, 0…1
    weight: float  # the share that the weights alone give it, 0…1
    pulls: int
    gain: float  # sigmas gained, older pulls discounted
    cost: float  # trainings spent, older pulls discounted

    @property
    def rate(self) -> float:
        """Expected gain in sigmas for the cost of one training, the prior among it."""
        return (PRIOR_GAIN + self.gain) / (PRIOR_COST + self.cost)


def distribute(arms: Collection[Arm], pulls: Sequence[Pull], rules: Rules) -> tuple[Share, ...]:
    """The share of every arm, largest first; they add up to 1. Empty without an arm of positive weight.

    Gains come at a rate for what is spent, so they are a Gamma-Poisson pair: after `gain` sigmas for `cost`
    trainings the rate is (prior + gain) / (prior + cost), give or take the root of its numerator. An arm's share is
    its weight times the square of that upper bound, against the others'.
    """
    base = weighted(arms, rules.weights)
    standing = _sums(base, pulls, rules.discount)
    raw = dict(base)
    if rules.enabled:
        raw = {arm: w * _upper(*standing[arm]) ** SHARPNESS for arm, w in base.items()}
        raw = _with_floor(_normalised(raw), base, rules.floor)
    counts = Counter(pull.arm for pull in pulls)
    found = [Share(arm, raw[arm], base[arm], counts[arm], *standing[arm]) for arm in base]
    return tuple(sorted(found, key=lambda s: (-s.share, s.arm)))


def weighted(arms: Collection[Arm], weights: Mapping[str, float]) -> dict[Arm, float]:
    """The shares that the weights alone give; the proposers of one operator divide its weight."""
    models = {arm.proposer for arm in arms} - {BUILTIN}
    found: dict[Arm, float] = {}
    for arm in sorted(arms):
        rivals = [a for a in arms if a.operator == arm.operator]
        parts = {a: _part(a, bool(models)) for a in rivals}
        weight = max(0.0, weights.get(arm.operator, 0.0)) * parts[arm] / sum(parts.values())
        if weight > 0:
            found[arm] = weight
    return _normalised(found)


def due(shares: Sequence[Share], pulls: Sequence[Pull], discount: float) -> tuple[Arm, ...]:
    """The arms in the order in which it is their turn: who lags most behind its share of the recent pulls first.

    A turn is counted, not drawn, so that ten proposals at weights 4:3:2:1 are 4, 3, 2 and 1 of each.
    """
    used, worth = dict.fromkeys((share.arm for share in shares), 0.0), 1.0
    for pull in reversed(pulls):
        if pull.arm in used:
            used[pull.arm] += worth
        worth *= discount
    total = sum(used.values()) + 1
    lag = {share.arm: share.share * total - used[share.arm] for share in shares}
    return tuple(sorted(lag, key=lambda arm: (-lag[arm], arm)))


def by_operator(shares: Sequence[Share]) -> dict[str, float]:
    """The shares of the operators, largest first."""
    found: dict[str, float] = {}
    for share in shares:
        found[share.arm.operator] = found.get(share.arm.operator, 0.0) + share.share
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def is_news(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Has an operator's share changed so much that people should hear of it?"""
    names = before.keys() | now.keys()
    return any(abs(before.get(n, 0.0) - now.get(n, 0.0)) >= NEWS for n in names)


def in_words(shares: Mapping[str, float]) -> str:
    """`mutate 45 %, tune 30 %, crossover 25 %`."""
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in shares.items())


# ---- private ---------------------------------------------------------------------------------------------


def _part(arm: Arm, beside_a_model: bool) -> float:
    if arm.proposer != BUILTIN or not beside_a_model:
        return 1.0
    return BESIDE_A_MODEL.get(arm.operator, BESIDE_OTHERWISE)


def _sums(
    arms: Collection[Arm], pulls: Sequence[Pull], discount: float
) -> dict[Arm, tuple[float, float]]:
    """Discounted gain and cost of every arm; what is not known yet counts neither way."""
    sums, worth = dict.fromkeys(arms, (0.0, 0.0)), 1.0
    for pull in reversed(pulls):
        if pull.arm in sums and pull.gain is not None:
            gain, cost = sums[pull.arm]
            more = min(MOST_GAIN, max(0.0, pull.gain))
            sums[pull.arm] = (gain + worth * more, cost + worth * pull.cost)
        worth *= discount
    return sums


def _upper(gain: float, cost: float) -> float:
    """The rate of gain that is still believable: its mean and one standard deviation."""
    total = PRIOR_GAIN + gain
    return (total + sqrt(total)) / (PRIOR_COST + cost)


def _normalised(shares: Mapping[Arm, float]) -> dict[Arm, float]:
    total = sum(shares.values())
    return {arm: share / total for arm, share in shares.items()} if total > 0 else {}


def _with_floor(
    shares: dict[Arm, float], base: Mapping[Arm, float], floor: float
) -> dict[Arm, float]:
    """No operator below `floor`, and none of its proposers below that part of it, unless its weight is smaller."""
    operators: dict[str, dict[Arm, float]] = {}
    for arm, share in shares.items():
        operators.setdefault(arm.operator, {})[arm] = share
    wanted = {name: sum(base[arm] for arm in part) for name, part in operators.items()}
    totals = {name: sum(part.values()) for name, part in operators.items()}
    totals = _raised(totals, {name: min(floor, share) for name, share in wanted.items()})
    found: dict[Arm, float] = {}
    for name, part in operators.items():
        inner = sum(part.values())
        lifted = _raised(
            {arm: share / inner for arm, share in part.items()},
            {arm: min(floor, base[arm] / wanted[name]) for arm in part},
        )
        found |= {arm: totals[name] * share for arm, share in lifted.items()}
    return found


def _raised(shares: Mapping[_Key, float], least: Mapping[_Key, float]) -> dict[_Key, float]:
    """Shares that add up to 1, lifted to at least `least` (which add up to 1 at most), the others scaled down."""
    low: set[_Key] = set()
    while True:
        rest = 1 - sum(least[key] for key in low)
        free = sum(share for key, share in shares.items() if key not in low)
        found = {
            key: least[key] if key in low else share * rest / free for key, share in shares.items()
        }
        below = {key for key, share in found.items() if share < least[key] - 1e-12} - low
        if not below:
            return found
        low |= below
