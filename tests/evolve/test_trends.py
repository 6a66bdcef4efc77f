"""What each kind of idea has come to: counted on verdicts, gained on beliefs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from evolve import trends as counting
from evolve.model import Candidate, CandidateState, Operator, Verdict
from evolve.roster import Roster, row_of
from evolve.trends import KEYS, LATEST, Trend, in_words
from harness.spec import Outcome


def child(number: int, verdict: Verdict | None, *parents: int, **given: object) -> Candidate:
    made = Candidate(
        id=number,
        operator=Operator.MUTATE if parents else Operator.SEED,
        proposer="builtin",
        parents=parents,
        title="",
        hypothesis="",
        category="optimizer",
        commit="",
        source_sha="",
        code_hash="",
        lines=1,
        created=0.0,
        state=CandidateState.JUDGED,
        verdict=verdict,
        scores=() if verdict in (None, Verdict.FAILED) else (1.0,),
    )
    return replace(made, **given)


SEED = child(1, Verdict.BASELINE)
RUN = (
    SEED,
    child(2, Verdict.PROMOTED, 1),
    child(3, Verdict.REJECTED, 1),
    child(4, Verdict.FAILED, 1),
    child(5, Verdict.KEPT, 2, 1, category="size", operator=Operator.CROSSOVER, model="opus"),
    child(6, Verdict.DROPPED, 1),
    child(7, None, 2),
)
MEANS = {1: 1.00, 2: 0.98, 3: 1.01, 5: 0.99}


def trends(
    candidates: Sequence[Candidate], means: Mapping[int, float], sigma: float, by: str
) -> tuple[Trend, ...]:
    roster = Roster(1).with_rows(map(row_of, candidates), 0)
    levels = [means.get(number, math.nan) for number in range(len(candidates) + 1)]
    return counting.trends(roster, levels, sigma, by)


def test_children_are_counted_by_kind_and_gains_are_believed_ones() -> None:
    first, second = trends(RUN, MEANS, 0.01, "category")
    assert (first.key, first.attempts, first.measured, first.failed) == ("optimizer", 3, 2, 1)
    assert (first.promoted, first.kept, first.pending, first.latest) == (1, 0, 1, "P.x")
    assert first.success == pytest.approx(1 / 3)
    assert first.gain == pytest.approx((2.0 - 1.0) / 2)
    assert first.best == pytest.approx(2.0)
    # a crossover is measured against the better of its parents
    assert (second.key, second.gain) == ("size", pytest.approx(-1.0))


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("operator", {"mutate": 3, "crossover": 1}),
        ("model", {"builtin": 3, "opus": 1}),
        ("prompt", {"none": 4}),
    ],
)
def test_the_same_children_by_another_key(by: str, keys: dict[str, int]) -> None:
    assert {t.key: t.attempts for t in trends(RUN, MEANS, 0.01, by)} == keys
    assert by in KEYS


def test_what_was_never_measured_has_no_gain() -> None:
    (only,) = trends([SEED, child(2, Verdict.FAILED, 1)], {1: 1.0}, 0.01, "category")
    assert (only.gain, only.best, only.success) == (None, None, 0.0)
    (waiting,) = trends([SEED, child(2, None, 1)], {1: 1.0}, 0.01, "category")
    assert (waiting.attempts, waiting.success, waiting.latest) == (0, None, "")
    assert in_words([only, waiting]) == "optimizer 0 of 1"


def test_a_child_that_was_stopped_early_is_told_from_one_that_was_measured() -> None:
    pruned = child(2, Verdict.REJECTED, 1, outcome=Outcome.PRUNED, scores=())
    (found,) = trends([SEED, pruned, child(3, Verdict.REJECTED, 1)], MEANS, 0.01, "category")
    assert (found.latest, found.measured, found.failed) == ("-.", 1, 0)


def test_only_the_latest_attempts_are_spelled_out() -> None:
    many = [child(n, Verdict.REJECTED, 1) for n in range(2, 30)]
    (found,) = trends([SEED, *many, child(30, Verdict.PROMOTED, 1)], MEANS, 0.01, "category")
    assert found.latest == "." * (LATEST - 1) + "P"
    assert found.attempts == 29
