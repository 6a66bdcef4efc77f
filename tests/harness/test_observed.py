"""How the seconds of an experiment fall into phases: in order, and adding up."""

from __future__ import annotations

import pytest

from harness.observed import Observed, Score, Spent

SCORE = Score(
    val_bpb=1.0, val_nats=1.0, sealed_bpb=None, tokens=1, seconds=1.0, transport="", at=420.0
)


def test_every_phase_has_its_seconds_and_they_add_up() -> None:
    observed = Observed(
        spent=Spent(opened=105.0, first=106.0, start=112.0),
        evaluating=412.0,
        committed=412.5,
        score=SCORE,
        gone=420.25,
    )
    timeline = observed.timeline(begun=100.0, launched=101.0, ended=420.5)
    assert timeline == {
        "launch": 1.0,
        "imports": 4.0,
        "first_batch": 1.0,
        "compile": 6.0,
        "training": 300.0,
        "commit": 0.5,
        "scoring": 7.5,
        "exit": 0.25,
        "report": 0.25,
    }
    assert sum(timeline.values()) == pytest.approx(320.5)


def test_what_was_never_reached_is_left_out() -> None:
    observed = Observed(spent=Spent(opened=105.0, first=106.0), gone=130.0)
    timeline = observed.timeline(begun=100.0, launched=101.0, ended=131.0)
    assert list(timeline) == ["launch", "imports", "first_batch", "exit", "report"]
    assert sum(timeline.values()) == pytest.approx(31.0)


def test_a_scorer_that_was_loading_hears_of_the_evaluation_late() -> None:
    observed = Observed(
        spent=Spent(opened=1.0, first=1.0, start=1.0), committed=2.0, evaluating=4.0, score=SCORE
    )
    timeline = observed.timeline(begun=0.0, launched=0.5, ended=421.0)
    assert (timeline["training"], timeline["commit"], timeline["scoring"]) == (1.0, 0.0, 418.0)
    assert sum(timeline.values()) == pytest.approx(421.0)
