"""The tree of all candidates: each stands once under its first parent, and folding and growing keep it so."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from evolve.model import Candidate, CandidateState, Verdict
from evolve.roster import Roster, row_of
from tests.tui.recording import candidate
from tui.state import ViewState
from tui.widgets.branches import Branches, branch_row
from tui.widgets.ink import ASCII, line_width, text_of
from tui.widgets.tree import FEW, Forest
from tui.widgets.treerows import chains, narrowed


def member(number: int, *parents: int, **changes: object) -> Candidate:
    """A candidate that was turned away and is dead, unless said otherwise."""
    return candidate(
        number,
        **{"parents": parents, "alive": False, "verdict": Verdict.REJECTED, "children": 0}
        | changes,
    )


def failed(number: int, *parents: int) -> Candidate:
    return member(number, *parents, verdict=Verdict.FAILED, scores=())


def roster(everybody: Sequence[Candidate], known: Roster | None = None) -> Roster:
    return (known or Roster(1)).with_rows(map(row_of, everybody), 0)


def story(count: int, seed: int = 3) -> list[Candidate]:
    """A search at random: failures, crossovers, repairs of failures, some alive."""
    rng, made = random.Random(seed), [member(1, verdict=Verdict.BASELINE)]
    for number in range(2, count + 1):
        parents = sorted(
            {rng.randint(1, number - 1) for _ in range(1 + (rng.random() < 0.1))}, reverse=True
        )
        kind = rng.random()
        if kind < 0.25:
            made.append(failed(number, *parents))
        else:
            made.append(member(number, *parents, alive=kind > 0.97))
    return made


def by_hand(forest: Forest, row: int = 0) -> list[int]:
    """The rows as they should be, without arrays and places."""
    found: list[int] = []
    for child in forest.level(row):
        found.append(child)
        if forest.is_open(child):
            found += by_hand(forest, child)
    return found


def ready(everybody: Sequence[Candidate], incumbent: int = 1) -> Forest:
    forest = Forest()
    forest.update(roster(everybody), incumbent)
    return forest


def test_everybody_stands_once_behind_the_parent_when_all_is_open():
    forest = ready(story(400))
    forest.open_all(1)
    numbers = [row for row in forest.rows if row > 0]
    assert sorted(numbers) == list(range(1, 401))
    place = {row: at for at, row in enumerate(forest.rows)}
    for number in range(2, 401):
        assert place[forest.holder(number)] < place[number]
        assert forest.depth(number) == forest.depth(forest.holder(number)) + 1
    for row in forest.rows:
        level = [child for child in forest.level(row) if child > 0]
        assert level == sorted(level)


def test_it_begins_open_where_somebody_lives_and_tells_what_it_hides():
    forest = ready([
        member(1, verdict=Verdict.BASELINE), member(2, 1), member(3, 2), member(4, 1),
        member(5, 4, alive=True), member(6, 4), failed(7, 1), failed(8, 1),
    ])  # fmt: skip
    assert forest.rows == [1, 2, 4, 5, 6, -1]
    assert (forest.size(2), forest.size(-1), forest.size(1)) == (1, 2, 7)
    assert forest.open(-1)
    assert forest.rows == [1, 2, 4, 5, 6, -1, 7, 8]
    assert forest.close(1)
    assert forest.rows == [1]
    assert forest.open(1)
    assert forest.rows == [1, 2, 4, 5, 6, -1, 7, 8]
    assert not forest.open(3)
    forest.fold_to_default()
    assert forest.rows == [1, 2, 4, 5, 6, -1]


def test_a_failure_that_is_repaired_stands_by_itself():
    first = [
        member(1, verdict=Verdict.BASELINE, alive=True),
        member(2, 1, alive=True),
        failed(3, 1),
    ]
    known = roster(first)
    forest = Forest()
    forest.update(known, 1)
    assert forest.rows == [1, 2, -1]
    known = roster([member(4, 3, state=CandidateState.READY, verdict=None, scores=())], known)
    forest.update(known, 1)
    assert forest.rows == [1, 2, 3, 4]
    known = roster([failed(4, 3)], known)
    forest.update(known, 1)
    assert forest.rows == [1, 2, 3, -3]


@pytest.mark.parametrize("seed", range(6))
def test_growing_one_by_one_gives_what_building_at_once_gives(seed):
    rng = random.Random(seed)
    made = story(160, seed)
    forest, known, have = Forest(), roster(made[:20]), list(made[:20])
    forest.update(known, 1)
    while len(have) < len(made):
        step = rng.randint(1, 4)
        fresh = [
            replace(c, state=CandidateState.READY, verdict=None, scores=(), fitness=(), alive=False)
            for c in made[len(have) : len(have) + step]
        ]
        # Verdicts of those that were made before come later, as they do.
        news = [c for c in have if c.verdict is None and rng.random() < 0.5]
        settled = {c.id: made[c.id - 1] for c in news}
        have = [settled.get(c.id, c) for c in have] + fresh
        known = roster([*settled.values(), *fresh], known)
        forest.update(known, rng.randint(1, len(known)) if rng.random() < 0.2 else 1)
        row = rng.choice(forest.rows)
        (forest.close if forest.is_open(row) else forest.open)(row)
        assert forest.rows == by_hand(forest)
    at_once = ready(have)
    for number in range(1, len(have) + 1):
        assert forest.size(number) == at_once.size(number)
        assert forest.level(number) == at_once.level(number)


def test_many_at_once_are_the_same_as_few():
    made = story(3 * FEW)
    forest, known = Forest(), roster(made[:40])
    forest.update(known, 1)
    forest.open_all(1)
    group = next(row for row in forest.rows if row < 0)
    forest.close(2)
    known = roster(made[40:], known)
    forest.update(known, 1)
    assert forest.rows == by_hand(forest)
    assert forest.is_open(group), "what a person opened stays open"
    assert not forest.is_open(2), "and what was closed stays closed"


def test_a_new_child_shows_its_way_unless_a_person_closed_it():
    made = [member(1, verdict=Verdict.BASELINE), member(2, 1), member(3, 2)]
    known = roster(made)
    forest = Forest()
    forest.update(known, 1)
    assert forest.rows == [1]
    child = member(4, 3, state=CandidateState.TRAINING, verdict=None, scores=())
    known = roster([child], known)
    forest.update(known, 1)
    assert forest.rows == [1, 2, 3, 4]
    forest.close(2)
    known = roster([replace(child, id=5)], known)
    forest.update(known, 1)
    assert forest.rows == [1, 2]
    assert forest.reveal(5)
    assert forest.rows == [1, 2, 3, 4, 5]


def test_another_run_begins_another_tree():
    forest = ready(story(50))
    forest.update(Roster(2).with_rows([row_of(member(1, alive=True))], 0), 1)
    assert forest.rows == [1]


def test_the_way_to_main_and_former_mains_are_known():
    forest = ready(
        [member(1, verdict=Verdict.BASELINE), member(2, 1, verdict=Verdict.PROMOTED), member(3, 1),
         member(4, 3, verdict=Verdict.PROMOTED)], incumbent=4,
    )  # fmt: skip
    assert forest.trunk == {1, 3, 4}
    assert [n for n in (1, 2, 3, 4) if forest.crowned(n)] == [1, 2, 4]
    assert forest.rows == [1, 2, 3, 4]


def test_a_filter_keeps_the_ancestors_in_the_order_of_the_tree():
    forest = ready(story(300))
    rows = narrowed(forest, {77, 120, 250})
    kept = {77, 120, 250}
    for number in tuple(kept):
        while number := forest.parent(number):
            kept.add(number)
    forest.open_all(1)
    ordered = [row for row in forest.rows if row in kept]
    assert sorted(rows) == sorted(kept)
    assert [r for r in rows if not forest.roster.failed(r)] == [
        r for r in ordered if not forest.roster.failed(r)
    ]


def test_a_line_of_single_children_is_one_row_where_it_is_narrow():
    made = [member(1, verdict=Verdict.BASELINE), *(member(n, n - 1) for n in range(2, 8))]
    made += [member(8, 7, alive=True), member(9, 7)]
    forest = ready(made, incumbent=8)
    drawn = chains(forest, forest.rows)
    assert (drawn.rows, drawn.heads, drawn.depths) == ([7, 8, 9], {7: 1}, [0, 1, 1])
    state = ViewState(glyphs=ASCII, roster=forest.roster)
    branches = Branches(state, forest, drawn.rows, drawn=drawn)
    assert "#1..> #7" in text_of([branch_row(state, branches[0:3][0], 60)])
    assert [branches.place(number) for number in (4, 7, 9)] == [0, 0, 2]


def test_crossovers_are_found_from_both_parents():
    forest = ready([member(1), member(2, 1), member(3, 1), member(4, 2, 3), member(5, 1, 3)])
    assert forest.crosses(3) == (4, 5)
    assert forest.roster.parents(4) == (2, 3)
    assert forest.parent(4) == 2


@pytest.mark.parametrize("columns", [30, 50, 90])
def test_rows_fit_and_are_ascii_where_they_must_be(columns):
    forest = ready(story(200), incumbent=150)
    forest.open_all(1)
    state = ViewState(glyphs=ASCII, roster=forest.roster)
    branches = Branches(state, forest, forest.rows)
    for branch in branches[20:80]:
        line = branch_row(state, branch, columns)
        assert line_width(line) <= columns
        assert text_of([line]).isascii()
    assert min(branch.depth for branch in branches[20:80]) == 0, (
        "a screen begins at its own shallowest row"
    )


def test_who_is_folded_away_is_found_at_the_nearest_row_above():
    forest = ready(story(100))
    forest.open_all(1)
    deep = max(range(1, 101), key=forest.depth)
    above = list(forest.ancestors(deep))
    forest.close(above[-2])
    branches = Branches(ViewState(roster=forest.roster), forest, forest.rows)
    place = branches.place(deep)
    assert place is not None
    assert forest.rows[place] == above[-2]
    assert branches.place(101) is None
