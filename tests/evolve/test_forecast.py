"""What a running training will score: bands that hold what they promise, and silence where nothing can be said."""

from __future__ import annotations

import math
import random
import time
from statistics import fmean

import pytest

from evolve.forecast import BAND, EARLY, ENOUGH, Curve, Foretold, Known, Rival, foretell
from evolve.noise import Noise

Points = tuple[tuple[float, float], ...]
GRID = [i / 100 for i in range(1, 101)]
WORTH = 0.32  # bits per byte of a nat at the end
NOISE = Noise(0.002, n=12)


def training(rng: random.Random) -> tuple[Points, float]:
    """A curve and its score: scripts differ in where they end, and in how fast they get there."""
    end, speed = 3.0 + rng.uniform(0, 0.15), rng.gauss(5.0, 0.4)
    wobble, points = 0.0, []
    for at in GRID:
        wobble = 0.8 * wobble + rng.gauss(0, 0.003)
        points.append((at, end + 3.0 * math.exp(-speed * at) + wobble))
    return tuple(points), WORTH * (end + 3.0 * math.exp(-speed)) + rng.gauss(0, NOISE.sigma)


def a_run(rng: random.Random, size: int) -> list[Known]:
    return [Known((points,), score) for points, score in (training(rng) for _ in range(size))]


def seen(points: Curve, fraction: float) -> Points:
    return tuple(point for point in points if point[0] <= fraction)


def rival_of(known: Known) -> Rival:
    return Rival(known.curves[0], known.score, NOISE.sigma)


def told(points: Curve, fraction: float, known: list[Known], **more: bool) -> Foretold | None:
    rival = rival_of(min(known, key=lambda k: k.score)) if known else None
    return foretell(seen(points, fraction), fraction, known, rival, NOISE, **more)


def covered(fraction: float, size: int, trials: int = 400) -> float:
    """How often the band held the score that came out."""
    hits = []
    for trial in range(trials):
        rng = random.Random(1000 * size + trial)
        known = a_run(rng, size)
        points, score = training(rng)
        found = told(points, fraction, known)
        assert found is not None
        hits.append(abs(score - found.score) <= found.margin)
    return fmean(hits)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("size", [8, 40])
def test_a_band_of_80_percent_holds_80_percent(fraction: float, size: int) -> None:
    assert BAND == 0.8
    assert 0.70 <= covered(fraction, size) <= 0.90


@pytest.mark.parametrize("fraction", [0.4, 0.8])
def test_beside_main_alone_the_band_is_no_promise_that_is_broken(fraction: float) -> None:
    assert covered(fraction, 1) >= 0.70


def test_the_band_narrows_as_the_training_goes_on() -> None:
    rng = random.Random(3)
    known = a_run(rng, 12)
    points, score = training(rng)
    margins = [found.margin for at in (0.1, 0.5, 0.9) if (found := told(points, at, known))]
    assert margins == sorted(margins, reverse=True)
    final = told(points, 1.0, known)
    assert final is not None
    assert abs(final.score - score) < 3 * NOISE.sigma
    assert final.curves == 12


def test_the_chance_to_beat_main_follows_the_curve() -> None:
    rng = random.Random(5)
    known = a_run(rng, 12)
    good = tuple((at, 2.85 + 3 * math.exp(-5 * at)) for at in GRID)
    bad = tuple((at, 3.3 + 3 * math.exp(-5 * at)) for at in GRID)
    better = [found.better for p in (good, bad) if (found := told(p, 0.7, known))]
    assert better[0] is not None
    assert better[1] is not None
    assert better[0] > 0.9
    assert better[1] < 0.05
    itself = told(good, 0.7, known, main=True)
    assert itself is not None
    assert itself.better is None


def test_nothing_is_told_too_early_or_without_anything_to_compare_with() -> None:
    rng = random.Random(7)
    known = a_run(rng, 12)
    points, _ = training(rng)
    assert told(points, EARLY - 0.01, known) is None
    assert told(points, EARLY, known) is not None
    assert foretell(points, 1.0, (), None, NOISE) is None
    assert foretell(points, 1.0, (), rival_of(known[0]), None) is None  # the noise is not known yet


def test_a_training_whose_losses_are_no_numbers_any_more_has_no_forecast() -> None:
    rng = random.Random(8)
    known = a_run(rng, 12)
    points, _ = training(rng)
    rival = rival_of(known[0])
    assert foretell((*seen(points, 0.4), (0.41, math.nan)), 0.41, known, rival, NOISE) is None
    # The harness passes on no loss that is not finite: the curve ends, and the training goes on.
    assert foretell(seen(points, 0.4), 0.6, known, rival, NOISE) is None
    assert foretell((), 0.6, known, rival, NOISE) is None


def test_a_loss_beyond_all_others_is_told_with_a_wide_band() -> None:
    known = a_run(random.Random(9), 12)
    usual = told(known[0].curves[0], 0.5, known)
    stuck = told(tuple((at, 6.0) for at in GRID), 0.5, known)
    assert usual is not None
    assert stuck is not None
    assert stuck.score > usual.score + 0.1
    assert stuck.margin > 1.5 * usual.margin
    assert stuck.better is not None
    assert stuck.better < 0.01


def test_where_losses_tell_nothing_an_ordinary_training_is_like_the_others() -> None:
    misleading = [
        Known((tuple((at, 3.0 - 0.1 * k) for at in GRID),), 1.0 + 0.01 * k) for k in range(ENOUGH)
    ]
    found = foretell(tuple((at, 2.9) for at in GRID[:50]), 0.5, misleading, None, NOISE)
    assert found is not None
    assert found.score == pytest.approx(1.02)
    assert found.margin > 0.015


def test_a_hundred_curves_cost_milliseconds() -> None:
    rng = random.Random(11)
    known = a_run(rng, 80)
    points, _ = training(rng)
    began = time.process_time()
    for _ in range(20):
        told(points, 0.7, known)
    assert (time.process_time() - began) / 20 < 0.01
