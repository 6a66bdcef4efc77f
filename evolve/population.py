"""Who has children and who lives on: pure choices on frozen members, lower bits per byte are better.

It never sees git or the journal, and it never judges whether main moves; that is `acceptance`.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from evolve.model import Operator
from evolve.noise import Posterior
from evolve.propose.operators import CATEGORIES

# Of the sigmoid: a member one spread above the median is 20 times likelier than one below.
STEEPNESS = 3.0
STRUCTURAL = frozenset({"architecture", "attention", "optimizer", "systems"})
# A new structure arrives untuned and loses to a tuned rival at first: the ancestor's log tries each structural
# idea once and never again. So a young one keeps its place until its constants were tuned, until it has had
# other children enough, or until it is old.
YOUNG_AGE = 24
YOUNG_CHILDREN = 4
TUNED = 2  # measured children with other constants, after which a structure has had its chance
TWIN_LINES = 1  # members whose code differs in at most so many lines are twins
# Crowding (De Jong 1975; RTS of Harik 1995), graded: of two members nearer than this share of their lines, the worse
# one counts as worse still, by up to CROWDING of its own standard deviations where they are the same.
NEAR = 0.05
CROWDING = 1.0
QUOTA = 0.3  # of the proposals, that one kind of change may take on a plateau


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
    age: int = 0  # candidates that were made after it
    tuned: int = 0  # measured children of it in which only constants differ
    tuning: int = 0  # such children that are not measured yet
    island: int = 0
    guest: bool = False  # the founder of an island where it does not live, see `islands`
    pinned: bool = False
    banned: bool = False


def choose_parents(
    members: Sequence[Member],
    rng: random.Random,
    operator: Operator,
    wished: Member | None = None,
) -> tuple[int, ...]:
    """Ids of the parents of the next child: two for a crossover when two may be had, else one; the first is
    the one that is edited.

    A member's weight is the sigmoid of its posterior mean, scaled by the population's median absolute
    deviation, over 1 + children: ShinkaEvolve's rule, here on the shrunk mean so that a lucky score does not
    breed. Banned members have no children. `wished`, one of the members, is one of the parents. Raises ValueError when nobody can be a parent.
    """
    able = [member for member in members if not member.banned]
    if not able:
        raise ValueError("no member of the population may have children")
    weights = parent_weights(able)
    first = wished or rng.choices(able, weights)[0]
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
    """Ids of those that live on, about `size` of them, on every island as many.

    The incumbent and the pinned always stay, even beyond `size`; the banned go. Then, up to a quarter of the
    places, young structural ideas; then one after another the best that are left, where somebody who is near in
    code to one who stays counts as worse for it, and a twin waits until nobody else is left.
    """
    islands = sorted({m.island for m in members})
    stay: set[int] = set()
    for place, island in enumerate(islands):
        share = size // len(islands) + (place < size % len(islands))
        here = [m for m in members if m.island == island and not m.guest]
        stay |= _survivors_here(here, max(1, share), incumbent)
    return frozenset(stay)


def _survivors_here(members: Sequence[Member], size: int, incumbent: int | None) -> set[int]:
    able = [m for m in members if not m.banned or m.id == incumbent]
    ranked = sorted(able, key=lambda m: (m.posterior.mean, m.id))
    stay = [m for m in ranked if m.id == incumbent or m.pinned]
    protected = [m for m in ranked if m not in stay and _young_structure(m)]
    stay += protected[: max(0, min(size // 4, size - len(stay)))]
    staying = {m.id for m in stay}
    left = {m.id: m for m in ranked if m.id not in staying}
    likeness = {
        number: max((_likeness(m, other) for other in stay), default=0.0)
        for number, m in left.items()
    }
    while left and len(stay) < size:
        best = min(left.values(), key=lambda m: (*_crowded(m, likeness[m.id]), m.id))
        stay.append(left.pop(best.id))
        for number, member in left.items():
            likeness[number] = max(likeness[number], _likeness(member, best))
    return {member.id for member in stay}


def needs_tuning(members: Sequence[Member]) -> tuple[int, ...]:
    """Ids of young structural ideas that wait for children with other constants, the best first.

    Each is named until `TUNED` such children are measured or under way; a banned one never.
    """
    waiting = [m for m in members if not m.banned and not m.guest and _young_structure(m)]
    waiting = [m for m in waiting if m.tuned + m.tuning < TUNED]
    return tuple(m.id for m in sorted(waiting, key=lambda m: (m.posterior.mean, m.id)))


def category_weights(
    attempts: Sequence[tuple[str, bool]], since_promotion: int, plateau: int
) -> dict[str, float]:
    """How often each kind of change is to be proposed, relative to how often it would be: 1.0 changes nothing.

    `attempts`: the category of every child so far, and whether it gained anything. Before `plateau` children
    without a promotion, and when `plateau` is 0, all weigh 1.0. From then on these are the shares of the next
    proposals times the number of categories: larger for what was tried rarely (1 / sqrt(1 + tries)), twice that
    for what ever gained something, and never beyond `QUOTA` of all proposals. The ancestor's users met this
    plateau as a search that circles in one kind of change (discussion 110 there).
    """
    names = tuple(dict.fromkeys((*CATEGORIES, *(category for category, _ in attempts))))
    if plateau <= 0 or since_promotion < plateau:
        return dict.fromkeys(names, 1.0)
    tries = Counter(category for category, _ in attempts)
    gained = {category for category, gain in attempts if gain}
    raw = {c: (2.0 if c in gained else 1.0) / math.sqrt(1 + tries[c]) for c in names}
    shares = _capped({c: weight / sum(raw.values()) for c, weight in raw.items()})
    return {c: share * len(names) for c, share in shares.items()}


@lru_cache(maxsize=1024)  # survivors are asked about the same few dozen codes again and again
def line_distance(a: str, b: str) -> int:
    """Lines that must change to make `a` into `b`, order aside."""
    left, right = Counter(a.splitlines()), Counter(b.splitlines())
    return max((left - right).total(), (right - left).total())


def _twins(a: Member, b: Member) -> bool:
    return bool(a.code and b.code) and line_distance(a.code, b.code) <= TWIN_LINES


def _likeness(a: Member, b: Member) -> float:
    """0 for what is `NEAR` apart or farther, 1 for the same code; unknown code is like nobody's. Twins are beyond."""
    if not a.code or not b.code:
        return 0.0
    distance = line_distance(a.code, b.code)
    if distance <= TWIN_LINES:
        return math.inf
    size = max(_length(a.code), _length(b.code))
    return max(0.0, 1 - distance / (NEAR * size))


@lru_cache(maxsize=64)
def _length(code: str) -> int:
    return len(code.splitlines())


def _crowded(member: Member, likeness: float) -> tuple[bool, float]:
    """What a member is ranked by: twins of those who stay come last, then the mean with what crowding adds."""
    if math.isinf(likeness):
        return (True, member.posterior.mean)
    return (False, member.posterior.mean + CROWDING * likeness * member.posterior.sd)


def _young_structure(member: Member) -> bool:
    return (
        member.category in STRUCTURAL
        and member.age < YOUNG_AGE
        and member.children < YOUNG_CHILDREN
        and member.tuned < TUNED
        and bool(member.parents)
    )


def _capped(shares: dict[str, float]) -> dict[str, float]:
    """The same with none above `QUOTA`; what is cut off goes to the others in proportion."""
    fixed: dict[str, float] = {}
    while over := [c for c, s in shares.items() if c not in fixed and s > QUOTA]:
        fixed |= dict.fromkeys(over, QUOTA)
        free = sum(s for c, s in shares.items() if c not in fixed)
        scale = (1 - sum(fixed.values())) / free
        shares = {c: fixed.get(c, s * scale) for c, s in shares.items()}
    return shares


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
