"""Main moves only for what is truly better: the rules, and their error rates measured by simulation."""

import random
from collections.abc import Callable

import pytest

from evolve.acceptance import (
    LEAD,
    Acceptance,
    Action,
    Confirmed,
    Greedy,
    Samples,
    gain_probability,
    policy,
)
from evolve.model import UsageError
from evolve.noise import Noise, at_seeds, paired, pooled

NOISE = Noise(sigma=0.01, n=20)


def main(*scores: float, lines: int = 0) -> Samples:
    return Samples(scores or (1.0, 1.01, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0), lines)


def test_a_hopeless_child_is_rejected_after_one_training() -> None:
    judgement = Confirmed().judge(Samples((1.02,)), main(), NOISE)
    assert judgement.action is Action.REJECT
    assert "Not a contender" in judgement.reason
    assert judgement.probability < 0.05


def test_even_a_sensational_score_is_repeated_before_main_moves() -> None:
    assert Confirmed().judge(Samples((0.5,)), main(), NOISE).action is Action.REPEAT_CHALLENGER
    judgement = Confirmed().judge(Samples((0.5, 0.5)), main(), NOISE)
    assert judgement.action is Action.PROMOTE
    assert judgement.probability >= 0.95
    assert "against 1.000000 (n=8)" in judgement.reason


def test_trainings_of_main_are_interleaved_with_those_of_its_contender() -> None:
    ours, theirs = [0.975], [1.0, 1.005, 0.995]
    order = []
    while (action := Confirmed().judge(Samples(tuple(ours)), main(*theirs), NOISE).action) in {
        Action.REPEAT_CHALLENGER,
        Action.REPEAT_INCUMBENT,
    }:
        order.append(action)
        (ours if action is Action.REPEAT_CHALLENGER else theirs).append(
            0.99 if action is Action.REPEAT_CHALLENGER else 1.0
        )
    assert order.count(Action.REPEAT_INCUMBENT) >= 2
    assert Action.REPEAT_INCUMBENT in order[order.index(Action.REPEAT_CHALLENGER) :]
    assert len(theirs) <= len(ours) + LEAD


def test_what_stays_undecided_is_not_confirmed() -> None:
    challenger = Samples((0.98, 0.99, 0.98, 0.99, 0.985))
    judgement = Confirmed(max_repeats=4).judge(challenger, main(*[1.0] * 16), Noise(0.02, 30))
    assert judgement.action is Action.REJECT
    assert judgement.reason.startswith("Not confirmed: P(better) = 0.")


def test_equal_but_simpler_wins_after_the_same_number_of_repeats() -> None:
    scores, noise = (0.995, 0.99, 1.0, 0.995, 0.995), Noise(0.01, 40)
    rule = Confirmed(max_repeats=4)
    simpler = rule.judge(Samples(scores, lines=480), main(*[1.0] * 16, lines=500), noise)
    assert simpler.action is Action.PROMOTE
    assert "20 lines simpler" in simpler.reason
    same = rule.judge(Samples(scores, lines=499), main(*[1.0] * 16, lines=500), noise)
    assert same.action is Action.REJECT


def test_simpler_but_worse_does_not_win() -> None:
    worse = Samples((1.02, 1.02, 1.02, 1.02, 1.02), lines=300)
    judgement = Confirmed(max_repeats=4).judge(worse, main(*[1.0] * 16, lines=500), NOISE)
    assert judgement.action is Action.REJECT


def test_the_ancestors_rule_takes_any_single_lucky_score() -> None:
    assert Greedy().judge(Samples((0.9999,)), main(1.0), NOISE).action is Action.PROMOTE
    assert Greedy().judge(Samples((1.0,)), main(1.0), NOISE).action is Action.REJECT


def test_a_policy_is_named_in_the_settings() -> None:
    assert policy("confirmed", confidence=0.9, max_repeats=2) == Confirmed(0.9, 2)
    assert policy("greedy", confidence=0.9, max_repeats=2) == Greedy()
    with pytest.raises(UsageError, match=r"“lucky”.*“confirmed” or “greedy”"):
        policy("lucky", confidence=0.9, max_repeats=2)


def test_the_probability_grows_with_the_gain_and_with_the_repeats() -> None:
    def chance(gain: float, repeats: int) -> float:
        return gain_probability(Samples((1.0 - gain,) * repeats), main(), NOISE)

    assert chance(0.0, 3) < chance(0.01, 3) < chance(0.02, 3) < chance(0.05, 3)
    assert chance(0.02, 1) < chance(0.02, 2) < chance(0.02, 5)
    assert chance(-0.05, 3) < 0.05
    assert chance(0.0, 5) < 0.15  # no better than the sceptical start


# ---- error rates ---------------------------------------------------------------------------------------


def search(rule: Acceptance, rng: random.Random, gains: list[float], sigma: float) -> list[int]:
    """One whole run as the engine plays it: three baselines, then one child after another, whose true
    gains over the current main are given in sigmas. Returns the numbers of the promoted children."""
    groups = [[rng.gauss(1.0, sigma) for _ in range(3)]]
    levels, main_is, promoted = [1.0], 0, []
    for number, gain in enumerate(gains):
        levels.append(levels[main_is] - gain * sigma)
        groups.append([rng.gauss(levels[-1], sigma)])
        while True:
            judgement = rule.judge(
                Samples(tuple(groups[-1])), Samples(tuple(groups[main_is])), pooled(groups)
            )
            if judgement.action is Action.PROMOTE:
                promoted.append(number)
                main_is = len(groups) - 1
            if judgement.action in {Action.PROMOTE, Action.REJECT}:
                break
            side = main_is if judgement.action is Action.REPEAT_INCUMBENT else len(groups) - 1
            groups[side].append(rng.gauss(levels[side], sigma))
    return promoted


def share(runs: int, play: Callable[[random.Random], bool]) -> float:
    rng = random.Random(20261121)
    return sum(play(rng) for _ in range(runs)) / runs


@pytest.mark.parametrize("sigma", [0.0005, 0.011])  # a quiet GPU; a rehearsal on a laptop
def test_a_hundred_children_without_effect_hardly_ever_move_main(sigma: float) -> None:
    moved = share(200, lambda rng: bool(search(Confirmed(), rng, [0.0] * 100, sigma)))
    assert moved <= 0.05


def test_the_ancestors_rule_would_move_main_for_nothing_nearly_always() -> None:
    assert share(20, lambda rng: bool(search(Greedy(), rng, [0.0] * 100, 0.0005))) > 0.9


@pytest.mark.parametrize(
    ("gain", "max_repeats", "power"),
    [(4.0, 4, 0.93), (3.0, 6, 0.88), (2.0, 14, 0.78)],
)
def test_a_true_gain_is_found(gain: float, max_repeats: int, power: float) -> None:
    rule = Confirmed(max_repeats=max_repeats)
    gains = [0.0] * 10 + [gain]
    found = share(150, lambda rng: 10 in search(rule, rng, gains, 0.011))
    assert found >= power


# ---- the same seeds on both sides ------------------------------------------------------------------------


def paired_search(rng: random.Random, gains: list[float], common: float) -> list[int]:
    """As `search`, but as the engine pairs: both sides walk the seeds 0, 1, 2 …, and `common` is the share of
    the variance that a seed brings to whatever is trained with it."""
    sigma, luck = 0.01, {}

    def score(level: float, seed: int) -> float:
        shared = luck.setdefault(seed, rng.gauss(0, sigma * common**0.5))
        return level + shared + rng.gauss(0, sigma * (1 - common) ** 0.5)

    tables = [{seed: score(1.0, seed) for seed in range(3)}]
    levels, main_is, promoted = [1.0], 0, []
    for number, gain in enumerate(gains):
        levels.append(levels[main_is] - gain * sigma)
        tables.append({0: score(levels[-1], 0)})
        while True:
            ours, theirs = tables[-1], tables[main_is]
            total = pooled([list(t.values()) for t in tables])
            between = paired(tables[0], tables[1:], total)
            judgement = Confirmed().judge(
                Samples(tuple(ours.values())),
                Samples(at_seeds(theirs, ours, between, total), paired=True),
                between,
            )
            if judgement.action is Action.PROMOTE:
                promoted.append(number)
                main_is = len(tables) - 1
            if judgement.action in {Action.PROMOTE, Action.REJECT}:
                break
            side = main_is if judgement.action is Action.REPEAT_INCUMBENT else len(tables) - 1
            seed = next(s for s in range(99) if s not in tables[side])
            tables[side][seed] = score(levels[side], seed)
    return promoted


@pytest.mark.parametrize(
    "common", [0.0, 0.9]
)  # a seed means nothing; a seed means nearly everything
def test_pairing_moves_main_for_nothing_no_more_often(common: float) -> None:
    moved = share(100, lambda rng: bool(paired_search(rng, [0.0] * 100, common)))
    assert moved <= 0.06


def test_pairing_finds_a_gain_that_seeds_would_hide() -> None:
    found = share(60, lambda rng: 10 in paired_search(rng, [0.0] * 10 + [3.0], 0.9))
    assert found >= 0.85
