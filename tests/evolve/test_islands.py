"""Several populations beside each other: who meets whom, where a child lives, who begins anew."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from evolve.islands import due, home, on_one_island, reset, with_founders
from evolve.model import Operator
from evolve.noise import Posterior
from evolve.population import Member, category_weights, needs_tuning, survivors


def member(number: int, mean: float, island: int = 0, **given: object) -> Member:
    return Member(id=number, posterior=Posterior(mean, 0.001), island=island, **given)  # type: ignore[arg-type]


def test_with_one_island_nothing_changes() -> None:
    members = (member(1, 1.0), member(2, 0.9, island=3))
    assert with_founders(members, 1, {}) == (members[0], replace(members[1], island=0))
    drawn = on_one_island(members[:1], random.Random(1), Operator.MUTATE)
    assert drawn == [members[0]]
    assert reset(members, 1, random.Random(1)) == {}


def test_the_founder_is_a_guest_where_hardly_anybody_lives() -> None:
    first = member(1, 1.0)
    everywhere = dict.fromkeys(range(3), first)
    found = with_founders([first, member(2, 1.0, 1), member(3, 1.0, 1)], 3, everywhere)
    assert [(m.id, m.island) for m in found if m.guest] == [(1, 2)]
    assert survivors(found, 3, None) == {1, 2}  # a place for each island, none for a guest
    assert survivors(found, 6, None) == {1, 2, 3}


def test_parents_come_from_one_island_and_a_crossover_now_and_then_looks_everywhere() -> None:
    members = [member(number, 1.0, number % 3) for number in range(9)]
    rng = random.Random(2)
    plain = [on_one_island(members, rng, Operator.MUTATE) for _ in range(300)]
    assert {len({m.island for m in some}) for some in plain} == {1}
    assert min(Counter(some[0].island for some in plain).values()) > 70
    crossed = [on_one_island(members, rng, Operator.CROSSOVER) for _ in range(300)]
    migrated = sum(len({m.island for m in some}) == 3 for some in crossed)
    assert 10 <= migrated <= 60


def test_a_child_lives_with_its_first_parent_and_a_founders_child_where_there_is_room() -> None:
    first = member(1, 1.0)
    members = with_founders([first, member(2, 1.0, 1)], 3, dict.fromkeys(range(3), first))
    assert home(2, members, {0: 9, 1: 9}, own=1) == 1
    assert home(1, members, {0: 2, 1: 1}, own=0) == 2
    assert home(1, members, {0: 1, 1: 1, 2: 1}, own=0) == 0


def test_the_weaker_half_begins_anew_from_the_best_of_the_stronger() -> None:
    members = [
        member(1, 1.00, 0),
        member(2, 0.95, 1),
        member(3, 0.99, 1),
        member(4, 0.97, 2),
        member(5, 1.20, 3),
    ]
    found = [reset(members, 4, random.Random(seed)) for seed in range(20)]
    assert all(founders.keys() == {0, 3} for founders in found)
    assert {founder for founders in found for founder in founders.values()} == {2, 4}
    assert reset(members[:1], 4, random.Random(1)) == {2: 1, 3: 1}  # empty islands are the weakest
    assert reset([], 4, random.Random(1)) == {}


@pytest.mark.parametrize(
    ("children", "promotion", "since_reset", "after", "expected"),
    [
        (50, 50, 50, 40, True),
        (50, 39, 50, 40, False),
        (50, 50, 9, 40, False),
        (90, 90, 90, 0, False),
    ],
)
def test_islands_begin_anew_when_nothing_was_gained_for_long(
    children: int, promotion: int, since_reset: int, after: int, expected: bool
) -> None:
    assert due(children, promotion, since_reset, after) is expected


# ---- what else a stagnating search does --------------------------------------------------------------------


def test_before_a_plateau_no_category_is_preferred() -> None:
    attempts = [("optimizer", False)] * 19
    assert set(category_weights(attempts, 19, 20).values()) == {1.0}
    assert set(category_weights(attempts * 9, 900, 0).values()) == {1.0}


def test_on_a_plateau_what_was_hardly_tried_gets_more_and_nothing_dominates() -> None:
    attempts = [("optimizer", True)] * 60 + [("schedule", False)] * 30 + [("size", True)] * 2
    weights = category_weights(attempts, 20, 20)
    assert weights["size"] > weights["attention"] > weights["optimizer"] > weights["schedule"] > 0
    assert sum(weights.values()) == pytest.approx(len(weights))
    one = category_weights([(name, False) for name in weights if name != "init"] * 10_000, 20, 20)
    assert one["init"] / sum(one.values()) == pytest.approx(0.3)


def test_a_young_structure_asks_for_two_tuning_children_and_no_more() -> None:
    young = member(7, 1.1, category="attention", parents=(1,), age=3)
    worse = replace(young, id=8, posterior=Posterior(1.2, 0.001))
    assert needs_tuning([worse, young, member(1, 1.0)]) == (7, 8)
    assert needs_tuning([replace(young, tuning=1, tuned=1)]) == ()
    assert needs_tuning([replace(young, tuning=1)]) == (7,)
    assert needs_tuning([replace(young, banned=True), replace(young, guest=True)]) == ()
    assert needs_tuning([replace(young, category="schedule")]) == ()
