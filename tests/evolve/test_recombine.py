"""Crossover merges what two parents changed against their common ancestor."""

import random
from pathlib import Path

import pytest

from evolve.propose.knobs import find_knobs
from evolve.propose.patterns import CATALOGUE
from evolve.propose.recombine import Hunk, Recombination, definitions, hunks, merge, recombine

OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
PLAIN = Path(__file__).with_name("plain_train.txt").read_text()
BASE = """\
LR = 0.1  # rate
WD = 0.2
DEPTH = 4


def f(x):
    return x


def g(x):
    return x


class A:
    def forward(self, x):
        return f(x)

    def other(self):
        return LR, WD, DEPTH
"""


def mixes(first: str, second: str, base: str | None, seeds: int = 60) -> list[Recombination]:
    found = [
        recombine(first, second, base, random.Random(seed), ("#1", "#2")) for seed in range(seeds)
    ]
    return [mix for mix in found if mix is not None]


@pytest.mark.parametrize("source", [BASE, PLAIN])
def test_hunks_rebuild_the_other_source(source: str) -> None:
    rng = random.Random(1)
    for _ in range(50):
        lines = source.splitlines()
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(lines))
            choice = rng.randrange(3)
            lines[place : place + choice] = [f"# {rng.random()}"] * rng.randrange(3)
        other = "\n".join(lines) + "\n"
        assert merge(source, hunks(source, other)) == other


def test_neighbouring_constants_are_separate_hunks() -> None:
    other = BASE.replace("0.1", "0.3").replace("0.2", "0.4")
    assert hunks(BASE, other) == (Hunk(0, 1, ("LR = 0.3  # rate",)), Hunk(1, 2, ("WD = 0.4",)))


def test_a_child_takes_what_only_one_parent_changed() -> None:
    first = BASE.replace("LR = 0.1", "LR = 0.3").replace("return f(x)", "return f(f(x))")
    second = BASE.replace("DEPTH = 4", "DEPTH = 6").replace(
        "def g(x):\n    return x", "def g(x):\n    return -x"
    )
    both = [
        mix
        for mix in mixes(first, second, BASE)
        if "return -x" in mix.source and "DEPTH = 6" in mix.source
    ]
    assert both
    for mix in both:
        assert "LR = 0.3  # rate" in mix.source
        assert "return f(f(x))" in mix.source
        assert set(mix.changes) == {"DEPTH: 4 -> 6", "g: #1 -> #2"}


def test_definitions_of_the_second_parent_that_the_first_lacks_come_along() -> None:
    first = BASE.replace("LR = 0.1", "LR = 0.3")
    second = BASE.replace("class A:", "def h(x):\n    return x\n\n\nclass A:").replace(
        "return f(x)", "return h(f(x))"
    )
    full = [
        mix
        for mix in mixes(first, second, BASE)
        if "def h(x)" in mix.source and "h(f(x))" in mix.source
    ]
    assert full
    assert set(full[0].changes) == {"A.forward: #1 -> #2", "h: #1 -> #2"}


def test_where_both_moved_a_number_either_wins_or_they_meet_in_the_middle() -> None:
    first, second = BASE.replace("0.1", "0.4"), BASE.replace("0.1", "0.9")
    first = first.replace("DEPTH = 4", "DEPTH = 5")
    values = {find_knobs(mix.source)[0].text for mix in mixes(first, second, BASE)}
    assert values <= {"0.4", "0.6", "0.9"}
    assert "0.6" in values  # the geometric mean
    assert "0.9" in values


def test_equal_changes_of_both_parents_are_no_conflict() -> None:
    first = BASE.replace("0.1", "0.4").replace("DEPTH = 4", "DEPTH = 5")
    second = BASE.replace("0.1", "0.4").replace("WD = 0.2", "WD = 0.3")
    for mix in mixes(first, second, BASE):
        assert "LR = 0.4" in mix.source
        assert mix.changes == ("WD: 0.2 -> 0.3",)


def test_without_an_ancestor_a_part_of_the_second_goes_into_the_first() -> None:
    second = BASE.replace("0.1", "0.4").replace("DEPTH = 4", "DEPTH = 5").replace("return -x", "x")
    found = mixes(BASE, second, None)
    assert found
    assert all(mix.source not in {BASE, second} for mix in found)


def test_nothing_comes_of_parents_that_do_not_differ_enough() -> None:
    child = BASE.replace("0.1", "0.4")
    assert mixes(BASE, BASE, BASE) == []
    assert mixes(BASE, child, BASE) == []  # one change: the child itself would come out
    assert mixes(child, BASE, BASE) == []


def test_definitions_are_compared_without_comments() -> None:
    noisy = BASE.replace("def f(x):\n", "def f(x):\n    # why\n")
    assert definitions(noisy) == definitions(BASE)
    assert set(definitions(BASE)) == {"f", "g", "A.forward", "A.other", "script"}


def test_mixes_of_real_parents_parse_and_differ_from_both() -> None:
    children = [child for p in CATALOGUE if (child := p.apply(OURS))]
    rng = random.Random(5)
    found = 0
    for seed in range(16):
        first, second = rng.sample(children, 2)
        mix = recombine(first, second, OURS, random.Random(seed), ("#1", "#2"))
        if mix is None:
            continue
        found += 1
        compile(mix.source, "train.py", "exec")
        assert mix.source not in {first, second}
        assert mix.changes
    assert found >= 12
