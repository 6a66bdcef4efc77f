"""Second chances: a rejected child becomes a contender again when later evidence makes it promising. Pure.

A child may be turned away by bad luck: its own, or main's good luck, or noise that was taken for larger than it is.
Main is measured again and again, seeds become known, and children tell of their parents; so those turned away are
looked at again whenever main has a new score. Each gets at most `MOST` such chances, so no search goes round in
circles, and promotion asks as much of it as of any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.acceptance import Acceptance, Action, Judgement, Samples
from evolve.noise import Noise, Posterior, probability_better

MOST = 1  # second chances of one candidate
PROMISING = 0.9  # P(better than main), all its relatives considered


@dataclass(frozen=True, slots=True)
class Rejected:
    """A measured candidate that is not main."""

    id: int
    samples: Samples
    posterior: Posterior  # from `beliefs.posteriors`
    chances: int = 0  # second chances that it has had


def second_chance(
    rejected: Sequence[Rejected],
    incumbent: Rejected,
    noise: Noise,
    rule: Acceptance,
) -> tuple[int, Judgement] | None:
    """Who is to be a contender again, with what the rule now says of it; the most promising, one at a time."""
    able = [r for r in rejected if r.chances < MOST and r.id != incumbent.id]
    able = [r for r in able if r.posterior.mean < incumbent.posterior.mean]
    hopes = [(probability_better(r.posterior, incumbent.posterior), r) for r in able]
    for hope, one in sorted(hopes, key=lambda pair: (-pair[0], pair[1].id)):
        if hope < PROMISING:
            return None
        judgement = rule.judge(one.samples, incumbent.samples, noise)
        if judgement.action is not Action.REJECT:
            return one.id, judgement
    return None
