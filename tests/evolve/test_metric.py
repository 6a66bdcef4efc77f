"""What selection goes by: prices in bits per byte, missing figures by name, and nothing that a script's lie can earn."""

from __future__ import annotations

import math
import random

import pytest

from evolve.metric import FEWEST, Figures, MissingFigure, Weights, fitness, roughness, terms
from harness.spec import CurvePoint

BASE = Figures(1.0, tokens_per_second=1000.0, memory_mb=40_000.0, lines=600, roughness=0.01)


def curve(losses: list[float], start: float = 0.5) -> list[CurvePoint]:
    step = (1 - start) / max(1, len(losses) - 1)
    return [
        CurvePoint(start + i * step, i, i * 100, loss) for i, loss in enumerate(losses)
    ]  # the second half of a budget


def falling(points: int, noise: float, seed: int = 0) -> list[float]:
    luck = random.Random(seed)
    return [3.0 - 0.4 * i / points + luck.gauss(0, noise) for i in range(points)]


@pytest.mark.parametrize("score", [0.9712345678901234, 2.4000000000000004, 1e-3])
def test_by_default_it_is_val_bpb_bit_for_bit_and_needs_no_other_figure(score: float) -> None:
    assert Weights().plain
    assert fitness(Weights(), Figures(score), Figures(1.0)) == score


def test_twice_the_speed_half_the_memory_and_half_the_lines_earn_their_weight() -> None:
    twice = Figures(1.0, 2000.0, 20_000.0, 300, 0.01)
    for weights in (
        Weights(tokens_per_second=0.01),
        Weights(peak_memory=0.01),
        Weights(lines=0.01),
    ):
        assert fitness(weights, twice, BASE) == pytest.approx(0.99)
        assert fitness(weights, BASE, BASE) == 1.0
    slow = Figures(1.0, 500.0, 80_000.0, 1200, 0.01)
    every = Weights(tokens_per_second=0.01, peak_memory=0.02, lines=0.03)
    assert fitness(every, slow, BASE) == pytest.approx(1.06)
    assert terms(every, slow, BASE) == pytest.approx(
        {"val_bpb": 1.0, "tokens_per_second": 0.01, "peak_memory": 0.02, "lines": 0.03}
    )


def test_the_reference_cancels_in_every_comparison() -> None:
    """So a lucky first training of the baseline favours nobody."""
    weights = Weights(tokens_per_second=0.02, peak_memory=0.01)
    a, b = Figures(1.0, 1500.0, 30_000.0), Figures(0.99, 1100.0, 50_000.0)
    other = Figures(1.1, 1300.0, 44_000.0)
    gaps = [fitness(weights, a, r) - fitness(weights, b, r) for r in (BASE, other)]
    assert gaps[0] == pytest.approx(gaps[1])


def test_a_ratio_pays_for_two_doublings_at_most_and_costs_without_end() -> None:
    """A script may draw rows that it never trains on; that must not be worth more and more."""
    weights = Weights(tokens_per_second=0.01)
    fourfold = fitness(weights, Figures(1.0, 4000.0), BASE)
    assert fitness(weights, Figures(1.0, 1e9), BASE) == fourfold == pytest.approx(0.98)
    assert fitness(weights, Figures(1.0, 1000.0 / 64), BASE) == pytest.approx(1.06)


@pytest.mark.parametrize(
    ("weights", "figure"),
    [
        (Weights(tokens_per_second=0.01), "tokens_per_second"),
        (Weights(peak_memory=0.01), "peak_memory"),
        (Weights(lines=0.01), "lines"),
        (Weights(stability=0.01), "stability"),
        (Weights(memory_limit_mb=100, memory_penalty=0.5), "memory_limit_mb"),
    ],
)
def test_a_missing_figure_is_named_and_never_becomes_a_number(
    weights: Weights, figure: str
) -> None:
    with pytest.raises(MissingFigure, match=rf"\[metric\] {figure} ") as caught:
        fitness(weights, Figures(1.0), BASE)
    assert caught.value.figure == figure
    assert not math.isnan(fitness(weights, BASE, BASE))


def test_the_memory_limit_is_soft_and_its_penalty_linear() -> None:
    weights = Weights(memory_limit_mb=40_000, memory_penalty=0.5)
    assert not weights.composite
    for used, cost in ((10_000, 0.0), (40_000, 0.0), (44_000, 0.05), (80_000, 0.5)):
        assert fitness(weights, Figures(1.0, memory_mb=used), BASE) == pytest.approx(1.0 + cost)
    assert Weights(memory_limit_mb=40_000, memory_penalty=0.0).plain


def test_a_rougher_curve_costs_and_a_smooth_one_earns_nothing() -> None:
    """The script prints its own losses: a smooth lie must not pay."""
    weights = Weights(stability=0.1)
    assert fitness(weights, Figures(1.0, roughness=0.0), BASE) == 1.0
    assert fitness(weights, Figures(1.0, roughness=0.51), BASE) == pytest.approx(1.05)


# ---- roughness -------------------------------------------------------------------------------------------


def test_roughness_is_the_noise_around_the_trend_in_nats() -> None:
    assert roughness(curve(falling(100, 0.0))) == pytest.approx(0.0, abs=0.005)
    small, large = (roughness(curve(falling(100, noise))) for noise in (0.02, 0.2))
    assert small is not None
    assert large is not None
    assert small == pytest.approx(0.02, rel=0.4)
    assert large == pytest.approx(0.2, rel=0.4)


def test_rare_spikes_are_rough_too() -> None:
    losses = falling(100, 0.01)
    calm = roughness(curve(losses))
    for i in (20, 50, 80):
        losses[i] += 4.0
    jumpy = roughness(curve(losses))
    assert calm is not None
    assert jumpy is not None
    assert jumpy - calm == pytest.approx(3 * 4.0 / 100, rel=0.1)


def test_only_the_second_half_counts_and_too_few_points_are_unknown() -> None:
    wild = [CurvePoint(0.4 * i / 50, i, i, 9.0 * (i % 2)) for i in range(50)]
    calm = curve(falling(100, 0.02))
    assert roughness([*wild, *calm]) == roughness(calm)
    assert roughness(wild) is None
    assert roughness(curve(falling(FEWEST - 1, 0.02))) is None
    assert roughness(curve(falling(FEWEST, 0.02))) is not None
