"""Main moves only for what is truly better: the rules one by one. Their error rates are in test_simulation.py."""

import math

import pytest

from evolve.acceptance import (
    LEAD,
    Action,
    Confirmed,
    Greedy,
    Samples,
    gain_probability,
    not_worse,
    policy,
)
from evolve.model import UsageError
from evolve.noise import Noise

NOISE = Noise(sigma=0.01, n=20, share=0.0)  # seeds explain nothing
MAIN = (1.0, 1.01, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def side(*scores: float, lines: int = 0) -> Samples:
    """Scores at the seeds 0, 1, 2 …"""
    return Samples(dict(enumerate(scores)), lines)


def main(*scores: float, lines: int = 0) -> Samples:
    return side(*(scores or MAIN), lines=lines)


def test_a_hopeless_child_is_rejected_after_one_training() -> None:
    judgement = Confirmed().judge(side(1.02), main(), NOISE)
    assert judgement.action is Action.REJECT
    assert "Not a contender" in judgement.reason
    assert judgement.probability < 0.05


def test_the_hopeless_are_rejected_however_little_is_known_of_the_noise() -> None:
    barely = Noise(sigma=0.001, n=2)
    for score in (1.01, 1.1, 2.0, 50.0):
        judgement = Confirmed().judge(side(score), main(1.0, 1.001, 1.002), barely)
        assert judgement.action is Action.REJECT, score


def test_even_a_sensational_score_is_repeated_before_main_moves() -> None:
    assert Confirmed().judge(side(0.5), main(), NOISE).action is Action.REPEAT_CHALLENGER
    judgement = Confirmed().judge(side(0.5, 0.5), main(), NOISE)
    assert judgement.action is Action.PROMOTE
    assert judgement.probability >= 0.95
    assert "against 1.000000 (n=12), a gain of +0.5" in judgement.reason


def test_trainings_of_main_are_interleaved_with_those_of_its_contender() -> None:
    ours, theirs = [0.975], [1.0, 1.005, 0.995]
    order = []
    while True:
        judgement = Confirmed().judge(side(*ours), main(*theirs), Noise(0.01, 20))
        if judgement.action is Action.REPEAT_CHALLENGER:
            ours.append(0.985)
        elif judgement.action is Action.REPEAT_INCUMBENT:
            theirs.append(1.0)
        else:
            break
        order.append(judgement.action)
        assert len(ours) <= 15, order
    assert order[0] is Action.REPEAT_CHALLENGER
    assert Action.REPEAT_INCUMBENT in order[1:]
    assert order.count(Action.REPEAT_INCUMBENT) >= 2
    assert len(theirs) <= len(ours) + LEAD


def test_main_is_measured_at_a_seed_that_only_its_contender_was_trained_with() -> None:
    judgement = Confirmed().judge(Samples({0: 0.98, 17: 0.985}), main(), NOISE)
    assert (judgement.action, judgement.seed) == (Action.REPEAT_INCUMBENT, 17)


def test_what_stays_undecided_is_not_confirmed() -> None:
    judgement = Confirmed(max_repeats=4).judge(
        side(0.98, 0.99, 0.98, 0.99, 0.985), main(*[1.0] * 16), Noise(0.02, 30)
    )
    assert judgement.action is Action.REJECT
    assert judgement.reason.startswith("Not confirmed: P(better) = 0.")


def test_equal_but_simpler_wins_after_the_same_number_of_repeats() -> None:
    scores, noise = (0.995, 0.99, 1.0, 0.995, 0.995), Noise(0.01, 40)
    rule = Confirmed(max_repeats=4)
    simpler = rule.judge(side(*scores, lines=480), main(*[1.0] * 16, lines=500), noise)
    assert simpler.action is Action.PROMOTE
    assert "20 lines simpler" in simpler.reason
    assert simpler.margin == 0.01
    same = rule.judge(side(*scores, lines=499), main(*[1.0] * 16, lines=500), noise)
    assert same.action is Action.REJECT


def test_simpler_but_worse_does_not_win() -> None:
    worse = side(1.02, 1.02, 1.02, 1.02, 1.02, lines=300)
    judgement = Confirmed(max_repeats=4).judge(worse, main(*[1.0] * 16, lines=500), NOISE)
    assert judgement.action is Action.REJECT
    assert not_worse(worse, main(), NOISE, 0.01) < 0.05 < not_worse(worse, main(), NOISE, 0.02)


def test_the_ancestors_rule_takes_any_single_lucky_score_and_says_so() -> None:
    lucky = Greedy().judge(side(0.9999), main(1.0), NOISE)
    assert lucky.action is Action.PROMOTE
    assert "greedy, the ancestor's rule, which keeps noise: P(better) = 0.0" in lucky.reason
    assert Greedy().judge(side(1.0), main(1.0), NOISE).action is Action.REJECT


def test_a_policy_is_named_in_the_settings() -> None:
    assert policy("confirmed", confidence=0.9, max_repeats=2) == Confirmed(0.9, 2)
    assert policy("greedy", confidence=0.9, max_repeats=2) == Greedy()
    with pytest.raises(UsageError, match=r"“lucky”.*“confirmed” or “greedy”"):
        policy("lucky", confidence=0.9, max_repeats=2)


def test_the_probability_grows_with_the_gain_and_with_the_repeats() -> None:
    def chance(gain: float, repeats: int) -> float:
        return gain_probability(side(*(1.0 - gain,) * repeats), main(), NOISE)

    assert chance(0.0, 3) < chance(0.01, 3) < chance(0.02, 3) < chance(0.05, 3)
    assert chance(0.02, 1) < chance(0.02, 2) < chance(0.02, 5)
    assert chance(-0.05, 3) < 0.05
    assert chance(0.0, 5) < 0.06  # no better than the sceptical start


def test_a_gain_at_equal_seeds_counts_for_more_where_seeds_are_known_to_matter() -> None:
    luck = (0.0, 0.03, -0.02, 0.01)
    ours, theirs = side(*(0.975 + x for x in luck)), side(*(1.0 + x for x in luck))
    paired = Noise(sigma=0.02, n=20, share=0.9, sure=0.9, pairs=20)
    assert gain_probability(ours, theirs, paired) > 0.9
    assert gain_probability(ours, theirs, Noise(0.02, 20)) < 0.8  # only the pairs themselves tell
    strangers = Samples({seed + 10: score for seed, score in theirs.scores.items()})
    assert gain_probability(ours, strangers, Noise(0.02, 20)) < 0.2
    assert math.isclose(
        gain_probability(ours, theirs, Noise(0.02, 20)),
        gain_probability(
            side(*(10 * x for x in ours.scores.values())),
            side(*(10 * x for x in theirs.scores.values())),
            Noise(0.2, 20),
        ),
        rel_tol=1e-6,
    )
