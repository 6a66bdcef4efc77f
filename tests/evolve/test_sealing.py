"""Main moves only for what is better on rows that selection has never seen."""

from __future__ import annotations

import pytest

from evolve.sealing import Sides, gain, in_words, missing, refusal


def sides(validation: dict[int, float], sealed: dict[int, float]) -> Sides:
    return Sides(validation, sealed)


MAIN = sides({0: 1.0, 1: 1.02, 2: 0.98}, {0: 1.1, 1: 1.12, 2: 1.08})


def test_gains_are_compared_at_the_seeds_that_both_have() -> None:
    child = sides(
        {0: 0.5, 1: 1.01, 2: 0.97}, {1: 1.115, 2: 1.075}
    )  # the luck of seed 0 is no part of it
    found = gain(child, MAIN)
    assert found is not None
    assert found.seeds == 2
    assert found.validation == pytest.approx(0.01)
    assert found.sealed == pytest.approx(0.005)
    assert found.gap == pytest.approx(0.005)
    assert refusal(found) == ""
    assert (
        in_words(found)
        == "Sealed rows: better by 0.0050 (0.0050 less than on the validation rows)."
    )


def test_what_only_the_validation_rows_show_is_refused_in_words() -> None:
    child = sides({1: 1.0159, 2: 0.9759}, {1: 1.1203, 2: 1.0803})
    found = gain(child, MAIN)
    assert found is not None
    assert refusal(found) == (
        "Better by 0.0041 on the validation rows, worse by 0.0003 on the sealed ones: it fits the validation rows."
    )
    equal = gain(sides({1: 1.0}, {1: 1.12}), MAIN)
    assert equal is not None
    assert "equal on the sealed ones" in refusal(equal)


def test_a_simpler_child_may_lie_behind_by_its_margin() -> None:
    found = gain(sides({1: 1.0205}, {1: 1.1205}), MAIN)
    assert found is not None
    assert refusal(found, margin=0.001) == ""
    assert refusal(found, margin=0.0004) == (
        "Worse by 0.0005 on the validation rows, worse by 0.0005 on the sealed ones: no gain."
    )
    assert refusal(found)


def test_what_main_lacks_is_named() -> None:
    child = sides({1: 1.0, 5: 1.0}, {1: 1.0, 5: 1.0})
    assert missing(child, MAIN) == (5,)
    assert gain(sides({5: 1.0}, {5: 1.0}), MAIN) is None
