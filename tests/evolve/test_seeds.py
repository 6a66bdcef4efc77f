"""What seeds explain, against numpy's matrices and against a truth that is known."""

import math
import random

import numpy as np
import pytest

from evolve.noise import Noise, pooled
from evolve.seeds import difference, effects, measured

Tables = list[dict[int, float]]


def scattered(rng: random.Random) -> Tables:
    """Candidates trained with whatever seeds, one of them with seeds that nobody else had."""
    tables = [
        {seed: rng.gauss(1, 0.1) for seed in rng.sample(range(9), rng.randint(1, 6))}
        for _ in range(12)
    ]
    return [*tables, {seed: rng.gauss(1, 0.1) for seed in range(20)}]


def made(rng: random.Random, share: float, children: int = 40, sigma: float = 0.01) -> Tables:
    """As a run leaves it: main at a dozen seeds, some contenders at a few, the rest at seed 0."""
    luck = [rng.gauss(0, sigma * math.sqrt(share)) for _ in range(12)]
    lengths = [12] + [rng.choice((1, 1, 2, 3, 5)) for _ in range(children)]
    return [
        {s: 1.0 + luck[s] + rng.gauss(0, sigma * math.sqrt(1 - share)) for s in range(length)}
        for length in lengths
    ]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_effects_are_the_best_linear_unbiased_prediction(share: float) -> None:
    tables = scattered(random.Random(3))
    repeated = [table for table in tables if len(table) > 1]
    seeds = sorted({seed for table in repeated for seed in table})
    rows = [(i, seed, y) for i, table in enumerate(repeated) for seed, y in table.items()]
    levels = np.array([[i == j for j in range(len(repeated))] for i, _, _ in rows], float)
    luck = np.array([[seed == s for s in seeds] for _, seed, _ in rows], float)
    scores = np.array([y for _, _, y in rows])
    rest = np.eye(len(rows)) - levels @ np.linalg.pinv(levels)
    normal = luck.T @ rest @ luck + np.eye(len(seeds)) * (1 - share) / share
    expected = np.linalg.solve(normal, luck.T @ rest @ scores)
    found = effects(tables, Noise(0.1, 9, share=share))
    assert [found[seed] for seed in seeds] == pytest.approx(expected.tolist(), abs=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("pair", [(0, 12), (12, 3), (5, 7)])
def test_a_difference_is_that_of_generalised_least_squares(
    share: float, pair: tuple[int, int]
) -> None:
    tables = scattered(random.Random(4))
    ours, theirs = tables[pair[0]], tables[pair[1]]
    keys = [(0, seed) for seed in ours] + [(1, seed) for seed in theirs]
    covariance = np.array([[1.0 if a == b else share * (a[1] == b[1]) for b in keys] for a in keys])
    design = np.array([[who == 0, who == 1] for who, _ in keys], float)
    weights = np.linalg.inv(covariance)
    spread = np.linalg.inv(design.T @ weights @ design)
    scores = np.array([(ours, theirs)[who][seed] for who, seed in keys])
    levels = spread @ design.T @ weights @ scores
    found = difference(ours, theirs, Noise(0.1, 30, share=share, sure=share, pairs=30))
    contrast = np.array([-1.0, 1.0])
    assert found.gain == pytest.approx(contrast @ levels)
    assert found.sd == pytest.approx(0.1 * math.sqrt(contrast @ spread @ contrast))


def test_what_is_not_sure_makes_a_difference_less_sure_and_never_more() -> None:
    ours, theirs = {0: 0.99, 1: 1.0}, {0: 1.0, 1: 1.01, 2: 1.0}
    sds = [
        difference(ours, theirs, Noise(0.01, 30, share=0.8, sure=sure, pairs=9)).sd
        for sure in (0.0, 0.4, 0.8)
    ]
    assert sds == sorted(sds, reverse=True)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_the_shares_of_seeds_and_of_the_rest_are_found(share: float) -> None:
    rng = random.Random(5)
    found = [measured(made(rng, share)) for _ in range(60)]
    assert np.median([noise.share for noise in found]) == pytest.approx(share, abs=0.12)
    assert np.median([noise.sigma for noise in found]) == pytest.approx(0.01, rel=0.15)
    rests = [noise.rest for noise in found]
    assert np.median(rests) == pytest.approx(0.01 * math.sqrt(1 - share), rel=0.15)
    assert all(0 <= noise.sure <= noise.share < 1 for noise in found)


def test_a_hundred_children_at_two_seeds_hold_one_difference_between_seeds() -> None:
    rng = random.Random(6)
    luck = {0: 0.0, 1: 0.0}  # two seeds that happen to be alike, though seeds matter
    alike = [{s: 1 + luck[s] + rng.gauss(0, 0.001) for s in luck} for _ in range(100)]
    main = {s: 1 + rng.gauss(0, 0.01) * (s > 1) + rng.gauss(0, 0.001) for s in range(14)}
    assert pooled([list(t.values()) for t in [main, *alike]]).sigma < 0.004
    assert measured([main, *alike]).share > 0.5


def test_before_pairs_are_known_nothing_is_promised() -> None:
    noise = measured([{0: 1.0, 1: 1.01, 2: 0.99}])
    assert (noise.share, noise.sure, noise.pairs, noise.n) == (0.5, 0.0, 0, 2)
    assert measured([]) == pooled([])


def test_seeds_that_nobody_connects_do_no_harm() -> None:
    noise = measured([{0: 1.0, 1: 1.1}, {0: 1.1, 1: 1.0}, {8: 2.0, 9: 2.1}, {8: 2.1, 9: 2.0}] * 3)
    assert 0 < noise.sigma < 0.2
    assert effects([{0: 1.0}], noise) == {}
