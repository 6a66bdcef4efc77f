"""What the seed of a training explains, and how far apart two candidates are at whatever seeds they were trained with.

A mixed model (Henderson 1975; Searle, Casella and McCulloch, Variance Components): a score is its candidate's level,
plus the luck that a seed brings to whatever is trained with it, plus the rest. Pure arithmetic on scores by seed,
in bits per byte or whatever unit selection goes by; lower is better. Only the standard library, because clients
compute with it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from evolve.noise import MOST, PRIOR_WEIGHT, UNKNOWN_SHARE, Noise, pooled

Table = Mapping[int, float]  # seed to score of one candidate
_FEW = 3  # differences between seeds that must repeat before the run's own shares are used
_RIDGE = 1e-9  # keeps seeds that no candidate connects solvable


@dataclass(frozen=True, slots=True)
class Difference:
    """How much lower one candidate's true score is than another's."""

    gain: float  # positive: the first is better
    sd: float  # of that
    freedom: float  # degrees of freedom behind `sd`


@dataclass(frozen=True, slots=True)
class _Fit:
    """Levels of candidates and of seeds, fitted together by least squares."""

    effects: dict[int, float]  # seed to what it adds to a score; their mean is 0
    times: dict[int, int]  # seed to the repeated candidates that were trained with it
    residual: float  # sum of squares that neither candidates nor seeds explain
    pairs: int  # degrees of freedom behind it


def measured(tables: Iterable[Table]) -> Noise:
    """The noise of one training and the share of it that seeds explain, from all scores of a run.

    Repeats alone would mislead where seeds matter: a hundred children trained with seeds 0 and 1 hold only one
    difference between two seeds. So seeds and the rest are told apart first. Until the run has shown enough, the
    share counts as a half where scores are weighed, and as nothing where a promise depends on it.
    """
    known = list(tables)
    plain = pooled(table.values() for table in known)
    fit = _fit(known, 0.0)
    if fit.pairs < _FEW:
        return plain
    prior = plain.sigma**2
    weight = fit.pairs + PRIOR_WEIGHT
    rest = (fit.residual + PRIOR_WEIGHT * (1 - UNKNOWN_SHARE) * prior) / weight
    careful = (fit.residual + PRIOR_WEIGHT * prior) / weight
    total = rest + _between_seeds(fit, rest)
    return Noise(
        sigma=math.sqrt(max(total, careful)),
        n=plain.n,
        share=min(MOST, max(0.0, 1 - rest / total)),
        sure=min(MOST, max(0.0, 1 - careful / max(total, careful))),
        pairs=fit.pairs,
    )


def effects(tables: Iterable[Table], noise: Noise) -> dict[int, float]:
    """Seed to the luck that it brings (best linear unbiased prediction): to be taken off a score at that seed.

    Drawn towards 0 by what the run does not know of it yet; a seed without an entry is not known at all.
    """
    return _fit(tables, (1 - noise.share) / max(noise.share, 1e-3)).effects


def difference(ours: Table, theirs: Table, noise: Noise) -> Difference:
    """How much better `ours` is than `theirs`, by generalised least squares over all scores of both.

    Seeds that both sides share are compared with each other, the rest adds what it knows of the levels. The
    weights follow the best guess of what seeds explain; the standard deviation only what is sure about it.
    Neither side may be empty.
    """
    shared = [seed for seed in ours if seed in theirs]
    alone = [[t[s] for s in t if s not in shared] for t in (ours, theirs)]
    both = [[t[s] for s in shared] for t in (ours, theirs)]
    rho, p = noise.share, len(shared)
    a, b = len(alone[0]), len(alone[1])
    k = p / (1 - rho**2)
    # The normal equations of the two levels, solved for the contrast theirs - ours.
    determinant = (a + k) * (b + k) - (k * rho) ** 2
    v_ours, v_theirs = (k * rho - (b + k)) / determinant, ((a + k) - k * rho) / determinant
    w_ours = (v_ours - rho * v_theirs) / (1 - rho**2)
    w_theirs = (v_theirs - rho * v_ours) / (1 - rho**2)
    gain = (
        v_ours * sum(alone[0])
        + v_theirs * sum(alone[1])
        + w_ours * sum(both[0])
        + w_theirs * sum(both[1])
    )
    spread = a * v_ours**2 + b * v_theirs**2
    spread += p * (w_ours**2 + w_theirs**2 + 2 * noise.sure * w_ours * w_theirs)
    return Difference(gain, noise.sigma * math.sqrt(spread), noise.freedom_of_differences)


# ---- private ---------------------------------------------------------------------------------------------


def _between_seeds(fit: _Fit, rest: float) -> float:
    """The variance of what seeds bring: that of the fitted effects, less what is only their uncertainty."""
    if len(fit.effects) < 2:
        return 0.0
    seen = sum(effect**2 for effect in fit.effects.values()) / (len(fit.effects) - 1)
    return max(0.0, seen - rest * fmean(1 / times for times in fit.times.values()))


def _fit(tables: Iterable[Table], ridge: float) -> _Fit:
    """Absorb the candidates' levels and solve for the seeds; only candidates with several scores tell of them."""
    repeated = [table for table in tables if len(table) > 1]
    seeds = sorted({seed for table in repeated for seed in table})
    place = {seed: i for i, seed in enumerate(seeds)}
    size = len(seeds)
    matrix = [[0.0] * size for _ in range(size)]
    right = [0.0] * size
    within, repeats = 0.0, 0
    for table in repeated:
        centre, inverse = fmean(table.values()), 1 / len(table)
        places = [place[seed] for seed in table]
        for i, score in zip(places, table.values(), strict=True):
            right[i] += score - centre
            within += (score - centre) ** 2
            row = matrix[i]
            row[i] += 1
            for j in places:
                row[j] -= inverse
        repeats += len(table) - 1
    times = {seed: sum(seed in table for table in repeated) for seed in seeds}
    for i in range(size):
        matrix[i][i] += ridge + _RIDGE
    found = _solve(matrix, list(right))
    explained = sum(x * r for x, r in zip(found, right, strict=True))
    centre = fmean(found) if found and not ridge else 0.0
    return _Fit(
        effects={seed: x - centre for seed, x in zip(seeds, found, strict=True)},
        times=times,
        residual=max(0.0, within - explained),
        pairs=max(0, repeats - max(0, size - 1)),
    )


def _solve(matrix: list[list[float]], right: list[float]) -> Sequence[float]:
    """Gaussian elimination of a symmetric positive definite system, in place."""
    size = len(right)
    for i in range(size):
        pivot = matrix[i]
        for j in range(i + 1, size):
            row = matrix[j]
            if (factor := row[i] / pivot[i]) != 0:
                for k in range(i, size):
                    row[k] -= factor * pivot[k]
                right[j] -= factor * right[i]
    for i in reversed(range(size)):
        rest = sum(matrix[i][k] * right[k] for k in range(i + 1, size))
        right[i] = (right[i] - rest) / matrix[i][i]
    return right
