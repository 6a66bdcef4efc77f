"""A machine that trains at another speed is found out by its own repeats, and only by the baseline for certain."""

from __future__ import annotations

import pytest

from evolve.drift import EVERY, Drift, Speed, assess
from evolve.model import Purpose

START = ((1, Purpose.BASELINE, 1_130_000), (1, Purpose.BASELINE, 1_125_000), (1, Purpose.BASELINE, 1_120_000))  # fmt: skip
SCREEN, CONFIRM, MAIN, BASELINE = (
    Purpose.SCREEN,
    Purpose.CONFIRM,
    Purpose.INCUMBENT,
    Purpose.BASELINE,
)


def after(*more: tuple[int, Purpose, float]) -> Drift:
    """What a run's speeds say: candidate, purpose, tokens a second, numbered from 1."""
    return assess(Speed(n, *one) for n, one in enumerate((*START, *more), 1))


def test_a_run_that_has_hardly_begun_says_nothing() -> None:
    assert assess(()) == Drift()
    assert not after().due


@pytest.mark.parametrize(
    ("speed", "suspected"),
    [(970_100, False), (969_000, True), (1_029_900, False), (1_031_000, True)],
)
def test_a_repeat_that_is_off_by_more_than_3_percent_is_suspicious(
    speed: float, suspected: bool
) -> None:
    found = after((2, SCREEN, 1_000_000), (2, CONFIRM, speed))
    assert (found.suspected, found.due, found.drifting) == (suspected, suspected, False)


def test_other_candidates_may_be_as_slow_as_they_like() -> None:
    assert not after((2, SCREEN, 400_000), (3, SCREEN, 2_000_000)).due


def test_main_is_held_against_its_own_speeds() -> None:
    assert not after((1, MAIN, 1_110_000)).due
    assert after((1, MAIN, 1_080_000)).due


def test_a_baseline_that_is_itself_clears_the_suspicion() -> None:
    found = after((2, SCREEN, 1e6), (2, CONFIRM, 9e5), (1, BASELINE, 1_100_000))
    assert not found.due
    assert not found.drifting
    assert found.incomparable == ()


def test_a_baseline_that_is_off_too_confirms_it_with_figures() -> None:
    found = after((2, SCREEN, 1e6), (2, CONFIRM, 9.6e5), (1, BASELINE, 1_079_000))
    assert found.drifting
    assert not found.due  # it has just been measured
    assert found.change == "4.1 % fewer tokens a second than at the start (1,125,000 -> 1,079,000)"
    assert found.incomparable == (5, 6)  # the repeat and the baseline's own measurement
    faster = after((1, MAIN, 1.3e6), (1, BASELINE, 1_350_000))
    assert faster.change == "20.0 % more tokens a second than at the start (1,125,000 -> 1,350,000)"


def test_while_it_drifts_the_baseline_is_measured_every_few_trainings_until_it_is_back() -> None:
    slow = [(1, MAIN, 1e6), (1, BASELINE, 1e6)]
    busy = [(n, SCREEN, 9e5) for n in range(10, 10 + EVERY)]
    assert not after(*slow, *busy[:-1]).due
    assert after(*slow, *busy).due
    again = after(*slow, *busy, (1, BASELINE, 1.01e6))
    assert (again.drifting, again.due, again.checks) == (True, False, 2)
    back = after(*slow, *busy, (1, BASELINE, 1.01e6), (1, BASELINE, 1.12e6))
    assert (back.drifting, back.due, back.checks) == (False, False, 0)
    assert back.incomparable == (4, 5, 11)
    # What was screened on the slow machine is no measure for the same candidate's repeats afterwards.
    assert not after(*slow, *busy, (1, BASELINE, 1.12e6), (10, CONFIRM, 1e6)).due
