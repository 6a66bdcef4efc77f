"""The bandit over proposers and operators: weights first, then what pays for its cost; nobody starves, nothing is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from evolve.bandit import (
    BUILTIN,
    NEWS,
    Arm,
    Pull,
    Rules,
    by_operator,
    distribute,
    due,
    in_words,
    is_news,
)

WEIGHTS = {"mutate": 4.0, "rewrite": 1.0, "crossover": 2.0, "tune": 3.0}
OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-5-5"
ALONE = tuple(Arm(BUILTIN, operator) for operator in ("mutate", "crossover", "tune"))
MUTATE, CROSS, TUNE = ALONE
RULES = Rules(WEIGHTS)


def model(name: str) -> tuple[Arm, ...]:
    return tuple(Arm(name, operator) for operator in WEIGHTS)


def shares(arms: tuple[Arm, ...], pulls: list[Pull], rules: Rules = RULES) -> dict[Arm, float]:
    found = distribute(arms, pulls, rules)
    assert sum(share.share for share in found) == pytest.approx(1) or not found
    return {share.arm: share.share for share in found}


def test_before_anything_is_known_the_weights_decide() -> None:
    found = shares(ALONE, [])
    assert found[MUTATE] == pytest.approx(4 / 9)
    assert found[CROSS] == pytest.approx(2 / 9)
    assert found[TUNE] == pytest.approx(3 / 9)


def test_models_of_one_operator_divide_its_weight_and_the_built_in_one_keeps_its_part() -> None:
    operators = by_operator(distribute((*model(OPUS), *model(HAIKU), *ALONE), [], RULES))
    assert operators == pytest.approx(
        {"mutate": 0.4, "tune": 0.3, "crossover": 0.2, "rewrite": 0.1}
    )
    found = shares((*model(OPUS), *ALONE), [])
    assert found[Arm(OPUS, "tune")] == pytest.approx(found[TUNE])
    assert found[Arm(OPUS, "mutate")] == pytest.approx(4 * found[MUTATE])
    assert shares((*model(OPUS), *model(HAIKU)), [])[Arm(HAIKU, "rewrite")] == pytest.approx(0.05)


def test_a_weight_of_nothing_switches_an_operator_off_for_good() -> None:
    rich = [Pull(TUNE, 1.0, 4.0)] * 50
    found = shares(ALONE, rich, Rules(WEIGHTS | {"tune": 0.0}))
    assert TUNE not in found
    assert distribute(ALONE, rich, Rules(dict.fromkeys(WEIGHTS, 0.0))) == ()


def test_what_gains_more_for_its_cost_gets_more_and_failures_less() -> None:
    pulls = [Pull(TUNE, 1.0, 1.0), Pull(MUTATE, 1.0, 0.0)] * 15
    found = shares(ALONE, pulls)
    assert found[TUNE] > 0.55
    assert found[MUTATE] < 0.25
    dear = [Pull(TUNE, 3.0, 1.0), Pull(MUTATE, 1.0, 1.0)] * 15
    assert shares(ALONE, dear)[MUTATE] > 4 / 9  # the same gains for a third of the cost


def test_a_paid_call_from_which_no_child_came_costs_its_model() -> None:
    arms = (*model(OPUS), *model(HAIKU))
    lost = [Pull(Arm(OPUS, "mutate"), 0.8)] * 12
    found = shares(arms, lost)
    assert found[Arm(OPUS, "mutate")] < 0.6 * found[Arm(HAIKU, "mutate")]


def test_nobody_falls_below_the_floor_but_who_asked_for_less() -> None:
    arms = (*model(OPUS), *model(HAIKU))
    wasted = [Pull(arm, 1.0) for arm in arms if arm != Arm(OPUS, "tune")] * 60
    pulls = wasted + [Pull(Arm(OPUS, "tune"), 1.0, 3.0)] * 60
    found = shares(arms, pulls)
    operators = by_operator(distribute(arms, pulls, RULES))
    assert min(operators.values()) == pytest.approx(0.05)
    assert all(share >= 0.05 * 0.05 - 1e-9 for share in found.values())
    rare = Rules(WEIGHTS | {"rewrite": 0.1})
    assert by_operator(distribute(arms, pulls, rare))["rewrite"] == pytest.approx(0.1 / 9.1)


def test_the_past_fades() -> None:
    old = [Pull(TUNE, 1.0, 2.0)] * 30
    since = [Pull(arm, 1.0, 0.3) for arm in ALONE] * 60
    assert shares(ALONE, old + since)[TUNE] < shares(ALONE, old)[TUNE] - 0.2
    stubborn = Rules(WEIGHTS, discount=1.0)
    assert shares(ALONE, old + since, stubborn)[TUNE] > shares(ALONE, old + since)[TUNE] + 0.1


def test_one_wonder_does_not_decide_a_night() -> None:
    assert shares(ALONE, [Pull(MUTATE, 1.0, 400.0)]) == shares(ALONE, [Pull(MUTATE, 1.0, 2.5)])


def test_what_is_not_known_yet_counts_neither_way_but_is_a_turn() -> None:
    waiting = [Pull(MUTATE, 0.0, None)]
    assert shares(ALONE, waiting) == shares(ALONE, [])
    found = distribute(ALONE, waiting, RULES)
    assert due(found, waiting, RULES.discount)[0] != MUTATE


def test_switched_off_it_leaves_the_weights_alone() -> None:
    pulls = [Pull(TUNE, 1.0, 3.0)] * 40
    off = Rules(WEIGHTS, enabled=False)
    assert shares(ALONE, pulls, off) == pytest.approx(shares(ALONE, []))


def test_turns_are_counted_and_not_drawn() -> None:
    arms, pulls = model(OPUS), []
    for _ in range(20):
        turn = due(distribute(arms, pulls, RULES), pulls, 1.0)[0]
        pulls.append(Pull(turn, 0.0, None))
    assert Counter(pull.arm.operator for pull in pulls) == {
        "mutate": 8,
        "tune": 6,
        "crossover": 4,
        "rewrite": 2,
    }


def test_a_night_with_one_good_arm_uses_it_more_and_gains_more_than_the_weights() -> None:
    """Tuning truly gains a sigma in one of four, everything else in one of forty."""

    def night(rules: Rules, seed: int) -> float:
        rng, pulls, gained = random.Random(seed), [], 0.0
        for _ in range(100):
            arm = due(distribute(model(OPUS), pulls, rules), pulls, rules.discount)[0]
            luck = rng.random() < (1 / 4 if arm.operator == "tune" else 1 / 40)
            gained += luck
            pulls.append(Pull(arm, 1.0, 1.0 if luck else 0.0))
        return gained

    adapted = sum(night(RULES, seed) for seed in range(20)) / 20
    fixed = sum(night(Rules(WEIGHTS, enabled=False), seed) for seed in range(20)) / 20
    assert adapted > 1.5 * fixed


def test_news_is_a_change_that_a_person_would_notice() -> None:
    before = {"mutate": 0.5, "tune": 0.5}
    assert not is_news(before, {"mutate": 0.5 + NEWS / 2, "tune": 0.5 - NEWS / 2})
    assert is_news(before, {"mutate": 0.35, "tune": 0.65})
    assert is_news(before, {"mutate": 0.5, "crossover": 0.5})
    assert in_words({"mutate": 0.45, "tune": 0.55}) == "mutate 45 %, tune 55 %"
