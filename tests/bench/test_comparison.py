"""The statistics of the contest, against values that are known otherwise."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest

from bench.comparison import holm, interval, p_lower, table


def test_the_rank_test_is_exact() -> None:
    # Fully apart: one way of C(10, 5) is as extreme.
    assert p_lower([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(1 / math.comb(10, 5))
    assert p_lower([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]) == 1.0
    # Equal values say nothing.
    assert p_lower([1.0] * 4, [1.0] * 4) == 1.0
    # Hollander and Wolfe, Nonparametric Statistical Methods, table of W: P(U <= 3) for 4 and 5 is 7/126.
    ours, theirs = [1, 2, 3, 7], [4, 5, 6, 8, 9]
    wins = sum(a < b for a in ours for b in theirs)
    assert wins == 20 - 3
    assert p_lower(ours, theirs) == pytest.approx(7 / 126)


def test_the_rank_test_is_right_as_often_as_it_says() -> None:
    rng = random.Random(1)
    found = [
        p_lower([rng.random() for _ in range(4)], [rng.random() for _ in range(4)])
        for _ in range(400)
    ]
    assert sum(p <= 0.05 for p in found) / 400 <= 0.07


def test_the_interval_of_a_median_covers_it_as_often_as_it_says() -> None:
    low, high, coverage = interval([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (low, high) == (1.0, 5.0)
    assert coverage == pytest.approx(0.9375)  # five searches cannot promise 95 %
    low, high, coverage = interval([float(n) for n in range(1, 11)])
    assert (low, high) == (2.0, 9.0)
    assert coverage == pytest.approx(0.978515625)  # the table in David and Nagaraja
    rng = random.Random(2)
    inside = 0
    for _ in range(500):
        drawn = [rng.gauss(0, 1) for _ in range(7)]
        low, high, _ = interval(drawn)
        assert low <= median(drawn) <= high
        inside += low <= 0 <= high
    assert inside / 500 >= 0.95


def test_holm_is_never_kinder_than_the_plain_value() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx(
        {"a": 0.03, "c": 0.06, "b": 0.06}
    )


def test_the_table_says_who_is_ahead_of_whom() -> None:
    scores = {"ours": [1.0, 1.1, 1.2, 1.3, 1.4], "theirs": [2.0, 2.1, 2.2, 2.3, 2.4]}
    text = table(scores, {"ours": [0.9] * 5, "theirs": [1.5] * 5}, "ours")
    ours, theirs = text.splitlines()[2:]
    assert ours.startswith("| ours | 5 | 1.2000 | 1.0000 to 1.4000 (94%) | 0.9000 |")
    assert "2.2000" in theirs
    assert "1.5000" in theirs
    assert "0.0040" in theirs
