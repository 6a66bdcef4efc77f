"""How the search stands, as clients see it: the engine's own beliefs, computed anew only when something has happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.client import Client
from evolve.model import CandidateState, Purpose, Verdict
from evolve.outlook import POLICY, Look, Watch
from evolve.propose.operators import Asked, Usage
from harness.spec import Outcome, Result
from tests.evolve.workbench import add, baseline, judged, open_journal, result, train


def test_a_look_believes_what_the_engine_believes(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal, 1.0, 1.004, 0.998)
        lucky = judged(journal, 0.99, Verdict.KEPT)
        judged(journal, None, Verdict.FAILED)
        client = Client(tmp_path)
        outlook = client.snapshot().outlook
        assert outlook.beliefs.keys() == {1, lucky}  # main and the living; a failure has no score
        once, main = outlook.beliefs[lucky], outlook.beliefs[1]
        assert (main.better, main.n, main.word) == (None, 3, "confirmed")
        assert (once.n, once.word) == (1, "provisional")
        assert 0.99 < once.mean < main.mean  # drawn towards its parent
        assert once.better is not None
        assert 0 < once.better < 1
        assert outlook.noise is not None
        assert outlook.noise.n == 2
        assert client.beliefs() == Look(journal, 1).beliefs() == outlook.beliefs
        (trend,) = client.trends("category")
        assert outlook.trends == (trend,)
        assert (trend.attempts, trend.failed, trend.latest) == (2, 1, "kx")
        client.close()


def test_it_is_computed_again_when_a_training_has_ended_and_not_before(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal, 1.0, 1.004)
        watch, run = Watch(), journal.run()
        first = watch.outlook(journal, run, {1})
        journal.record_event("llm", "Something was said.")
        assert watch.outlook(journal, run, {1}).trends is first.trends
        child = add(journal, 1)
        train(journal, child, 0.99)
        after = watch.outlook(journal, run, {1, child})
        assert after.beliefs.keys() == {1, child}
        assert after.trends[0].pending == 1
        assert after.beliefs[1] != first.beliefs[1]  # a child says something about its parent


def test_the_noise_is_unknown_until_something_was_repeated(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        assert Client(tmp_path).snapshot().outlook.noise is None
        train(journal, 1, 1.01, Purpose.INCUMBENT, then=journal.candidate(1).state)
        noise = Client(tmp_path).snapshot().outlook.noise
        assert noise is not None
        assert noise.n == 1


def test_the_policy_is_the_one_that_the_engine_follows_now(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        assert Client(tmp_path).snapshot().outlook.policy == "confirmed"
        journal.set_meta(POLICY.format(journal.run().name), "greedy")  # as a resumed engine does
        assert Client(tmp_path).snapshot().outlook.policy == "greedy"


def test_what_was_stopped_early_is_told_with_its_audit(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        assert Client(tmp_path).snapshot().outlook.pruned is None
        doomed = {"fraction": 0.45, "loss": 3.2, "score": 1.2, "limit": 1.05, "chance": 0.01}
        for spared, score in ((False, None), (True, 1.19), (True, 1.01)):
            child = add(journal, 1)
            experiment = journal.start_experiment(child, Purpose.SCREEN, 0)
            journal.note_pruning(experiment.id, doomed | {"spared": spared}, "Doomed.")
            pruned = Result(Outcome.PRUNED, "Stopped early at 45%.")
            ended = pruned if score is None else result(score)
            journal.finish_experiment(experiment.id, ended, CandidateState.JUDGED)
        found = Client(tmp_path).snapshot().outlook.pruned
        assert found is not None
        assert (found.stopped, found.spared, found.wrong, found.failed) == (1, 2, 1, False)
        assert "1 of 2" in found.words


def test_calls_are_counted_as_they_end(tmp_path: Path) -> None:
    with open_journal(tmp_path) as journal:
        baseline(journal)
        client = Client(tmp_path)
        assert client.snapshot().outlook.calls == ()
        call = journal.reserve_call(
            model="m", asked=Asked("mutate", (1,)), request="{}", request_sha="s", dollars=0.5
        )
        journal.refuse_call(
            call,
            category="bio",
            error="no",
            usage=Usage(input_tokens=10, cache_read_tokens=30),
            dollars=0.1,
            seconds=1.0,
        )
        (figures,) = client.snapshot().outlook.calls
        assert (figures.calls, figures.refused, figures.dollars) == (1, 1, pytest.approx(0.1))
        assert figures.cached_share == 0.75
        client.close()
