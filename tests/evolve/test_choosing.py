"""What is made next, read from a real journal: credit for gains and costs, repairs that end, the front that breeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve import credit
from evolve.bandit import BUILTIN, Arm
from evolve.choosing import REPAIRS, arms_of, front, to_repair
from evolve.journal import Journal
from evolve.model import CandidateState, Operator, Purpose, Verdict
from evolve.noise import Posterior
from evolve.population import Member
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.operators import Asked, Usage
from evolve.relatives import Kin
from harness.spec import Outcome, Result
from tests.evolve.workbench import add, baseline, open_journal, report, train

OPUS = "claude-opus-5-5"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with open_journal(tmp_path) as journal:
        yield journal


def child(journal: Journal, score: float | None, *parents: int, **given: object) -> int:
    number = add(journal, *(parents or (1,)), **given)
    then = CandidateState.JUDGED if score is None else CandidateState.CONTENDER
    train(journal, number, score, then=then)
    verdict = Verdict.FAILED if score is None else Verdict.KEPT
    journal.judge(number, verdict, "As it is.", alive=score is not None)
    return number


def call(journal: Journal, operator: str, dollars: float, *parents: int) -> int:
    number = journal.reserve_call(
        model=OPUS,
        asked=Asked(operator, parents or (1,)),
        request="{}",
        request_sha=f"{operator}{dollars}",
        dollars=dollars,
    )
    journal.answer_call(
        number, response="…", usage=Usage(), dollars=dollars, seconds=1.0, stop_reason="end_turn"
    )
    return number


# ---- credit ----------------------------------------------------------------------------------------------


def test_gains_failures_and_lost_calls_are_credited_to_their_arms(journal: Journal) -> None:
    baseline(journal, 1.0, 1.001, 0.999)
    child(journal, 0.95, operator=Operator.TUNE)
    child(journal, None, operator=Operator.MUTATE)
    made = call(journal, "mutate", 0.002)
    child(journal, 1.05, operator=Operator.MUTATE, proposer="claude", model=OPUS, calls=(made,))
    call(journal, "rewrite", 0.008)  # no child came of it
    call(journal, "scratchpad", 0.004)  # and this one was never to lead to one
    add(journal, 1, operator=Operator.TUNE)  # waits
    gained, crashed, claudes, lost, waiting = credit.pulls(journal)
    assert (gained.arm, gained.cost) == (Arm(BUILTIN, "tune"), pytest.approx(1.0))
    assert gained.gain is not None
    assert gained.gain > 1
    assert (crashed.arm, crashed.gain) == (Arm(BUILTIN, "mutate"), 0.0)
    assert (claudes.arm, claudes.gain) == (Arm(OPUS, "mutate"), 0.0)
    assert claudes.cost == pytest.approx(1.2)  # a training of 12 s, and $0.002 at $3 an hour
    assert (lost.arm, lost.gain) == (Arm(OPUS, "rewrite"), 0.0)
    assert lost.cost == pytest.approx(0.8)
    assert waiting.gain is None


def test_a_call_in_vain_costs_as_much_as_half_a_training_to_one(journal: Journal) -> None:
    baseline(journal)
    child(journal, 0.99, operator=Operator.TUNE)
    call(journal, "mutate", 50.0)
    assert credit.pulls(journal)[-1].cost == pytest.approx(1.0)
    call(journal, "mutate", 0.0001)
    assert credit.pulls(journal)[-1].cost == pytest.approx(0.5)


def test_a_client_sees_the_shares_that_a_restarted_engine_would_follow(
    journal: Journal,
) -> None:
    baseline(journal, 1.0, 1.001, 0.999)
    for name, weight in (("mutate", "4.0"), ("crossover", "2.0"), ("tune", "3.0")):
        journal.change_setting(f"operators.{name}", "0", weight, "a tester")
    for _ in range(6):
        child(journal, 0.9, operator=Operator.TUNE)
        child(journal, 1.1, operator=Operator.MUTATE)
    arms = arms_of({BUILTIN: BuiltinProposer().operators()})
    credit.note_arms(journal, arms)
    ours = credit.shares(journal)
    with Journal.reader(journal.path) as reader:
        assert credit.shares(reader) == ours
        assert credit.known_arms(reader) == tuple(sorted(arms))
    best = ours[0]
    assert best.arm == Arm(BUILTIN, "tune")
    assert best.share > best.weight + 0.1
    assert best.rate > ours[-1].rate


# ---- repair ----------------------------------------------------------------------------------------------


def test_a_crashed_candidate_is_mended_twice_at_most_and_a_repair_never(journal: Journal) -> None:
    baseline(journal)
    crashed = child(journal, None)
    for _ in range(REPAIRS):
        found = to_repair(journal)
        assert found is not None
        assert found.id == crashed
        child(journal, None, crashed, operator=Operator.REPAIR)
    assert to_repair(journal) is None


def test_answers_from_which_no_repair_came_are_tries_too(journal: Journal) -> None:
    baseline(journal)
    crashed = child(journal, None)
    for _ in range(2 * REPAIRS):
        assert to_repair(journal) is not None
        call(journal, "repair", 0.01, crashed)
    assert to_repair(journal) is None


def test_a_repair_under_way_or_one_that_worked_is_enough(journal: Journal) -> None:
    baseline(journal)
    crashed = child(journal, None)
    add(journal, crashed, operator=Operator.REPAIR)
    assert to_repair(journal) is None


def test_what_the_audit_voided_is_not_mended(journal: Journal) -> None:
    baseline(journal)
    number = add(journal, 1)
    train(journal, number, 0.5)
    journal.judge(number, Verdict.KEPT, "Good.", alive=True)
    experiment = journal.start_experiment(number, Purpose.CONFIRM, 1)
    claimed = report(passed=False, claimed=0.5)
    found = Result(Outcome.INVALID, "It looks ahead.", audit=claimed, seed=1)
    journal.finish_experiment(experiment.id, found, CandidateState.JUDGED)
    journal.void_score(number, claimed, "It looks ahead.")
    assert journal.candidate(number).voided
    assert to_repair(journal) is None


# ---- parents ---------------------------------------------------------------------------------------------


def member(number: int, mean: float, sd: float = 0.01) -> Member:
    return Member(number, Posterior(mean, sd, 1))


def test_the_front_is_who_may_be_the_best() -> None:
    living = [member(1, 1.0), member(2, 0.995), member(3, 1.04), member(4, 1.2, 1.0)]
    assert [m.id for m in front(living, 0.25)] == [1, 2, 4]
    assert [m.id for m in front(living, 0.45)] == [2]
    assert [m.id for m in front(living[:1], 0.9)] == [1]


def test_relatives_are_joined_by_tunings_only(journal: Journal) -> None:
    baseline(journal)
    tuned = child(journal, 0.99, operator=Operator.TUNE)
    turned = child(
        journal, 0.98, tuned, operator=Operator.MUTATE, changes=("A: 1 -> 2", "B: 1 -> 2")
    )
    other = child(journal, 0.97, turned, operator=Operator.MUTATE, changes=("norm: none -> rms",))
    beyond = child(journal, 0.96, other, operator=Operator.TUNE)
    kin = Kin()
    kin.update(journal)
    assert list(kin.of(tuned)) == [turned, tuned, 1]
    assert list(kin.of(beyond)) == [beyond, other]
    joins = child(journal, 0.95, turned, beyond, operator=Operator.CROSSOVER)
    late = child(journal, 0.95, 1, operator=Operator.TUNE)
    kin.update(journal)
    assert list(kin.of(1)) == [late, joins, beyond, other, turned, tuned, 1]
