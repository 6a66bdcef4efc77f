"""How noisy one training is, and what a few scores say."""

import math
import random
from statistics import fmean, stdev

import pytest

from evolve.noise import (
    PRIOR_SHARE,
    Noise,
    Posterior,
    child_drift,
    child_spread,
    pooled,
    posterior,
    probability_better,
    t_cdf,
    t_density,
)


def test_many_repeats_recover_the_true_noise() -> None:
    rng = random.Random(1)
    groups = [[rng.gauss(centre, 0.01) for _ in range(4)] for centre in (0.9, 1.0, 1.1) * 20]
    noise = pooled(groups)
    assert noise.n == 180
    assert noise.sigma == pytest.approx(0.01, rel=0.15)


def test_differences_between_candidates_are_not_noise() -> None:
    assert pooled([[1.0, 1.001], [2.0, 2.001]]).sigma < 0.002


def test_three_nearly_equal_baselines_do_not_promise_a_noise_of_zero() -> None:
    noise = pooled([[0.9700, 0.9700, 0.9700]])
    assert noise.sigma > 0.0002
    assert noise.freedom == 3.0


def test_the_prior_gives_way_to_real_repeats() -> None:
    loud = [[2.40, 2.43, 2.37]]
    assert pooled(loud).sigma > 0.02  # ten times the prior's guess
    assert pooled([]).sigma == PRIOR_SHARE
    assert pooled([[2.0], [2.0]]) == Noise(sigma=2.0 * PRIOR_SHARE, n=0)


def test_everything_is_free_of_scale() -> None:
    scores = [[0.97, 0.971, 0.969], [0.96, 0.9605]]
    small, large = pooled(scores), pooled([[10 * s for s in group] for group in scores])
    assert large.sigma == pytest.approx(10 * small.sigma)
    a, b = posterior(scores[0], small), posterior(scores[1], small)
    wide_a = posterior([10 * s for s in scores[0]], large)
    wide_b = posterior([10 * s for s in scores[1]], large)
    assert probability_better(a, b) == pytest.approx(probability_better(wide_a, wide_b))


def test_a_lucky_child_is_shrunk_towards_its_parents() -> None:
    noise = Noise(sigma=0.01, n=10)
    once = posterior([0.95], noise, prior_mean=1.0, prior_sd=0.02)
    thrice = posterior([0.95, 0.95, 0.95], noise, prior_mean=1.0, prior_sd=0.02)
    assert 0.95 < thrice.mean < once.mean < 1.0
    assert thrice.sd < once.sd < 0.01
    assert posterior([0.95], noise).mean == 0.95
    assert posterior([], noise, prior_mean=1.0, prior_sd=0.02).mean == 1.0


def test_shrinkage_corrects_the_winners_curse() -> None:
    rng, noise = random.Random(2), Noise(sigma=0.01, n=100)
    raw, shrunk = [], []
    for _ in range(400):
        true = [rng.gauss(1.0, 0.01) for _ in range(20)]
        scores = [rng.gauss(level, 0.01) for level in true]
        best = min(range(20), key=scores.__getitem__)
        raw.append(scores[best] - true[best])
        shrunk.append(posterior([scores[best]], noise, 1.0, 0.01).mean - true[best])
    assert fmean(raw) < -0.01
    assert abs(fmean(shrunk)) < 4 * stdev(shrunk) / math.sqrt(len(shrunk))


def test_a_posterior_from_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="score or a prior"):
        posterior([], Noise(0.01, 3))


def test_few_degrees_of_freedom_make_the_probability_more_careful() -> None:
    def chance(freedom: float) -> float:
        return probability_better(Posterior(0.97, 0.01, 2, freedom), Posterior(1.0, 0.01, 2, 99.0))

    assert chance(1) < chance(3) < chance(30) < chance(99)
    assert probability_better(Posterior(1.0, 0.1), Posterior(1.0, 0.1)) == 0.5
    swapped = probability_better(Posterior(1.0, 0.01, 2, 5), Posterior(0.97, 0.01, 2, 5))
    assert swapped == pytest.approx(1 - chance(5))


@pytest.mark.parametrize(
    ("freedom", "critical"), [(1, 6.3138), (2, 2.9200), (3, 2.3534), (10, 1.8125), (1000, 1.6464)]
)
def test_t_distribution_agrees_with_the_tables(freedom: float, critical: float) -> None:
    assert t_cdf(critical, freedom) == pytest.approx(0.95, abs=2e-4)
    assert t_cdf(-critical, freedom) == pytest.approx(0.05, abs=2e-4)
    width = 1e-3
    slope = (t_cdf(critical + width, freedom) - t_cdf(critical - width, freedom)) / (2 * width)
    assert t_density(critical, freedom) == pytest.approx(slope, rel=0.02)


def test_the_spread_of_children_leaves_the_noise_out() -> None:
    rng, noise = random.Random(3), Noise(sigma=0.01, n=50)
    deltas = [rng.gauss(0, 0.03) + rng.gauss(0, 0.01) - rng.gauss(0, 0.01) for _ in range(400)]
    assert child_spread(deltas, noise) == pytest.approx(0.03, rel=0.15)
    assert child_spread([*deltas, *[5.0] * 40], noise) < 0.04  # wrecks do not count
    assert child_spread([0.5], noise) == 0.02  # too few: twice the noise
    assert child_spread([0.0] * 20, noise) == 0.01  # never less than the noise


def test_most_changes_do_harm_and_a_few_children_do_not_show_how_much() -> None:
    assert child_drift([0.02] * 100) == pytest.approx(0.02, rel=0.1)
    assert 0 < child_drift([0.02] * 8) < 0.015
    assert child_drift([9.0] * 7) == 0.0
