"""What a filter keeps, and what it says about a term that cannot be read."""

import time
from dataclasses import replace

import pytest

from evolve.beliefs import Belief
from evolve.model import CandidateState, Operator, Verdict
from harness.spec import Outcome
from tests.tui.recording import START, candidate, event
from tui.filters import FIELDS, Facts, candidate_filter, event_filter

CROSSED = candidate(
    12, operator=Operator.CROSSOVER, parents=(3, 9), title="softcap 15", category="optimizer",
    proposer="claude", model="claude-opus", scores=(0.9712,), generation=4, children=3, pinned=True,
    created=START, boosted=2, changes=("MATRIX_LR: 0.04 -> 0.05",),
)  # fmt: skip
FAILED = candidate(
    13, operator=Operator.TUNE, parents=(12,), title="deeper", category="size", alive=False, scores=(),
    verdict=Verdict.FAILED, outcome=Outcome.OOM, verdict_reason="out of memory", generation=5,
    children=0, created=START + 7000,
)  # fmt: skip
WAITING = candidate(
    14, state=CandidateState.READY, verdict=None, scores=(), alive=False, parents=(1,), children=0,
    operator=Operator.MUTATE, category="init", created=START + 7100, title="wider", approved=True,
    generation=1, outcome=None,
)  # fmt: skip
EVERYBODY = (CROSSED, FAILED, WAITING)
FACTS = Facts(
    belief={12: Belief(0.9730, 0.001, 0.93, 1, "provisional")}.get,
    marked={13}.__contains__,
    now=START + 7200,
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", {12, 13, 14}),
        ("softcap", {12}),
        ("SoftCap matrix_lr", {12}),
        ("!softcap", {13, 14}),
        ("bpb<.98", {12}),
        ("bpb<.97", set()),
        ("!bpb<.97", {12}),  # who has no score is neither below nor above
        ("!bpb>.97", set()),
        ("corrected<.972", set()),
        ("corrected<=.973", {12}),
        ("p>0.9", {12}),
        ("p>90%", {12}),
        ("p>95%", set()),
        ("op:crossover", {12}),
        ("op:cross !is:alive", set()),
        ("cat:optimizer", {12}),
        ("by:claude", {12}),
        ("by:opus", {12}),
        ("became:oom", {13}),
        ("is:alive", {12}),
        ("is:pinned is:boosted", {12}),
        ("is:marked", {13}),
        ("is:failed", {13}),
        ("err", {13}),
        ("!err", {12, 14}),
        ("is:waiting is:approved", {14}),
        ("is:provisional", {12}),
        ("gen>3", {12, 13}),
        ("g=5", {13}),
        ("kids>2", {12}),
        ("age<2m", {14}),
        ("age>=2h", {12}),
        ("#12", {12, 13}),
        ("#1", {14}),
        ("runs=0", {13, 14}),
    ],
)
def test_what_is_kept(text, kept):
    keep = candidate_filter(text)
    assert keep.fault == ""
    assert {c.id for c in EVERYBODY if keep(c, FACTS)} == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bbp<.98", "There is no number “bbp”; did you mean “bpb”?"),
        ("bpb<", "bpb< wants a number, such as .98."),
        ("age<soon", "age< wants a number, such as 2h."),
        ("!is:pined", "Nobody is “pined”; did you mean “pinned”?"),
        ("categry:size", "There is no field “categry:”; did you mean “category”?"),
    ],
)
def test_a_term_that_cannot_be_read_is_named_and_asks_for_nothing(text, said):
    keep = candidate_filter(f"{text} is:alive")
    assert keep.fault == said
    assert [c.id for c in EVERYBODY if keep(c, FACTS)] == [12]


def test_a_filter_says_what_it_has_to_be_told():
    assert candidate_filter("!corrected<.98").beliefs
    assert candidate_filter("p>.5").beliefs
    assert not candidate_filter("muon bpb<.98").beliefs
    assert candidate_filter("!is:marked").marks
    assert not candidate_filter("is:alive").marks


def test_every_field_of_the_help_can_be_typed():
    for example, _ in FIELDS:
        assert candidate_filter(example).fault == ""


def test_the_log_is_filtered_by_kind_candidate_and_words():
    lines = (
        event(1, kind="verdict", text="#12 kept: muon", candidate=12),
        event(2, kind="started", text="#120 trains", candidate=120),
        event(3, kind="command", text="ann asked to pin #12", candidate=None),
    )

    def kept(text):
        keep = event_filter(text)
        return [line.id for line in lines if keep(line)]

    assert kept("kind:verdict") == [1]
    assert kept("!kind:verdict") == [2, 3]
    assert kept("#12") == [1, 3]
    assert kept("#12 pin") == [3]
    assert kept("MUON") == [1]
    assert event_filter("gen>3 cat:x").fault == "The log has no field “cat:”; it has kind:verdict."


def test_a_hundred_thousand_candidates_are_filtered_while_a_person_types():
    many = [replace(CROSSED, id=n) for n in range(1, 2001)]
    keep = candidate_filter("softcap bpb<.98 !is:banned op:cross")
    began = time.process_time()
    assert len([c for c in many if keep(c, FACTS)]) == 2000
    each = (time.process_time() - began) / 2000
    assert each < 20e-6  # a page of 2,000 in 40 ms at most; some 5 µs each on a quiet machine
