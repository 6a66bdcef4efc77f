"""Who has children and who lives on: pure choices on frozen members, lower bits per byte are better.

It never sees git or the journal, and it never judges whether main moves; that is `acceptance`.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from evolve.model import Operator
from evolve.noise import Posterior

STEEPNESS = (
    3.0  # of the sigmoid: a member one spread above the median is 20 times likelier than one below
)
STRUCTURAL = frozenset({"architecture", "attention", "optimizer", "systems"})
# A new structure arrives untuned and loses to a tuned rival at first: the ancestor's log tries each structural
# idea once and never again. So a young one keeps its place until it has had a few children or some time.
YOUNG_AGE = 8
YOUNG_CHILDREN = 3
TWIN_LINES = 1  # members whose code differs in at most so many lines are twins


@dataclass(frozen=True, slots=True)
class Member:
    """A living candidate as the policies see it."""

    id: int
    posterior: Posterior  # shrunk towards its parents, see `noise.posterior`
    parents: tuple[int, ...] = ()
    children: int = 0
    category: str = "other"
    changes: tuple[str, ...] = ()
    code: str = ""  # normalised source, for distinctness
    age: int = 0  # candidates that were measured after it
    pinned: bool = False
    banned: bool = False


def choose_parents(
    members: Sequence[Member], rng: random.Random, operator: Operator
) -> tuple[int, ...]:
    """Ids of the parents of the next child: two for a crossover when two may be had, else one; the first is
    the one that is edited.

    A member's weight is the sigmoid of its posterior mean, scaled by the population's median absolute
    deviation, over 1 + children: ShinkaEvolve's rule, here on the shrunk mean so that a lucky score does not
    breed. Banned members have no children. Raises ValueError when nobody can be a parent.
    """
    able = [member for member in members if not member.banned]
    if not able:
        raise ValueError("no member of the population may have children")
    weights = parent_weights(able)
    first = rng.choices(able, weights)[0]
    others = [member for member in able if member.id != first.id]
    if operator is not Operator.CROSSOVER or not others:
        return (first.id,)
    base = {member.id: weight for member, weight in zip(able, weights, strict=True)}
    partner_weights = [base[member.id] * _complement(first, member) for member in others]
    partner = rng.choices(others, partner_weights)[0]
    best = min(first, partner, key=lambda member: member.posterior.mean)
    return (best.id, first.id if best is partner else partner.id)


def parent_weights(members: Sequence[Member]) -> list[float]:
    """Relative chances of being chosen as a parent, in the order of `members`; all positive."""
    means = [member.posterior.mean for member in members]
    centre = median(means)
    # Scatter below the uncertainty of the means themselves is no scatter.
    spread = max(
        1.4826 * median(abs(mean - centre) for mean in means),
        median(member.posterior.sd for member in members),
        1e-12,
    )
    return [
        _sigmoid(STEEPNESS * (centre - mean) / spread) / (1 + member.children)
        for mean, member in zip(means, members, strict=True)
    ]


def survivors(members: Sequence[Member], size: int, incumbent: int | None) -> frozenset[int]:
    """Ids of those that live on, about `size` of them.

    The incumbent and the pinned always stay, even beyond `size`; the banned go. Then, up to a quarter of the
    places, young structural ideas; then the best that are not twins of somebody who already stays; then, if
    places are left, the best twins.
    """
    able = [m for m in members if not m.banned or m.id == incumbent]
    ranked = sorted(able, key=lambda m: (m.posterior.mean, m.id))
    stay = [m for m in ranked if m.id == incumbent or m.pinned]
    protected = [m for m in ranked if m not in stay and _young_structure(m)]
    stay += protected[: max(0, min(size // 4, size - len(stay)))]
    twins: list[Member] = []
    for member in ranked:
        if len(stay) >= size:
            break
        if member in stay:
            continue
        if any(_twins(member, other) for other in stay):
            twins.append(member)
        else:
            stay.append(member)
    stay += twins[: max(0, size - len(stay))]
    return frozenset(member.id for member in stay)


def line_distance(a: str, b: str) -> int:
    """Lines that must change to make `a` into `b`, order aside."""
    left, right = Counter(a.splitlines()), Counter(b.splitlines())
    return max((left - right).total(), (right - left).total())


def _twins(a: Member, b: Member) -> bool:
    return bool(a.code and b.code) and line_distance(a.code, b.code) <= TWIN_LINES


def _young_structure(member: Member) -> bool:
    return (
        member.category in STRUCTURAL
        and member.age < YOUNG_AGE
        and member.children < YOUNG_CHILDREN
        and bool(member.parents)
    )


def _complement(first: Member, other: Member) -> float:
    """How much a partner brings that `first` lacks: another kind of change, other constants, other lines."""
    worth = 1.0 if other.category == first.category else 2.0
    touched, also = _touched(first), _touched(other)
    if touched and also:
        worth *= 1.0 + len(also - touched) / len(also)
    if other.id in first.parents or first.id in other.parents:
        worth *= 0.1  # a parent has little that its child lacks
    if _twins(first, other):
        worth *= 0.1
    return worth


def _touched(member: Member) -> frozenset[str]:
    return frozenset(change.split(":", 1)[0] for change in member.changes)


def _sigmoid(x: float) -> float:
    # Bounded, so that the hopeless keep a trace of a chance and nothing overflows.
    return 1 / (1 + math.exp(-max(-20.0, min(20.0, x))))
