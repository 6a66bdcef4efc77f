"""Whether a measured child is to become main: promote, reject, or measure once more.

Pure rules on scores; bits per byte, lower is better. They never look at a clock, a journal or git, and every
answer carries its probability and a sentence for a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from evolve.model import UsageError
from evolve.noise import Noise, t_cdf, t_density
from evolve.sealing import SealedGain
from evolve.seeds import Difference, Table, difference, paired

# What is believed of a child before it is measured: one in seventeen is truly better, half of those by more than two
# sigma. The official 126-experiment log of the ancestor kept 22, of which half lie within its noise. This
# scepticism is what keeps a hundred children without effect from moving main by luck.
GAIN_SHARE = 0.06
GAIN_SCALE = 2.0  # sigmas; of a half-Cauchy, whose tail leaves room for the sensational
_POINTS = 48  # of the integral over the true gain

# A contender goes on while a worthwhile gain explains its scores at least an eighth as well as none does: Wald's
# sequential test (1945), which asks for the fewest trainings at given errors. Chosen by simulation, see
# tests/evolve/test_acceptance.py: stricter loses true gains of two sigma, milder repeats what has no effect.
WORTHWHILE = 2.0  # sigmas, or standard deviations of a difference at one seed, whichever is smaller
DOUBT = 0.13
LEAD = 1  # scores that main has ahead of its contender: what both have at the same seeds tells most
SIMPLER_LINES = 3  # fewer lines than main's, from which a child counts as simpler
SIMPLER_REPEATS = 4  # trainings after its first before a simpler child may win by being as good
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

    scores: Table  # seed to what selection goes by, of its finished trainings, in order
    lines: int = 0  # of its script

    @property
    def mean(self) -> float:
        """The raw mean."""
        return sum(self.scores.values()) / len(self.scores)


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
    """The ancestor's rule: one training, strictly better wins. It keeps noise, and its verdicts say so."""

    def judge(self, challenger: Samples, incumbent: Samples, noise: Noise) -> Judgement:
        """Compare the first scores and nothing else."""
        ours, theirs = (next(iter(side.scores.values())) for side in (challenger, incumbent))
        chance = gain_probability(challenger, incumbent, noise)
        action, below = (Action.PROMOTE, "below") if ours < theirs else (Action.REJECT, "not below")
        return Judgement(
            action,
            chance,
            f"{ours:.6f} is {below} main's {theirs:.6f} in one training (greedy, the ancestor's rule, which keeps "
            f"noise: P(better) = {_floor(chance)}).",
        )


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Screen once, repeat the contenders with fresh seeds, promote only what is probably better.

    `confidence` is asked of the sceptical probability of `gain_probability`; a challenger gets at most
    `max_repeats` trainings after its first. A child that is simpler and provably not worse than main by more
    than `SIMPLER_MARGIN` wins too, after `SIMPLER_REPEATS`.
    """

    confidence: float = 0.95
    max_repeats: int = 14

    def judge(self, challenger: Samples, incumbent: Samples, noise: Noise) -> Judgement:
        """Decide after every training of either side."""
        chance = gain_probability(challenger, incumbent, noise)
        n = len(challenger.scores)
        versus = _versus(challenger, incumbent, noise)
        if n >= 2 and chance >= self.confidence:
            return Judgement(
                Action.PROMOTE, chance, f"Better than main with P = {_floor(chance)}: {versus}."
            )
        saved = incumbent.lines - challenger.lines
        simpler = challenger.lines > 0 and saved >= SIMPLER_LINES
        if _explained(challenger, incumbent, noise, simpler=simpler) < DOUBT:
            words = "Not a contender" if n == 1 else "No longer a contender"
            return Judgement(
                Action.REJECT, chance, f"{words}: P(better) = {_floor(chance)}, {versus}."
            )
        margin = SIMPLER_MARGIN * noise.sigma
        if (
            simpler
            and n > min(SIMPLER_REPEATS, self.max_repeats)
            and not_worse(challenger, incumbent, noise, margin) >= self.confidence
        ):
            return Judgement(
                Action.PROMOTE,
                chance,
                f"As good as main and {saved} lines simpler: {versus}.",
                margin=margin,
            )
        return self._once_more(challenger, incumbent, chance, versus)

    def _once_more(
        self, challenger: Samples, incumbent: Samples, chance: float, versus: str
    ) -> Judgement:
        """A repeat of the side that says more, or the end when the challenger has had all of its own."""
        n = len(challenger.scores)
        bare = [seed for seed in challenger.scores if seed not in incumbent.scores]
        # One more of a side is worth most where there are fewer; a contender that is behind comes first.
        wanted = n if n == 1 else n + LEAD
        if bare or len(incumbent.scores) < wanted:
            return Judgement(
                Action.REPEAT_INCUMBENT,
                chance,
                f"Main is measured once more to compare: {versus}.",
                seed=bare[0] if bare else None,
            )
        if n <= self.max_repeats:
            return Judgement(
                Action.REPEAT_CHALLENGER, chance, f"A contender, measured once more: {versus}."
            )
        return Judgement(
            Action.REJECT, chance, f"Not confirmed: P(better) = {_floor(chance)}, {versus}."
        )


def gain_probability(challenger: Samples, incumbent: Samples, noise: Noise) -> float:
    """P(the challenger is truly better), 0…1, by Bayes' rule from a sceptical start.

    Two explanations compete for the difference: no gain, or a gain from a half-Cauchy of scale `GAIN_SCALE`
    sigmas, which `GAIN_SHARE` of all children have. The noise is itself estimated, so both use Student's t.
    Looking after every training does not spoil it: a posterior does not depend on when one stops. What a seed
    explains makes differences sharper, but few repeats tell how sharp; so the difference is also judged as if seeds
    explained nothing, with all repeats behind its noise, and by the pairs at equal seeds alone. The surest answer
    counts; simulations of whole runs (tests/evolve/test_simulation.py) hold them together to their promise.
    """
    seen = [difference(challenger.scores, incumbent.scores, replace(noise, sure=0.0))]
    if noise.sure > 0:
        seen.append(difference(challenger.scores, incumbent.scores, noise))
    if (pairs := paired(challenger.scores, incumbent.scores, noise)) is not None:
        seen.append(pairs)
    return max(_sceptical(one, noise) for one in seen)


def _sceptical(seen: Difference, noise: Noise) -> float:
    gain, width = seen.gain / noise.sigma, seen.sd / noise.sigma
    freedom = min(seen.freedom, 100.0)  # beyond that it is a normal distribution to three digits
    null = (1 - GAIN_SHARE) * t_density(gain / width, freedom) / width
    real = GAIN_SHARE * _gain_density(gain, width, freedom)
    return real / (real + null)


def not_worse(ours: Samples, theirs: Samples, noise: Noise, margin: float) -> float:
    """P(ours is not worse than theirs by more than `margin`) from the scores alone, without scepticism."""
    seen = difference(ours.scores, theirs.scores, noise)
    return t_cdf((seen.gain + margin) / seen.sd, seen.freedom)


def _explained(ours: Samples, theirs: Samples, noise: Noise, *, simpler: bool) -> float:
    """How much better a worthwhile gain explains the scores than none does; of a simpler child, none than a loss.

    The ratio of two normal likelihoods, as wide as Student's t would be: a ratio of two t's tends to 1 far out, and
    would let the hopeless go on.
    """
    seen = difference(ours.scores, theirs.scores, noise)
    worth = WORTHWHILE * min(noise.sigma, math.sqrt(2) * noise.rest)
    gain = seen.gain + worth if simpler else seen.gain
    freedom = max(seen.freedom, 4.0)
    variance = seen.sd**2 * freedom / (freedom - 2)
    return math.exp(min(0.0, worth * (gain - worth / 2) / variance))


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


def _versus(challenger: Samples, incumbent: Samples, noise: Noise) -> str:
    """Raw means, and the gain at equal seeds with its uncertainty."""
    seen = difference(challenger.scores, incumbent.scores, noise)
    n, m = len(challenger.scores), len(incumbent.scores)
    means = f"{challenger.mean:.6f} (n={n}) against {incumbent.mean:.6f} (n={m})"
    return f"{means}, a gain of {seen.gain:+.6f} ± {seen.sd:.6f}"


def _floor(probability: float) -> str:
    """Two digits, rounded down: 0.949 must not read as the 0.95 that was asked for."""
    return f"{math.floor(probability * 100) / 100:.2f}"
