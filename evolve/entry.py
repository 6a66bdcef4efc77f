"""From which score on a child would be of use: it lives, or it beats main. Pure but for the last function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from evolve.noise import Posterior
from evolve.population import Member, survivors
from evolve.propose.vetting import normalise
from evolve.standing import members, score_for

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate

HALVINGS = 12  # of the span in which the answer lies, which is a few times the population's own


def worst_welcome(
    population: Sequence[Member], child: Member, size: int, incumbent: int | None
) -> float | None:
    """The worst posterior mean with which `child` would live, lower is better.

    None when it lives with any, in a population with room, pinned, or as a young structure; -inf when it lives with
    none. The survivors' own rule is asked, so crowding and protection count as they will.
    """
    if not population:
        return None
    sd = median(member.posterior.sd for member in population)

    def lives(mean: float) -> bool:
        asked = replace(child, posterior=Posterior(mean, sd))
        return child.id in survivors([*population, asked], size, incumbent)

    means = [member.posterior.mean for member in population]
    width = max(means) - min(means) + 10 * sd + 1e-9
    good, bad = min(means) - width, max(means) + width
    if lives(bad):
        return None
    if not lives(good):
        return -math.inf
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if lives(middle) else (good, middle)
    return bad


def useful_below(context: Context, candidate: Candidate) -> float | None:
    """The fitness in one training below which a child may live or beat main; None when any would do."""
    incumbent = context.incumbent()
    if incumbent is None:
        return None
    population = members(context)
    child = Member(
        id=candidate.id,
        posterior=Posterior(0.0, 1.0),
        parents=candidate.parents,
        category=candidate.category,
        changes=candidate.changes,
        code=normalise(context.lineage.source(candidate.commit)),
        island=candidate.island % context.settings.population.islands,
        pinned=candidate.pinned,
    )
    size = context.settings.population.size
    worst = worst_welcome(population, child, size, incumbent.id)
    if worst is None:
        return None
    main = next((m.posterior.mean for m in population if m.id == incumbent.id), -math.inf)
    easier = max(worst, main)
    return score_for(context, candidate, easier) if math.isfinite(easier) else None
