"""Whether a measured child is to become main: promote, reject, or measure once more.

Pure rules on scores; bits per byte, lower is better. They never look at a clock, a journal or git, and every
answer carries its probability and a sentence for a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from evolve.model import UsageError
from evolve.noise import Noise, Posterior, posterior, probability_better, t_density
from evolve.sealing import SealedGain

# What is believed of a child before it is measured: one in seven is truly better, half of those by more than two
# sigma. The official 126-experiment log of the ancestor kept 22, of which half lie within its noise. This
# scepticism is what keeps a hundred children without effect from moving main by luck.
GAIN_SHARE = 0.15
GAIN_SCALE = 2.0  # sigmas; of a half-Cauchy, whose tail leaves room for the sensational
_POINTS = 48  # of the integral over the true gain

# A contender goes on while a repeat may still turn the tables; the chance is the plain one, without scepticism,
# and what is asked rises with the scores at hand. Chosen by simulation (tests/evolve/test_acceptance.py).
HOPE = (0.65, 0.75, 0.8, 0.85)
LEAD = 4  # scores that main has ahead of its contender: they serve every later contender too
SIMPLER_LINES = 3  # fewer lines than main's, from which a child counts as simpler
SIMPLER_MARGIN = 1.0  # sigmas that a simpler child may lie behind


class Action(StrEnum):
    """What to do next with a challenger."""

    PROMOTE = "promote"
    REJECT = "reject"
    REPEAT_CHALLENGER = "repeat_challenger"
    REPEAT_INCUMBENT = "repeat_incumbent"


@dataclass(frozen=True, slots=True)
class Samples:
    """What is known of one side."""

    scores: tuple[float, ...]  # val_bpb of its finished trainings, in order
    lines: int = 0  # of its script
    paired: bool = False  # main's scores are those at the challenger's own seeds, and only those


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision with its reason."""

    action: Action
    probability: float  # that the challenger is truly better, 0…1
    reason: str  # a sentence for a person
    margin: float = (
        0.0  # bits per byte by which a simpler challenger may lie behind and still be promoted
    )
    seed: int | None = None  # at which main is to be repeated; None = at its next one
    sealed: SealedGain | None = None  # what the sealed rows say, once they were asked


class Acceptance(Protocol):
    """Decides on a challenger against the incumbent."""

    def judge(self, challenger: Samples, incumbent: Samples, noise: Noise) -> Judgement:
        """Say what to do next; called again after every repeat until it promotes or rejects."""
        ...


def policy(name: str, *, confidence: float, max_repeats: int) -> Acceptance:
    """The policy that the settings name. Raises UsageError for another name."""
    if name == "confirmed":
        return Confirmed(confidence, max_repeats)
    if name == "greedy":
        return Greedy()
    raise UsageError(f"There is no acceptance policy “{name}”; write “confirmed” or “greedy”.")


@dataclass(frozen=True, slots=True)
class Greedy:
    """The ancestor's rule: one training, strictly better wins."""

    def judge(self, challenger: Samples, incumbent: Samples, noise: Noise) -> Judgement:
        """Compare the first scores and nothing else."""
        ours, theirs = challenger.scores[0], incumbent.scores[0]
        chance = _plain(challenger, incumbent, noise)
        if ours < theirs:
            return Judgement(
                Action.PROMOTE, chance, f"{ours:.6f} is below main's {theirs:.6f}, in one training."
            )
        return Judgement(
            Action.REJECT, chance, f"{ours:.6f} is not below main's {theirs:.6f}, in one training."
        )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Screen once, repeat the contenders with fresh seeds, promote only what is probably better.

    `confidence` is asked of the sceptical probability of `gain_probability`; a challenger gets at most
    `max_repeats` trainings after its first. A child that is simpler and provably not worse than main by more
    than `SIMPLER_MARGIN` wins too, when its repeats are used up.
    """

    confidence: float = 0.95
    max_repeats: int = 4

    def judge(self, challenger: Samples, incumbent: Samples, noise: Noise) -> Judgement:
        """Decide after every training of either side."""
        chance = gain_probability(challenger, incumbent, noise)
        n = len(challenger.scores)
        versus = _versus(challenger, incumbent)
        if n >= 2 and chance >= self.confidence:
            return Judgement(
                Action.PROMOTE, chance, f"Better than main with P = {_floor(chance)}: {versus}."
            )
        simpler = 0 < challenger.lines <= incumbent.lines - SIMPLER_LINES
        margin = SIMPLER_MARGIN * noise.sigma if simpler else 0.0
        hope = _plain(challenger, incumbent, noise, margin)
        if hope < HOPE[min(n, len(HOPE)) - 1]:
            words = "Not a contender" if n == 1 else "No longer a contender"
            return Judgement(
                Action.REJECT, chance, f"{words}: P(better) = {_floor(chance)}, {versus}."
            )
        if self._incumbent_next(challenger, incumbent):
            return Judgement(
                Action.REPEAT_INCUMBENT, chance, f"Main is measured once more to compare: {versus}."
            )
        if n <= self.max_repeats:
            return Judgement(
                Action.REPEAT_CHALLENGER, chance, f"A contender, measured once more: {versus}."
            )
        return self._undecided(challenger, incumbent, chance, hope, margin)

    def _incumbent_next(self, challenger: Samples, incumbent: Samples) -> bool:
        if incumbent.paired:
            return len(incumbent.scores) < len(challenger.scores)
        # Its scores are shared by all contenders, but beyond four times theirs another one says nothing new.
        wanted = min(len(challenger.scores) + LEAD, 4 * max(1, self.max_repeats))
        return len(incumbent.scores) < wanted

    def _undecided(
        self, challenger: Samples, incumbent: Samples, chance: float, hope: float, margin: float
    ) -> Judgement:
        """All repeats are used up; a `margin` is given to a simpler challenger."""
        versus = _versus(challenger, incumbent)
        if margin and len(challenger.scores) >= 2 and hope >= self.confidence:
            saved = incumbent.lines - challenger.lines
            return Judgement(
                Action.PROMOTE,
                chance,
                f"As good as main and {saved} lines simpler: {versus}.",
                margin=margin,
            )
        return Judgement(
            Action.REJECT, chance, f"Not confirmed: P(better) = {_floor(chance)}, {versus}."
        )


def gain_probability(challenger: Samples, incumbent: Samples, noise: Noise) -> float:
    """P(the challenger is truly better), 0…1, by Bayes' rule from a sceptical start.

    Two explanations compete for the difference of the means: no gain, or a gain from a half-Cauchy of scale
    `GAIN_SCALE` sigmas, which `GAIN_SHARE` of all children have. The noise is itself estimated, so both use
    Student's t. Looking after every training does not spoil it: a posterior does not depend on when one stops.
    """
    n, m = len(challenger.scores), len(incumbent.scores)
    seen = (sum(incumbent.scores) / m - sum(challenger.scores) / n) / noise.sigma
    width = math.sqrt(1 / n + 1 / m)
    freedom = min(noise.freedom, 100.0)  # beyond that it is a normal distribution to three digits
    null = (1 - GAIN_SHARE) * t_density(seen / width, freedom) / width
    real = GAIN_SHARE * _gain_density(seen, width, freedom)
    return real / (real + null)


def _gain_density(seen: float, width: float, freedom: float) -> float:
    """Density of seeing the gain `seen` (sigmas) when there is a true one: the half-Cauchy, blurred by the t.

    With t = sqrt(freedom) * tan(angle), as in `noise.t_cdf`, the points lie where the likelihood is.
    """
    total = weights = 0.0
    for i in range(_POINTS):
        angle = math.pi * ((i + 0.5) / _POINTS - 0.5)
        weight = math.pow(math.cos(angle), freedom - 1)
        gain = seen + width * math.sqrt(freedom) * math.tan(angle)
        weights += weight
        if gain > 0:
            total += weight * 2 / (math.pi * GAIN_SCALE * (1 + (gain / GAIN_SCALE) ** 2))
    return total / weights


def _plain(ours: Samples, theirs: Samples, noise: Noise, margin: float = 0.0) -> float:
    """P(ours is better than theirs + margin) from the scores alone."""
    rival = posterior(theirs.scores, noise)
    return probability_better(
        posterior(ours.scores, noise),
        Posterior(rival.mean + margin, rival.sd, rival.n, rival.freedom),
    )


def _versus(challenger: Samples, incumbent: Samples) -> str:
    n, m = len(challenger.scores), len(incumbent.scores)
    ours, theirs = sum(challenger.scores) / n, sum(incumbent.scores) / m
    return f"{ours:.6f} (n={n}) against {theirs:.6f} (n={m})"


def _floor(probability: float) -> str:
    """Two digits, rounded down: 0.949 must not read as the 0.95 that was asked for."""
    return f"{math.floor(probability * 100) / 100:.2f}"
