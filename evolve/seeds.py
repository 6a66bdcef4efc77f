"""What the seed of a training explains, and how far apart two candidates are at whatever seeds they were trained with.

A mixed model (Henderson 1975; Searle, Casella and McCulloch, Variance Components): a score is its candidate's level,
plus the luck that a seed brings to whatever is trained with it, plus the rest. Pure arithmetic on scores by seed,
in bits per byte or whatever unit selection goes by; lower is better. Only the standard library, because clients
compute with it too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from evolve.noise import MOST, PRIOR_WEIGHT, UNKNOWN_SHARE, Noise, pooled

Table = Mapping[int, float]  # seed to score of one candidate
PAIRS = 3  # trainings at equal seeds, from which they are looked at by themselves
_FEW = 3  # differences between seeds that must repeat before the run's own shares are used
_GRID = 12  # shares that are weighed against each other
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

    effects: dict[int, float]  # seed to what it adds to a score
    times: dict[int, int]  # seed to the repeated candidates that were trained with it
    residual: float  # sum of squares that neither candidates nor seeds explain
    pairs: int  # degrees of freedom behind it


def measured(tables: Iterable[Table], singles: Iterable[float] = ()) -> Noise:
    """The noise of one training and the share of it that seeds explain, from all scores of a run.

    Repeats alone would mislead where seeds matter: a hundred children trained with seeds 0 and 1 hold only one
    difference between two seeds. So seeds and the rest are told apart first. Until the run has shown enough, the
    share counts as a half where scores are weighed, and as nothing where a promise depends on it.
    `singles`: scores of candidates that have one only, where they are not among the tables.
    """
    known = list(tables)
    plain = pooled((table.values() for table in known), singles)
    fit = _fit(known, 0.0)
    if fit.pairs < _FEW:
        return plain
    prior = plain.sigma**2
    weight = fit.pairs + PRIOR_WEIGHT
    rest = (fit.residual + PRIOR_WEIGHT * (1 - UNKNOWN_SHARE) * prior) / weight
    careful = (fit.residual + PRIOR_WEIGHT * prior) / weight
    share = _share(fit, rest)
    total = max(rest / (1 - share), careful)
    return Noise(
        sigma=math.sqrt(total),
        n=plain.n,
        share=share,
        sure=min(share, 1 - careful / total),
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


def paired(ours: Table, theirs: Table, noise: Noise) -> Difference | None:
    """The same from the pairs at equal seeds alone, whose own scatter says how sure they are: the paired t-test.

    It needs to know nothing of what seeds explain. The run's noise counts as `PRIOR_WEIGHT` of a pair more, as if
    seeds explained half of it, so that pairs that agree by chance are not believed. None below `PAIRS` of them.
    """
    gains = [theirs[seed] - ours[seed] for seed in ours if seed in theirs]
    if len(gains) < PAIRS:
        return None
    centre = fmean(gains)
    prior = 2 * noise.sigma**2 * (1 - UNKNOWN_SHARE)
    freedom = len(gains) - 1 + PRIOR_WEIGHT
    variance = (sum((g - centre) ** 2 for g in gains) + PRIOR_WEIGHT * prior) / freedom
    return Difference(centre, math.sqrt(variance / len(gains)), freedom)


# ---- private ---------------------------------------------------------------------------------------------


def _share(fit: _Fit, rest: float) -> float:
    """The part of the variance that seeds explain: the posterior mean over a grid, given their fitted effects.

    A fitted effect scatters by what seeds bring and by its own uncertainty. A priori one run in three has seeds that
    explain nothing, and every share below `MOST` is as likely as any other in the rest.
    """
    grid = (0.0, *(MOST * (i + 0.5) / _GRID for i in range(_GRID)))
    squares: dict[int, float] = {}  # trainings at a seed to the squared effects of such seeds
    for seed, effect in fit.effects.items():
        squares[fit.times[seed]] = squares.get(fit.times[seed], 0.0) + effect**2
    seeds = Counter(fit.times.values())
    logs = []
    for share in grid:
        spread = {times: rest * (share / (1 - share) + 1 / times) for times in squares}
        terms = (seeds[t] * math.log(v) + squares[t] / v for t, v in spread.items())
        logs.append(-0.5 * sum(terms))
    top = max(logs)
    weights = [math.exp(log - top) * (_GRID / 2 if i == 0 else 1) for i, log in enumerate(logs)]
    return sum(w * share for w, share in zip(weights, grid, strict=True)) / sum(weights)


def _fit(tables: Iterable[Table], ridge: float) -> _Fit:
    """Absorb the candidates' levels and solve for the seeds; only candidates with several scores tell of them.

    A seed that one candidate alone was trained with follows from that candidate's level, so it is no unknown of
    the system: its score counts for the level as much as `ridge` lets it, and its effect is read off at the end.
    """
    repeated = [table for table in tables if len(table) > 1]
    times = Counter(seed for table in repeated for seed in table)
    seeds = sorted(seed for seed, n in times.items() if n > 1)
    place = {seed: i for i, seed in enumerate(seeds)}
    alone = ridge / (1 + ridge)
    matrix = [[0.0] * len(seeds) for _ in seeds]
    right = [0.0] * len(seeds)
    levels: list[float] = []  # of each table, before seeds are taken off
    alike: Counter[tuple[tuple[int, ...], float]] = Counter()
    within, repeats = 0.0, 0
    for table in repeated:
        shared = [(place[seed], score) for seed, score in table.items() if seed in place]
        mine = [score for seed, score in table.items() if seed not in place]
        weight = len(shared) + alone * len(mine)
        if not weight:
            levels.append(fmean(mine))
            continue
        centre = (sum(score for _, score in shared) + alone * sum(mine)) / weight
        levels.append(centre)
        repeats += max(0, len(shared) - 1)
        for i, score in shared:
            right[i] += score - centre
            within += (score - centre) ** 2
        alike[tuple(i for i, _ in shared), weight] += 1
    for (places, weight), many in alike.items():  # most children were trained at the same few seeds
        for i in places:
            row = matrix[i]
            row[i] += many
            for j in places:
                row[j] -= many / weight
    for i, row in enumerate(matrix):
        row[i] += ridge + _RIDGE
    found = _solve(matrix, list(right))
    explained = sum(x * r for x, r in zip(found, right, strict=True))
    known = dict(zip(seeds, found, strict=True))
    return _Fit(
        effects=known | _lone(repeated, levels, known, alone),
        times=dict(times),
        residual=max(0.0, within - explained),
        pairs=max(0, repeats - max(0, len(seeds) - 1)),
    )


def _lone(
    tables: Sequence[Table], levels: Sequence[float], known: Mapping[int, float], alone: float
) -> dict[int, float]:
    """The effects of seeds that one candidate alone was trained with."""
    found: dict[int, float] = {}
    for table, level in zip(tables, levels, strict=True):
        mine = [seed for seed in table if seed not in known]
        weight = len(table) - len(mine) + alone * len(mine)
        taken = sum(known[seed] for seed in table if seed in known)
        clean = level - taken / weight if weight else level
        found |= {seed: (table[seed] - clean) * (1 - alone) for seed in mine}
    return found


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
