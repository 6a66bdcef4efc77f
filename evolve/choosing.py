"""What the next child is to be: by whom and by which operator, of which parents, in which direction.

It joins the policies (`bandit`, `population`) to the journal and makes nothing. Every choice is a function of the
journal and of the random numbers it is given, so a restarted engine goes on as it would have.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve import bandit, credit
from evolve.bandit import Arm, Share
from evolve.briefs import ancestors
from evolve.islands import on_one_island
from evolve.model import Candidate, Operator, Verdict
from evolve.noise import probability_better
from evolve.population import Member, category_weights, choose_parents, needs_tuning
from evolve.propose.operators import CATEGORIES
from evolve.roster import VERDICTS
from evolve.standing import members
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.reader import Reader

PAIRS = 16  # draws for two parents that are not of one line
REPAIRS = 2  # tries to mend one crashed candidate, those from which no child came among them
CALLS = 2  # of a language model that one try may take
RECENT = 20  # candidates among which a crashed one is still worth mending
EXPLOIT = 0.8  # share of the children that descend from the front, the others from anybody
MAYBE_BEST = 0.25  # P(better than the best) that belongs to the front
MAYBE_TUNED = 0.05  # that is worth tuning: a new structure arrives untuned, but not so far behind
TUNING_SHARE = 0.3  # of the children go to young structural ideas first, while there are any
_GAINED = frozenset({VERDICTS.index(Verdict.KEPT), VERDICTS.index(Verdict.PROMOTED)})
MENDABLE = frozenset({Outcome.CRASH, Outcome.OOM, Outcome.NAN})


@dataclass(frozen=True, slots=True)
class Choice:
    """One child to be made."""

    arm: Arm
    parents: tuple[int, ...]  # the first is the one that is edited
    category: str = ""  # the direction that a plateau asks for; "" = any
    boosted: int = 0  # the parent that a person wished for; 0 = nobody did

    @property
    def operator(self) -> Operator:
        """How it is to be made."""
        return Operator(self.arm.operator)

    def __str__(self) -> str:
        family = " and ".join(f"#{parent}" for parent in self.parents)
        towards = f" ({self.category})" if self.category else ""
        return f"{self.arm.proposer} writes a {self.arm.operator} of {family}{towards}"


def arms_of(able: Mapping[str, Collection[Operator]]) -> tuple[Arm, ...]:
    """The arms of proposers, each with what it can do; repairing is no arm, since failures ask for it."""
    return tuple(
        Arm(proposer, str(operator))
        for proposer, operators in able.items()
        for operator in credit.OPERATORS
        if operator in operators
    )


def choose(
    context: Context,
    able: Mapping[str, Collection[Operator]],
    turns: Sequence[Arm],
    rng: random.Random,
    spent: Collection[Arm] = (),
) -> Choice | None:
    """The next child for proposers that can do what `able` says; None when nothing is left to be tried.

    `turns`: the arms in the order in which the bandit wants them, see `standing`. `spent`: arms that have just led
    to nothing, and are left out. Whom a person boosted comes first. Then a crashed candidate is mended, by a language
    model; then some children go to young structural ideas that were not tuned yet; else it is the turn of the first arm.
    """
    living = members(context)
    if not living:
        return None
    if wish := _boosted(context, living, [arm for arm in turns if arm not in spent], rng):
        return wish
    if repair := _repair(context, able, spent):
        return repair
    left = [arm for arm in turns if arm not in spent]
    near = {member.id for member in front(living, MAYBE_TUNED)}
    young = [number for number in needs_tuning(living) if number in near]
    tuning = next((arm for arm in left if arm.operator == Operator.TUNE), None)
    if young and tuning and rng.random() < TUNING_SHARE:
        return Choice(tuning, (young[0],))
    direction = _direction(context, rng)
    for arm in left:
        if parents := _parents(context, living, rng, Operator(arm.operator)):
            towards = "" if arm.operator == Operator.CROSSOVER else direction
            return Choice(arm, parents, towards)
    return None


@dataclass(frozen=True, slots=True)
class Standing:
    """The shares in force, and whose turn it is by them."""

    shares: tuple[Share, ...]
    turns: tuple[Arm, ...]


def standing(context: Context, able: Mapping[str, Collection[Operator]]) -> Standing:
    """How these proposers stand now."""
    settings = context.settings
    believed = context.believed()
    known = credit.pulls(context.journal, (believed.field(), believed.noise.sigma))
    rules = bandit.Rules(
        weights=settings.operators.model_dump(),
        enabled=settings.bandit.enabled,
        floor=settings.bandit.floor,
        discount=settings.bandit.discount,
    )
    shares = bandit.distribute(arms_of(able), known, rules)
    return Standing(shares, bandit.due(shares, known, rules.discount))


def front(living: Sequence[Member], chance: float) -> list[Member]:
    """Those who may be the best, as far as anybody knows: the best, and who beats it with that probability.

    In a hundred trainings a search cannot afford to breed from everybody: what lives on merely because there is room
    would have most of the children, and those would start several sigmas behind.
    """
    best = min(living, key=lambda member: (member.posterior.mean, member.id))
    return [
        member
        for member in living
        if member is best or probability_better(member.posterior, best.posterior) >= chance
    ]


def to_repair(reader: Reader) -> Candidate | None:
    """The latest crashed candidate that has not been given up, whether it crashed in a training or a smoke run.

    A repair is not repaired in turn, so tries are bounded whatever they do; and a candidate whose score the blind
    audit voided is not mended but dropped: it did not crash, it cheated or looked ahead.
    """
    newest = reader.next_candidate_id() - 1
    for candidate in reversed(reader.candidates(after=max(0, newest - RECENT), limit=RECENT)):
        if candidate.outcome not in MENDABLE or candidate.voided or candidate.verdict is None:
            continue
        if candidate.operator is Operator.REPAIR or candidate.scores:
            continue
        children = reader.candidates_of(reader.children_of([candidate.id]))
        tries = [c for c in children if c.operator is Operator.REPAIR]
        lost = reader.lost_calls(Operator.REPAIR, candidate.id) / CALLS
        under_way = any(c.verdict is None or c.scores for c in tries)
        if len(tries) + lost < REPAIRS and not under_way:
            return candidate
    return None


# ---- private ---------------------------------------------------------------------------------------------


def _repair(
    context: Context, able: Mapping[str, Collection[Operator]], spent: Collection[Arm]
) -> Choice | None:
    """A repair by the first proposer that can do it and has not just failed at it."""
    menders = (Arm(p, str(Operator.REPAIR)) for p, can in able.items() if Operator.REPAIR in can)
    mender = next((arm for arm in menders if arm not in spent), None)
    if mender is None or (crashed := to_repair(context.journal)) is None:
        return None
    return Choice(mender, (crashed.id,))


def _boosted(
    context: Context, living: tuple[Member, ...], arms: Sequence[Arm], rng: random.Random
) -> Choice | None:
    """A child of whom a person boosted, by the first arm that finds it one; who has most boosts left comes first."""
    left = {c.id: c.boosted for c in context.journal.living() if c.boosted}
    able = [m for m in living if m.id in left and not m.banned and not m.guest]
    for member in sorted(able, key=lambda m: (-left[m.id], m.id)):
        for arm in arms:
            if parents := _parents(context, living, rng, Operator(arm.operator), member):
                return Choice(arm, parents, boosted=member.id)
    return None


def _parents(
    context: Context,
    living: tuple[Member, ...],
    rng: random.Random,
    operator: Operator,
    wished: Member | None = None,
) -> tuple[int, ...]:
    """Parents for an operator, `wished` among them; none when a crossover finds no two that have something to exchange."""
    everywhere = (
        [m for m in living if not m.guest] if wished else on_one_island(living, rng, operator)
    )
    able = [m for m in everywhere if not m.banned]
    if not able:
        return ()
    chosen = front(able, MAYBE_BEST) if rng.random() < EXPLOIT else able
    if operator is not Operator.CROSSOVER:
        return choose_parents(chosen, rng, operator, wished)
    # The front is often one line: then whoever lives may give what that line lacks.
    for pool in (chosen, able):
        for _ in range(PAIRS):
            parents = choose_parents(pool, rng, operator, wished)
            if _unrelated(context, parents):
                return parents
    return ()


def _unrelated(context: Context, parents: tuple[int, ...]) -> bool:
    """Two parents of which neither descends from the other: only they have something to exchange."""
    if len(parents) < 2:
        return False
    first, second = parents
    return first not in ancestors(context, second) and second not in ancestors(context, first)


def _direction(context: Context, rng: random.Random) -> str:
    """On a plateau, a category drawn by its quota; "" while main still moves."""
    plateau = context.settings.population.plateau
    since = context.journal.tally().since_promotion
    if not plateau or since < plateau:
        return ""
    roster = context.believed().roster
    kinds = zip(roster.category, roster.verdict, roster.parent, strict=True)
    attempts = [(roster.names[kind], verdict in _GAINED) for kind, verdict, first in kinds if first]
    weights = category_weights(attempts, since, plateau)
    names = [name for name in CATEGORIES if weights.get(name, 0) > 0 and name != "other"]
    return rng.choices(names, [weights[name] for name in names])[0] if names else ""
