"""What comes of what people ask for, step by step: the judge, the steering and the journal of a booted engine, no loops.

`Desk` trains with answers made up here; requests go through the same rows that clients write.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolve.census import trim
from evolve.choosing import choose, standing
from evolve.client import Client
from evolve.model import CandidateState, Command, CommandState, Operator, Purpose, Verdict
from evolve.nursery import Nursery
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.operators import Brief, Proposal, ProposalFailed
from evolve.steering import Steering
from evolve.stopping import reason_to_stop
from harness.spec import Outcome, Result, SmokeResult
from tests.evolve.test_scrutiny import Desk, desk
from tests.evolve.test_second_looks import HOPELESS, at


class Person:
    """Somebody who asks, and gets the engine's answer."""

    def __init__(self, here: Desk) -> None:
        self.here, self.killed = here, ""
        self._steering = Steering(
            here.context,
            on_settings=lambda keys: None,
            on_trim=lambda: trim(here.context),
            on_kill=self._kill,
        )
        self._client = Client(here.context.workspace)

    def _kill(self, reason: str) -> None:
        self.killed = reason

    def ask(self, verb: str, number: int | None = None, **args: object) -> Command:
        asked = {"candidate": number} | args if number is not None else args
        sent = self._client.send(verb, asked, "ann")
        self._steering.answer_all()
        found = self._client.wait_for(sent, 1)
        assert found is not None
        return found

    def does(self, verb: str, number: int | None = None, **args: object) -> str:
        answered = self.ask(verb, number, **args)
        assert answered.state is CommandState.DONE, answered.answer
        return answered.answer

    def may_not(self, verb: str, number: int | None = None, **args: object) -> str:
        before = self.here.journal.candidates()
        answered = self.ask(verb, number, **args)
        assert answered.state is CommandState.REFUSED, answered.answer
        assert self.here.journal.candidates() == before
        return answered.answer


@contextmanager
def person(tmp_path: Path, **more: str) -> Iterator[tuple[Desk, Person]]:
    with desk(tmp_path, **more) as here:
        yield here, Person(here)


def crashed(spec: object) -> Result:
    return Result(Outcome.CRASH, "ValueError: no", seed=0)


def crowd(here: Desk) -> list[int]:
    """A population of three that is full, and one that was turned away."""
    numbers = [here.child(at(2.1)), here.child(at(2.12)), here.child(at(2.2))]
    here.work()
    last = here.journal.candidate(numbers[-1])
    assert (last.verdict, last.alive) == (Verdict.REJECTED, False)
    return numbers


# ---- killed trainings ---------------------------------------------------------------------------------------


def test_a_kill_is_kept_when_the_engine_is_killed_too(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        here.work()
        number = here.child(HOPELESS)
        here.journal.start_experiment(number, Purpose.SCREEN, 0)
        assert ann.does("kill") == f"Ending the training of #{number}; it is dropped."
        assert ann.killed == "Killed by ann."
    with desk(tmp_path) as here:  # another engine, which finds what the first one left
        left = here.journal.running_experiment()
        assert left is not None
        here.judge.settle(left, Result(Outcome.VOID, "Stopped by SIGTERM.", seed=0), adopted=True)
        gone = here.journal.candidate(number)
        assert (gone.state, gone.verdict) == (CandidateState.DROPPED, Verdict.DROPPED)
        assert gone.verdict_reason == "Killed by ann."
        assert here.step() is None


def test_a_killed_child_leaves_room_for_another_under_the_stop_rule(tmp_path: Path) -> None:
    with person(tmp_path, **{"stop.candidates": "1"}) as (here, ann):
        here.work()
        number = here.child(HOPELESS)
        running = here.journal.start_experiment(number, Purpose.SCREEN, 0)
        ann.does("kill")
        here.judge.settle(running, Result(Outcome.VOID, "Killed by ann.", seed=0))
        assert here.journal.screened() == 0
        assert reason_to_stop(here.context) is None
        here.child(HOPELESS)
        here.work()
        assert reason_to_stop(here.context) is not None


@pytest.mark.parametrize(
    ("purpose", "verdict", "words"),
    [
        (Purpose.CONFIRM, Verdict.REJECTED, "it is turned away"),
        (Purpose.INCUMBENT, Verdict.BASELINE, "it is measured again"),
    ],
)
def test_who_has_a_score_keeps_it_when_a_repeat_is_killed(
    purpose: Purpose, verdict: Verdict, words: str, tmp_path: Path
) -> None:
    with person(tmp_path) as (here, ann):
        child = here.child(at(1.99))
        for _ in range(4):
            here.step()  # the last one makes it a contender
        number = child if purpose is Purpose.CONFIRM else 1
        before = here.journal.candidate(number)
        running = here.journal.start_experiment(number, purpose, 9)
        assert words in ann.does("kill")
        here.judge.settle(running, Result(Outcome.VOID, "Killed by ann.", seed=9))
        after = here.journal.candidate(number)
        assert (after.scores, after.verdict) == (before.scores, verdict)
        assert after.state is CandidateState.JUDGED


def test_a_smoke_run_is_killed_with_its_candidate_or_without(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        here.work()
        first, second = here.child(HOPELESS), here.child(HOPELESS)
        for number, again in ((first, False), (second, True)):
            smoke = here.journal.start_smoke(number)
            assert f"Ending the smoke run of #{number}" in ann.does("kill", again=again)
            here.journal.finish_smoke(smoke, SmokeResult(Outcome.VOID, ann.killed))
        assert here.journal.candidate(first).verdict is Verdict.DROPPED
        assert [c.id for c in here.journal.queue()] == [second]
        assert ann.may_not("kill") == "No training is running."


# ---- measured again -----------------------------------------------------------------------------------------


def test_one_that_was_unlucky_lives_again_when_it_is_measured_again(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        here.answers[1] = at(2.0, 2.004, 1.996, 2.0)
        crowd(here)
        unlucky = here.child(at(2.13, 2.04))
        here.work()
        assert not here.journal.candidate(unlucky).alive
        ann.does("remeasure", unlucky, times=4)
        assert [c.id for c in here.journal.wished()] == [unlucky]
        here.work()
        again = here.journal.candidate(unlucky)
        assert (again.wanted, len(again.scores)) == (0, 5)
        assert (again.alive, again.verdict) == (True, Verdict.KEPT)
        assert again.verdict_reason == "Measured again, it is good enough to live."


def test_a_wish_outlives_the_engine_and_a_lost_training(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        number = crowd(here)[0]
        ann.does("remeasure", number)
        assignment = here.judge.next_assignment()
        assert assignment is not None
        assert (assignment.candidate, assignment.purpose) == (number, Purpose.CONFIRM)
        here.journal.start_experiment(number, assignment.purpose, assignment.seed)
    with desk(tmp_path) as here:
        lost = here.journal.running_experiment()
        assert lost is not None
        assert lost.wished
        here.journal.void_experiment(lost.id, "The engine ended before it did.")
        assert here.journal.candidate(number).state is CandidateState.JUDGED
        here.answers[number] = at(2.1)
        here.work()
        assert (here.journal.candidate(number).wanted, len(here.journal.candidate(number).scores)) == (0, 2)  # fmt: skip


def test_a_wish_is_taken_back_by_word_or_by_killing_its_training(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        number = crowd(here)[0]
        ann.does("remeasure", number, times=3)
        running = here.journal.start_experiment(number, Purpose.CONFIRM, 1)
        assert "is not measured again" in ann.does("kill")
        here.judge.settle(running, Result(Outcome.VOID, "Killed by ann.", seed=1))
        after = here.journal.candidate(number)
        assert (after.wanted, after.state, after.alive) == (0, CandidateState.JUDGED, True)
        ann.does("remeasure", number)
        ann.does("remeasure", number, times=0)
        assert here.step() is None


def test_what_has_no_score_is_not_measured_again(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        here.work()
        failed = here.child(crashed)
        here.work()
        waiting, dropped = here.child(HOPELESS), here.child(HOPELESS)
        ann.does("drop", dropped)
        assert "has no score (crash: ValueError: no)" in ann.may_not("remeasure", failed)
        assert "has not trained yet" in ann.may_not("remeasure", waiting)
        assert "was dropped" in ann.may_not("remeasure", dropped)
        assert "There is no candidate #99" in ann.may_not("remeasure", 99)
        assert "TIMES is a whole number from 0" in ann.may_not("remeasure", 1, times=-1)


def test_what_main_held_once_stays_promoted_when_it_crashes_at_another_try(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        better = here.child(at(1.9))
        here.work()
        best = here.child(at(1.8))
        here.work()
        assert here.journal.run().incumbent == best
        here.answers[better] = crashed
        ann.does("remeasure", better)
        here.work()
        assert here.journal.candidate(better).verdict is Verdict.PROMOTED
        assert here.journal.tally().promotions == 2


# ---- pins, bans, boosts -------------------------------------------------------------------------------------


def test_a_pin_brings_back_whom_the_search_turned_away(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        *_, away = crowd(here)
        failed = here.child(crashed)
        here.work()
        why = ann.may_not("pin", away)
        assert "no blind audit has looked at its score" in why
        assert f"`remeasure {away}`" in why
        ann.does("remeasure", away)
        here.work()
        assert not here.journal.candidate(away).alive  # it is the worst still
        assert ann.does("pin", away) == f"#{away} is pinned: it lives whatever comes."
        back = here.journal.candidate(away)
        assert (back.alive, back.verdict, back.verdict_reason) == (True, Verdict.KEPT, "Pinned by ann.")  # fmt: skip
        assert "cannot live: it has no score" in ann.may_not("pin", failed)
        ann.does("unpin", away)
        here.child(at(2.05))
        here.work()
        assert not here.journal.candidate(away).alive  # somebody better needed its place


def test_a_ban_is_taken_back_as_if_it_had_not_been(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        number = crowd(here)[0]
        ann.does("boost", number)
        ann.does("pin", number)
        ann.does("ban", number)
        banned = here.journal.candidate(number)
        assert (banned.alive, banned.pinned, banned.boosted, banned.banned) == (False, False, 0, True)  # fmt: skip
        assert "banned; unban it first" in ann.may_not("pin", number)
        assert "does not live" in ann.may_not("boost", number)
        ann.does("unban", number)
        assert here.journal.candidate(number).alive


def test_a_boost_comes_before_all_and_is_counted_by_children(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        _, second, away = crowd(here)
        able = {"builtin": BuiltinProposer().operators()}
        ann.does("boost", second, times=2)
        for seed in range(20):
            turns = standing(here.context, able).turns
            choice = choose(here.context, able, turns, random.Random(seed))
            assert choice is not None
            assert second in choice.parents
            assert choice.boosted == second
        here.child(HOPELESS, parents=(second,))
        assert here.journal.candidate(second).boosted == 1
        here.child(HOPELESS, parents=(1, second), operator=Operator.CROSSOVER)
        assert here.journal.candidate(second).boosted == 0
        assert "boost one of those that do" in ann.may_not("boost", away)


def test_a_boost_ends_with_its_candidates_place(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        worst = crowd(here)[1]
        ann.does("boost", worst, times=5)
        here.child(at(2.01))
        here.work()
        gone = here.journal.candidate(worst)
        assert (gone.alive, gone.boosted) == (False, 0)
        assert f"#{worst} leaves the population. Its boost ends." in here.told("population")


class Barren:
    """The built-in proposer, which finds no child of one candidate."""

    name = "builtin"

    def __init__(self, parent: int) -> None:
        self.parent, self.tried = parent, 0
        self._honest = BuiltinProposer()

    def operators(self) -> frozenset[Operator]:
        return self._honest.operators()

    async def propose(self, brief: Brief) -> Proposal:
        if self.parent in [view.id for view in brief.parents]:
            self.tried += 1
            raise ProposalFailed("nothing comes to mind")
        return await self._honest.propose(brief)


async def test_a_boost_in_vain_ends_and_the_search_goes_on(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        second = crowd(here)[1]
        ann.does("boost", second)
        barren = Barren(second)
        nursery = Nursery(here.context, barren, {})
        while not here.journal.queue():
            assert await nursery.urgent()
        assert barren.tried >= 2
        assert here.journal.candidate(second).boosted == 0
        assert f"The boost of #{second} ends: no new child of it was to be found." in here.told("population")  # fmt: skip
        assert second not in here.journal.queue()[0].parents


async def test_before_the_baseline_nobody_reads_of_a_full_queue(tmp_path: Path) -> None:
    with person(tmp_path) as (here, _):
        nursery = Nursery(here.context, Barren(1), {})
        idle = asyncio.create_task(nursery.run())
        await asyncio.sleep(0.1)
        idle.cancel()
        assert nursery.doing() == "waits until the baseline is trained; no language model"


# ---- the queue ----------------------------------------------------------------------------------------------


def test_a_child_is_moved_to_a_place(tmp_path: Path) -> None:
    with person(tmp_path) as (here, ann):
        here.work()
        a, b, c = (here.child(HOPELESS) for _ in range(3))

        def queue() -> list[int]:
            return [child.id for child in here.journal.queue()]

        assert ann.does("move", c, to="first") == f"#{c} is now number 1 in the queue."
        assert queue() == [c, a, b]
        ann.does("move", c, to="last")
        ann.does("move", c, to=2)
        assert queue() == [a, c, b]
        ann.does("move", a, by=5)
        assert queue() == [c, b, a]
        ann.does("move", b)
        assert queue() == [b, c, a]
        assert "no place in the queue" in ann.may_not("move", a, to="sideways")
        assert "is not in the queue" in ann.may_not("move", 1, to="first")
