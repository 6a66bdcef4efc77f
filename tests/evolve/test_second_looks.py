"""What a running engine looks at again: main, those turned away, islands that stand still. Real journal, git and data."""

from __future__ import annotations

import itertools
from pathlib import Path

from evolve.model import CandidateState, Purpose, Verdict
from evolve.spec import experiment_spec
from evolve.standing import founded, members
from harness.spec import ExperimentSpec, Outcome, Result
from tests.evolve.test_scrutiny import GREEDY, Answer, Desk, desk, honest
from tests.evolve.workbench import scored

HOPELESS = honest(2.2)


def at(*scores: float) -> Answer:
    """A script that scores this at the seeds 0, 1, 2 …, and the last of them at all later ones."""
    return lambda spec: scored(spec, scores[min(spec.seed, len(scores) - 1)])


def promising(here: Desk) -> int:
    """A child that is better, in a run that at first looks too noisy to tell after one repeat."""
    here.answers[1] = at(2.000, 2.004, 1.996, 2.0)
    number = here.child(at(1.9905))
    for _ in range(4):
        here.step()
    repeat = here.journal.start_experiment(number, Purpose.CONFIRM, 1)
    here.judge.settle(repeat, here.answers[number](experiment_spec(here.context, repeat)))
    here.work()
    turned_away = here.journal.candidate(number)
    assert turned_away.verdict is Verdict.KEPT
    assert turned_away.verdict_reason.startswith("Not confirmed: P(better) = 0.")
    return number


def more_children(here: Desk, count: int) -> None:
    for _ in range(count):
        here.child(HOPELESS)
    here.work(200)


# ---- main ---------------------------------------------------------------------------------------------------


def test_main_is_measured_again_after_so_many_trainings_at_a_fresh_seed(tmp_path: Path) -> None:
    with desk(tmp_path, **{"acceptance.remeasure_every": "4"}) as here:
        more_children(here, 9)
        purposes = [a.purpose for a in here.assigned[3:]]
        cycle = [Purpose.SCREEN] * 4 + [Purpose.INCUMBENT]
        assert purposes == [*cycle, *cycle, Purpose.SCREEN]
        assert [a.seed for a in here.assigned if a.purpose is Purpose.INCUMBENT] == [3, 4]


def test_main_is_not_measured_again_where_that_is_off_or_would_change_nothing(
    tmp_path: Path,
) -> None:
    with desk(tmp_path, **{"acceptance.remeasure_every": "0"}) as here:
        more_children(here, 25)
        assert not here.plans(Purpose.INCUMBENT)
    greedy = GREEDY | {"acceptance.remeasure_every": "4"}
    with desk(tmp_path / "another", **greedy) as here:
        more_children(here, 9)
        assert not here.plans(Purpose.INCUMBENT)


# ---- second chances -----------------------------------------------------------------------------------------

IMPATIENT = {"acceptance.max_repeats": "1", "acceptance.remeasure_every": "3"}


def test_one_that_was_turned_away_comes_again_when_the_noise_proves_smaller(tmp_path: Path) -> None:
    with desk(tmp_path, **IMPATIENT) as here:
        number = promising(here)
        more_children(here, 15)
        (told,) = here.told("second chance")
        assert told.startswith(
            f"#{number} gets a second chance, by what was measured since: Better than main with P = 0.9"
        )
        again = here.journal.candidate(number)
        assert (again.verdict, again.chances) == (Verdict.PROMOTED, 1)
        assert here.journal.run().incumbent == number


def test_a_second_chance_survives_the_engine_and_a_lost_training_and_is_not_given_twice(
    tmp_path: Path,
) -> None:
    patient = IMPATIENT | {"acceptance.max_repeats": "6"}
    with desk(tmp_path, **IMPATIENT) as here:
        number = promising(here)
        here.journal.reopen(number, f"#{number} gets a second chance.")
    with desk(tmp_path, **patient) as here:  # another engine, which finds a contender
        here.answers |= {1: at(2.0), number: lost_once(at(1.9999))}
        assert here.journal.candidate(number).state is CandidateState.CONTENDER
        here.work()
        again = here.journal.candidate(number)
        assert again.state is CandidateState.JUDGED
        assert len(again.scores) > 2  # the repeat that was lost was made again
        assert any(e.outcome is Outcome.VOID for e in here.journal.experiments(number))
        more_children(here, 12)
        assert here.journal.candidate(number).chances == 1
        assert len(here.told("second chance")) == 1


def lost_once(answer: Answer) -> Answer:
    lost = itertools.count()

    def either(spec: ExperimentSpec) -> Result:
        if next(lost) == 0:
            return Result(Outcome.VOID, "The machine slept.", seed=spec.seed)
        return answer(spec)

    return either


# ---- islands ------------------------------------------------------------------------------------------------

ISLANDS = {
    "population.islands": "2",
    "population.size": "4",
    "population.reset_after": "6",
}


def test_islands_fill_evenly_and_the_weaker_half_begins_anew(tmp_path: Path) -> None:
    with desk(tmp_path, **ISLANDS) as here:
        here.work()
        assert [(m.id, m.island, m.guest) for m in members(here.context)] == [
            (1, 0, False),
            (1, 1, True),
        ]
        first = [here.child(HOPELESS) for _ in range(5)]
        assert [here.journal.candidate(n).island for n in first] == [1, 0, 1, 0, 1]
        here.work()
        assert {c.island for c in here.journal.living()} == {0, 1}
        assert not here.told("islands")

        more_children(here, 1)
        (told,) = here.told("islands")
        assert told == "Nothing was gained for 6 children: island 1 begins anew from #1."
        assert {c.island for c in here.journal.living()} == {0}
        assert here.journal.candidate(here.child(HOPELESS)).island == 1
        here.work()
        more_children(here, 4)
        assert len(here.told("islands")) == 1  # six children have their time
        more_children(here, 1)
        assert len(here.told("islands")) == 2
    with desk(tmp_path, **ISLANDS) as here:  # another engine knows of it
        assert founded(here.context).settled == 12
        assert founded(here.context).founders == {1: 1}


def test_one_island_is_never_reset(tmp_path: Path) -> None:
    with desk(tmp_path, **{"population.reset_after": "2"}) as here:
        more_children(here, 5)
        assert not here.told("islands")
        assert {c.island for c in here.journal.candidates()} == {0}


# ---- the ancestor's rule ------------------------------------------------------------------------------------


def test_the_ancestors_rule_says_what_it_is_in_every_verdict(tmp_path: Path) -> None:
    with desk(tmp_path, **GREEDY) as here:
        better, worse = here.child(honest(1.9999)), here.child(HOPELESS)
        here.work()
        for number, verdict in ((better, Verdict.PROMOTED), (worse, Verdict.REJECTED)):
            found = here.journal.candidate(number)
            assert found.verdict in (verdict, Verdict.KEPT)
            assert "greedy, the ancestor's rule, which keeps noise: P(better)" in (
                found.verdict_reason
            )
