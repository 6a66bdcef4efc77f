"""The orders of the population: what is new takes its place as if everybody were sorted again."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from evolve.model import CandidateState, Verdict
from evolve.roster import Roster, row_of
from tests.tui.recording import candidate
from tui.ordering import COLUMNS, FEW, Order, Sort


def some(number: int, rng: random.Random):
    scores = tuple(round(rng.uniform(1.0, 1.2), 2) for _ in range(rng.choice((0, 1, 1, 2))))
    return candidate(
        number, scores=scores, children=rng.randint(0, 3), generation=rng.randint(0, 9),
        category=rng.choice(("size", "attention", "init")), model=rng.choice(("", "claude")),
        verdict=rng.choice(list(Verdict)) if scores else None,
        state=CandidateState.JUDGED if scores else CandidateState.READY,
    )  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@pytest.mark.parametrize("descending", [False, True])
def test_few_changes_and_a_new_sort_give_the_same_order(column, descending):
    rng, sort = random.Random(column.name), Sort(column, descending)
    everybody = {n: some(n, rng) for n in range(1, 61)}
    roster, order, front = (
        Roster(1).with_rows(map(row_of, everybody.values()), 0),
        Order(sort),
        (7, 3),
    )
    order.update(roster, front)
    for step in range(25):
        fresh = some(61 + step, rng)
        moved = replace(some(rng.randint(1, 60), rng))
        roster = roster.with_rows(map(row_of, (moved, fresh)), 0)
        front = tuple(rng.sample(range(1, 61), rng.randint(0, 4)))
        assert order.update(roster, front)
        again = Order(sort)
        again.update(roster, front)
        assert order.numbers == again.numbers
        assert sorted(order.numbers) == list(range(1, len(roster) + 1))
        assert tuple(order.numbers[: len(front)]) == front
    assert not order.update(roster, front)


def test_scores_ascend_and_who_has_none_comes_last_in_both_directions():
    made = [candidate(1, scores=(1.1,)), candidate(2, scores=()), candidate(3, scores=(1.0,)),
            candidate(4, scores=(1.1,)), candidate(5, scores=())]  # fmt: skip
    roster = Roster(1).with_rows(map(row_of, made), 0)

    def ordered(sort: Sort) -> list[int]:
        order = Order(sort)
        order.update(roster, ())
        return list(order.numbers)

    score = Sort.by("score")
    assert ordered(score) == [3, 4, 1, 5, 2], "the newer one first among equals"
    assert ordered(score.turned()) == [4, 1, 3, 5, 2]
    assert ordered(Sort.by("newest")) == [5, 4, 3, 2, 1]
    assert ordered(Sort.by("newest").turned()) == [1, 2, 3, 4, 5]


def test_many_changes_and_another_run():
    roster = Roster(1).with_rows([row_of(candidate(1))], 0)
    order = Order(Sort())
    order.update(roster, ())
    roster = roster.with_rows((row_of(candidate(n)) for n in range(2, 3 * FEW)), 0)
    order.update(roster, ())
    assert list(order.numbers) == list(range(3 * FEW - 1, 0, -1)), "the better, the later they came"
    order.update(Roster(2).with_rows([row_of(candidate(1))], 0), ())
    assert list(order.numbers) == [1]


def test_the_keys_go_round_the_columns():
    names = [Sort().column.name]
    sort = Sort().beside(1)
    while sort.column is not Sort().column:
        names.append(sort.column.name)
        sort = sort.beside(1)
    assert names == [column.name for column in COLUMNS]
    assert Sort().beside(-1).column is COLUMNS[-1]
    assert [Sort().next().column.name, Sort().next().next().column.name] == ["score", "newest"]
    assert Sort().next().next().next() == Sort()
    assert Sort.by("kids").descending
    with pytest.raises(KeyError):
        Sort.by("beauty")
