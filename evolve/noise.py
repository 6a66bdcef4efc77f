"""How noisy one training is, and what a handful of scores says about a candidate.

Pure arithmetic on bits per byte, where lower is better: no clock, no I/O, no random numbers. Everything is
scale-free, so 0.97 on a GPU and 2.4 in a rehearsal are treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

# Before anything is repeated, one training is taken to scatter by half a thousandth of its score. Published runs
# lie on both sides: 0.0005 at 0.97 on a quiet H100, 0.03 at 2.4 on a laptop. So the guess weighs as much as
# one repeat does, and the first few repeats overrule it.
PRIOR_SHARE = 0.0005
PRIOR_WEIGHT = 1.0

UNKNOWN_SHARE = 0.5  # of the variance that a seed explains, until the run has shown it
MOST = 0.98  # of the variance that a seed is ever taken to explain

# Sigmas by which a child differs from its parent, until the run has shown its own.
CHILD_SPREAD = 2.0
_ENOUGH_CHILDREN = 8
_PANELS = 128  # of Simpson's rule; keeps the t distribution exact to 1e-6


@dataclass(frozen=True, slots=True)
class Noise:
    """The standard deviation of one training's score, and how much is behind that figure."""

    sigma: float  # bits per byte
    n: int = 0  # repeats behind it: scores beyond the first of each candidate; 0 = only the prior
    share: float = (
        UNKNOWN_SHARE  # of the variance that a seed brings to whatever is trained with it
    )
    sure: float = (
        0.0  # the part of `share` that may be relied upon when a difference is called sure
    )
    pairs: int = 0  # differences behind both, see `seeds.measured`

    @property
    def freedom(self) -> float:
        """Degrees of freedom, the prior's weight among them; at least 1."""
        return self.n + PRIOR_WEIGHT

    @property
    def freedom_of_differences(self) -> float:
        """The same for the difference of two candidates, which leans on `sure` once there is some."""
        return self.pairs + PRIOR_WEIGHT if self.sure > 0 else self.freedom

    @property
    def rest(self) -> float:
        """The standard deviation of one score, once what is sure of its seed's luck is taken off."""
        return self.sigma * math.sqrt(1 - self.sure)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed about a candidate's true score: a shifted and scaled Student t."""

    mean: float  # bits per byte
    sd: float  # of the mean
    n: int = 0  # scores behind it
    freedom: float = math.inf  # degrees of freedom behind `sd`


def pooled(groups: Iterable[Collection[float]], singles: Iterable[float] = ()) -> Noise:
    """Pool the repeats within candidates; each group holds the scores of one candidate.

    `singles` are scores of candidates that have only one: they tell of the level, and of nothing else.

    Scaled inverse chi-squared posterior (Gelman et al., Bayesian Data Analysis, 2.6): the prior counts as
    `PRIOR_WEIGHT` repeats with a scatter of `PRIOR_SHARE` of the mean score, so that three lucky repeats
    cannot promise a noise of nearly zero. Without any score the level is taken to be 1 bit per byte.
    """
    squares, repeats = 0.0, 0
    levels: list[float] = list(singles)
    for scores in groups:
        if not scores:
            continue
        centre = fmean(scores)
        levels.append(centre)
        squares += sum((score - centre) ** 2 for score in scores)
        repeats += len(scores) - 1
    prior = PRIOR_SHARE * (abs(median(levels)) if levels else 1.0)
    variance = (squares + PRIOR_WEIGHT * prior**2) / (repeats + PRIOR_WEIGHT)
    return Noise(sigma=math.sqrt(variance), n=repeats)


def posterior(
    scores: Sequence[float],
    noise: Noise,
    prior_mean: float | None = None,
    prior_sd: float | None = None,
) -> Posterior:
    """Shrink the mean of `scores` towards `prior_mean`, which is usually the parents' own mean.

    A candidate is looked at because it scored well, so its raw mean flatters it (the winner's curse); the
    fewer the scores, the more the parents count. Without a prior the raw mean comes back. Raises ValueError
    when there is neither a score nor a prior.
    """
    known = prior_mean is not None and prior_sd is not None
    if not scores and not known:
        raise ValueError("a posterior needs a score or a prior")
    precision = len(scores) / noise.sigma**2
    total = sum(scores) / noise.sigma**2
    if prior_mean is not None and prior_sd is not None:
        precision += 1 / prior_sd**2
        total += prior_mean / prior_sd**2
    return Posterior(
        mean=total / precision,
        sd=math.sqrt(1 / precision),
        n=len(scores),
        freedom=noise.freedom if scores else math.inf,
    )


def child_spread(deltas: Sequence[float], noise: Noise) -> float:
    """How far children truly lie from their parents (one standard deviation, bits per byte).

    `deltas` are child minus parent, both measured; half of what is seen may be noise and is taken out. The
    spread is read off the median deviation, because a few wrecked children say nothing about the rest.
    """
    if len(deltas) < _ENOUGH_CHILDREN:
        return CHILD_SPREAD * noise.sigma
    seen = 1.4826 * median(abs(delta) for delta in deltas)
    return max(noise.sigma, math.sqrt(max(0.0, seen**2 - 2 * noise.sigma**2)))


def child_drift(deltas: Sequence[float]) -> float:
    """By how much children are typically worse than their parents (bits per byte), for most changes do harm.

    The median of `deltas`, child minus parent, both measured; drawn towards 0 while there are few, and 0 until
    their spread is known.
    """
    if len(deltas) < _ENOUGH_CHILDREN:
        return 0.0
    return median(deltas) * len(deltas) / (len(deltas) + _ENOUGH_CHILDREN)


def probability_better(a: Posterior, b: Posterior) -> float:
    """P(a's true score is lower than b's), 0…1, with the heavier tails that few repeats deserve."""
    sd = math.hypot(a.sd, b.sd)
    return t_cdf((b.mean - a.mean) / sd, min(a.freedom, b.freedom))


def t_cdf(t: float, freedom: float) -> float:
    """Cumulative distribution of Student's t for `freedom` >= 1.

    With t = sqrt(freedom) * tan(angle) the density becomes a power of the cosine, which Simpson's rule
    integrates over a finite range.
    """
    if freedom > 300:
        return 0.5 * math.erfc(-t / math.sqrt(2))
    angle = math.atan(abs(t) / math.sqrt(freedom))
    step = angle / _PANELS
    heights = [math.pow(math.cos(i * step), freedom - 1) for i in range(_PANELS + 1)]
    area = step / 3 * (heights[0] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2]) + heights[-1])
    norm = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    half = min(0.5, norm * area)
    return 0.5 + half if t >= 0 else 0.5 - half


def t_density(t: float, freedom: float) -> float:
    """Density of the standard Student t."""
    if freedom > 300:
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    log_norm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    power = (freedom + 1) / 2 * math.log1p(t * t / freedom)
    return math.exp(log_norm - power) / math.sqrt(freedom * math.pi)
