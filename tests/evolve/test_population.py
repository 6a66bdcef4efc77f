"""Who has children, and who lives on."""

import random
from collections import Counter

import pytest

from evolve.entry import worst_welcome
from evolve.model import Operator
from evolve.noise import Posterior
from evolve.population import (
    Member,
    choose_parents,
    line_distance,
    parent_weights,
    survivors,
)

CODE = "\n".join(f"line {i}" for i in range(50))


def member(number: int, mean: float, **fields: object) -> Member:
    fields.setdefault("code", CODE.replace("line 7", f"a\nb\nc {number}"))
    return Member(id=number, posterior=Posterior(mean, 0.001, 2, 10.0), **fields)  # type: ignore[arg-type]


def drawn(members: list[Member], operator: Operator = Operator.MUTATE) -> Counter[tuple[int, ...]]:
    rng = random.Random(7)
    return Counter(choose_parents(members, rng, operator) for _ in range(2000))


def test_better_members_have_more_children() -> None:
    counts = drawn([member(1, 1.00), member(2, 0.99), member(3, 0.98)])
    assert counts[3,] > counts[2,] > counts[1,] > 0


def test_those_who_have_children_leave_room_for_others() -> None:
    counts = drawn([member(1, 1.0, children=9), member(2, 1.0)])
    assert counts[2,] > 5 * counts[1,]


def test_weights_do_not_depend_on_the_scale_of_the_score() -> None:
    small = [member(i, 0.97 + 0.001 * i) for i in range(5)]
    large = [
        Member(m.id, Posterior(10 * m.posterior.mean, 10 * m.posterior.sd, 2, 10.0)) for m in small
    ]
    assert parent_weights(large) == pytest.approx(parent_weights(small))


def test_a_scatter_below_the_uncertainty_is_no_scatter() -> None:
    weights = parent_weights([member(i, 1.0 + 1e-6 * i) for i in range(4)])
    assert max(weights) < 1.01 * min(weights)


def test_a_banned_member_has_no_children() -> None:
    members = [member(1, 0.5, banned=True), member(2, 1.0)]
    assert set(drawn(members)) == {(2,)}
    with pytest.raises(ValueError, match="no member"):
        choose_parents([member(1, 0.5, banned=True)], random.Random(1), Operator.TUNE)


def test_a_crossover_has_two_different_parents_the_better_one_first() -> None:
    members = [member(1, 1.0), member(2, 0.99), member(3, 0.98)]
    for first, second in drawn(members, Operator.CROSSOVER):
        assert first != second
        assert first > second  # here the later is the better
    assert choose_parents(members[:1], random.Random(1), Operator.CROSSOVER) == (1,)


def test_a_crossover_prefers_partners_that_bring_something_else() -> None:
    members = [
        member(1, 1.0, category="optimizer", changes=("MATRIX_LR: 0.04 -> 0.05",)),
        member(2, 1.0, category="optimizer", changes=("MATRIX_LR: 0.04 -> 0.06",)),
        member(3, 1.0, category="attention", changes=("pattern: qk_gain",)),
    ]
    counts = drawn(members, Operator.CROSSOVER)
    mixed = sum(n for pair, n in counts.items() if 3 in pair)
    assert mixed > 0.8 * counts.total()


def test_a_child_is_a_poor_partner_for_its_own_parent() -> None:
    members = [member(1, 1.0), member(2, 1.0, parents=(1,)), member(3, 1.0)]
    counts = drawn(members, Operator.CROSSOVER)
    assert counts[1, 2] + counts[2, 1] < 0.1 * counts.total()


def test_the_best_live_on_and_the_size_can_change_at_any_time() -> None:
    members = [member(i, 1.0 + i / 100) for i in range(10)]
    assert survivors(members, 3, None) == {0, 1, 2}
    assert survivors(members, 5, None) == {0, 1, 2, 3, 4}
    assert survivors(members, 50, None) == set(range(10))
    assert survivors([], 5, None) == frozenset()


def test_the_incumbent_and_the_pinned_always_stay_and_the_banned_go() -> None:
    members = [
        member(1, 1.0),
        member(2, 1.1),
        member(3, 1.5, pinned=True),
        member(4, 0.9, banned=True),
        member(5, 2.0, banned=True),
    ]
    assert survivors(members, 2, 5) == {3, 5}
    assert survivors(members, 1, 5) == {3, 5}
    assert survivors(members, 3, 5) == {1, 3, 5}


def test_twins_give_way_to_what_is_different() -> None:
    tuned = CODE.replace("line 7", "line 8")
    members = [
        member(1, 1.00, code=CODE),
        member(2, 1.01, code=tuned),
        member(3, 1.02, code="\n".join(reversed(CODE.upper().splitlines()))),
    ]
    assert line_distance(CODE, tuned) == 1
    assert survivors(members, 2, None) == {1, 3}
    assert survivors(members, 3, None) == {1, 2, 3}  # there is room for the twin


def test_unknown_code_is_nobodys_twin() -> None:
    assert survivors([member(1, 1.0, code=""), member(2, 1.1, code="")], 2, None) == {1, 2}


def test_a_young_structural_idea_is_protected_for_a_while() -> None:
    elders = [member(i, 1.0 + i / 1000, age=20) for i in range(8)]
    young = member(20, 1.2, category="attention", parents=(1,), age=2)
    assert 20 in survivors([*elders, young], 8, 0)
    for grown in (
        member(20, 1.2, category="attention", parents=(1,), age=24),
        member(20, 1.2, category="attention", parents=(1,), age=2, children=4),
        member(20, 1.2, category="attention", parents=(1,), age=2, tuned=2),
        member(20, 1.2, category="schedule", parents=(1,), age=2),
    ):
        assert 20 not in survivors([*elders, grown], 8, 0)


def test_at_most_a_quarter_of_the_places_is_kept_for_the_young() -> None:
    elders = [member(i, 1.0 + i / 1000, age=20) for i in range(8)]
    young = [member(20 + i, 1.2 + i / 1000, category="optimizer", parents=(1,)) for i in range(6)]
    assert survivors([*elders, *young], 8, 0) == {0, 1, 2, 3, 4, 5, 20, 21}


def test_how_good_a_child_must_be_to_live() -> None:
    def code(i: int) -> str:
        return "\n".join(f"line {j} of {i}" for j in range(50))

    full = [member(i, 1.0 + i / 100, age=30, code=code(i)) for i in range(8)]
    child = member(20, 0.0, parents=(1,), code="something else")
    bar = worst_welcome(full, child, 8, None)
    assert bar == pytest.approx(1.07, abs=0.001)  # as good as the worst that lives
    assert worst_welcome(full, child, 9, None) is None  # there is room
    young = member(20, 0.0, parents=(1,), category="attention", code="something else")
    assert worst_welcome(full, young, 8, None) is None  # two of eight places are kept for such
    near = member(20, 0.0, parents=(1,), code=code(0).replace("line 30 of 0", "x\ny"))
    crowded = worst_welcome(full, near, 8, None)
    assert crowded is not None
    assert crowded < bar - 0.0001
