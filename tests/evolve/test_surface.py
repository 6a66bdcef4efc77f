"""The response surface: what many noisy attempts say together of each constant, and where the next step goes."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from evolve.model import Operator
from evolve.propose.operators import Attempt
from evolve.propose.surface import Step, Surface, place

SIGMA = 0.01
KNOBS = tuple(f"K{number}_LR" for number in range(6))


def options(steps: tuple[str, ...] = ("0.02", "0.08")) -> list[Step]:
    return [Step(name, "0.04", new, "rate") for name in KNOBS for new in steps]


def attempts(count: int, seed: int, per_attempt: int = 3) -> tuple[Attempt, ...]:
    """Several knobs at once, half and double; doubling K0 truly gains 1.5 sigma, halving K1 loses as much."""
    rng, found = random.Random(seed), []
    for number in range(count):
        turned = {name: rng.choice(("0.02", "0.08")) for name in rng.sample(KNOBS, per_attempt)}
        truth = {("K0_LR", "0.08"): -0.015, ("K0_LR", "0.02"): 0.015, ("K1_LR", "0.02"): 0.015}
        delta = sum(truth.get(item, 0.0) for item in turned.items()) + rng.gauss(0, SIGMA)
        changes = tuple(f"{name}: 0.04 -> {new}" for name, new in turned.items())
        found.append(Attempt(number, (1,), Operator.TUNE, "", "optimizer", changes, "kept", delta))
    return tuple(found)


def favourites(surface: Surface, draws: int = 60) -> Counter[tuple[str, str]]:
    offered = options()
    found = (surface.draw(offered, random.Random(seed)) for seed in range(draws))
    return Counter((best.name, best.new) for best in (draw.best(offered) for draw in found))


def test_before_anything_is_known_every_knob_has_its_turn() -> None:
    found = favourites(Surface((), SIGMA), 200)
    assert len(found) == len(options())
    assert max(found.values()) < 60


def test_attempts_that_turned_several_knobs_single_out_the_one_that_helps() -> None:
    share = sum(
        favourites(Surface(attempts(20, seed), SIGMA))[("K0_LR", "0.08")] for seed in range(5)
    )
    assert share > 0.5 * 5 * 60


def test_the_promising_come_first() -> None:
    offered = [Step(n, "0.04", "0.08", "rate", 4.0 if n == "K2_LR" else 0.5) for n in KNOBS]
    found = Counter(
        Surface((), SIGMA).draw(offered, random.Random(seed)).best(offered).name
        for seed in range(200)
    )
    assert found["K2_LR"] > 1.5 * max(found[name] for name in KNOBS if name != "K2_LR")


def test_steps_shrink_as_the_parabola_is_known() -> None:
    """Doubling was right and quadrupling far too much, again and again: what is left lies between."""
    told = [("0.04", "0.08", -0.03), ("0.08", "0.16", 0.05), ("0.04", "0.02", 0.06)] * 4
    history = tuple(
        Attempt(i, (1,), Operator.TUNE, "", "optimizer", (f"K0_LR: {a} -> {b}",), "kept", d)
        for i, (a, b, d) in enumerate(told)
    )
    offered = [Step("K0_LR", "0.08", new, "rate") for new in ("0.04", "0.068", "0.092", "0.16")]
    best = [
        Surface(history, SIGMA).draw(offered, random.Random(seed)).best(offered).new
        for seed in range(50)
    ]
    assert sum(new in {"0.068", "0.092"} for new in best) > 45


def test_failures_are_no_numbers() -> None:
    crashed = tuple(
        Attempt(i, (1,), Operator.TUNE, "", "optimizer", ("K0_LR: 0.04 -> 0.08",), "nan", None)
        for i in range(5)
    )
    assert favourites(Surface(crashed, SIGMA)) == favourites(Surface((), SIGMA))


@pytest.mark.parametrize(
    ("kind", "small", "large", "steps"),
    [
        ("rate", "0.04", "0.08", 1.0),
        ("batch", "2**18", "2**19", 1.0),
        ("phase", "0.5", "0.7", 1.0),
        ("momentum", "0.9", "0.95", 1.0),
        ("count", "3", "5", 2.0),
    ],
)
def test_a_bold_step_is_one_unit(kind: str, small: str, large: str, steps: float) -> None:
    low, high = place(kind, small), place(kind, large)
    assert low is not None
    assert high is not None
    assert high - low == pytest.approx(steps)
    assert place(kind, '"SSL"') is None
    assert place("rate", "0.0") is None
