"""[metric] in a run: what was measured is weighed, what cannot be measured is refused, and main moves on fitness.

A booted engine's own judge with a real journal, git and data set; only the trainings are answers made up here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evolve import fitness
from evolve.briefs import review
from evolve.client import Client
from evolve.model import EvolveError, Verdict
from evolve.sections import Metric, Settings
from harness import device
from harness.spec import CurvePoint, ExperimentSpec, Outcome, Result
from tests.evolve.test_scrutiny import Answer, desk, honest

FAST = {"metric.tokens_per_second": "0.1"}


def fast(bpb: float, speed: float, memory: float = 500.0) -> Answer:
    def answer(spec: ExperimentSpec) -> Result:
        return replace(honest(bpb, speed=speed)(spec), host_memory_mb=memory)

    return answer


def curve(wobble: float) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(i / 60, i, 100 * i, 3.0 - i / 60 + wobble * (-1) ** i) for i in range(61)
    )


def test_by_default_fitness_is_the_score_itself(tmp_path: Path) -> None:
    with desk(tmp_path) as here:
        number = here.child(fast(1.9876543210987654, 2000.0))
        here.work()
        for trained in here.journal.all_experiments():
            assert trained.fitness == trained.val_bpb
        assert here.journal.candidate(number).fitness == here.journal.candidate(number).scores
        fingerprint = here.journal.run().fingerprint
        assert (fingerprint["metric"], fingerprint["memory_limit"]) == ("val_bpb", "none")


def test_speed_is_priced_against_the_first_training_of_the_baseline(tmp_path: Path) -> None:
    with desk(tmp_path, **FAST) as here:
        here.answers[1] = fast(2.0, 1000.0)
        number = here.child(fast(2.05, 2000.0))
        while not here.journal.candidate(number).scores:
            here.step()
        first = here.journal.experiments(number)[0]
        assert first.val_bpb == 2.05
        assert first.fitness == pytest.approx(1.95)
        assert here.journal.experiments(1)[0].fitness == 2.0
        assert here.journal.run().fingerprint["metric"] == "val_bpb, 0.1 for twice the speed"
        assert all(s.audit.below is None for s in here.specs)  # the score alone tells too little


def test_whoever_proposes_and_whoever_looks_is_told_what_counts(tmp_path: Path) -> None:
    with desk(tmp_path, **FAST, **{"metric.memory_limit_mb": "900"}) as here:
        here.answers[1] = fast(2.0, 1000.0)
        here.step()
        told = (
            "(selection goes by val_bpb, 0.1 for twice the speed; memory softly limited to 900 MB, 0.5 for "
            "twice as much)"
        )
        assert told in here.journal.run().reason
        assert told in review(here.context).budget
        outlook = Client(here.context.workspace).snapshot().outlook
        assert outlook.goes_by == "val_bpb, 0.1 for twice the speed"
        assert outlook.memory_limit == "900 MB, 0.5 for twice as much"


def test_a_figure_that_nothing_here_measures_is_refused_before_anything_starts() -> None:
    """The driver knows no GPU 99, so this machine is one without NVML."""
    machine = replace(device.detect(), gpus=(device.Gpu(99, "H100", 80_000, "570", ""),))
    assert fitness.weights(
        Settings(), machine, "cuda:0"
    ).plain  # the soft limit is off, and boot says so
    for asked in ({"peak_memory": 0.01}, {"memory_limit_mb": 70_000}):
        settings = Settings(metric=Metric(**asked))
        with pytest.raises(
            EvolveError, match=r"\[metric\] .* needs the memory in use on cuda:0.*gpu"
        ):
            fitness.weights(settings, machine, "cuda:0")
    assert fitness.weights(Settings(), machine, "cpu").plain
    on_cpu = fitness.weights(Settings(metric=Metric(memory_limit_mb=900)), machine, "cpu")
    assert (on_cpu.limited, on_cpu.composite) == (True, False)


def test_main_moves_to_a_faster_child_with_a_worse_score_and_only_where_speed_pays(
    tmp_path: Path,
) -> None:
    for weights, verdict in ((FAST, Verdict.PROMOTED), ({}, Verdict.KEPT)):
        with desk(tmp_path / str(verdict), **weights) as here:
            here.answers[1] = fast(2.0, 1000.0)
            number = here.child(fast(2.05, 2000.0))
            here.work()
            found = here.journal.candidate(number)
            assert found.verdict is verdict, found.verdict_reason
            if verdict is Verdict.PROMOTED:  # worse on the sealed rows by what was meant
                assert found.sealed_gain == pytest.approx(-0.05)


def test_worse_on_the_sealed_rows_by_more_than_its_speed_is_worth_stays_out(tmp_path: Path) -> None:
    def learned_by_heart(spec: ExperimentSpec) -> Result:
        result = fast(2.05, 2000.0)(spec)
        return replace(result, sealed_bpb=2.2 if spec.sealed else None)

    with desk(tmp_path, **FAST) as here:
        here.answers[1] = fast(2.0, 1000.0)
        number = here.child(learned_by_heart)
        here.work()
        found = here.journal.candidate(number)
        assert (found.verdict, here.journal.run().incumbent) == (Verdict.REJECTED, 1)
        assert "on the sealed ones" in found.verdict_reason


def test_memory_beyond_the_soft_limit_costs(tmp_path: Path) -> None:
    limit = {"metric.memory_limit_mb": "1000", "metric.memory_penalty": "0.5"}
    with desk(tmp_path, **limit) as here:
        here.answers[1] = fast(2.0, 1000.0)
        greedy = here.child(fast(1.99, 1000.0, memory=1100.0))
        here.work()
        assert here.journal.candidate(greedy).fitness[0] == pytest.approx(1.99 + 0.05)
        assert here.journal.run().incumbent == 1
        assert here.journal.run().fingerprint["memory_limit"] == "1,000 MB, 0.5 for twice as much"


def test_lines_are_those_of_the_code_and_not_of_its_comments(tmp_path: Path) -> None:
    with desk(tmp_path, **{"metric.lines": "0.1"}) as here:
        number = here.child(honest(2.0))
        source = here.context.lineage.source(here.journal.candidate(1).commit)
        padded = source.replace("\n", "\n# a comment\n", 40)
        wordy = here.child(honest(2.0), source=padded)
        while not here.journal.candidate(wordy).scores:
            here.step()
        same, longer = (here.journal.experiments(n)[0].fitness for n in (wordy, number))
        assert same == 2.0
        assert longer is not None
        assert 2.0 < longer < 2.01  # five lines more than the baseline


def test_a_script_that_keeps_a_figure_back_fails_by_name(tmp_path: Path) -> None:
    with desk(tmp_path, **{"metric.stability": "0.1"}) as here:
        here.answers[1] = lambda spec: replace(honest(2.0)(spec), curve=curve(0.01))
        rough = here.child(lambda spec: replace(honest(2.0)(spec), curve=curve(0.3)))
        silent = here.child(honest(1.5))
        here.work()
        worth = here.journal.candidate(rough).fitness[0]
        assert 2.02 < worth < 2.06
        found = here.journal.candidate(silent)
        assert (found.verdict, found.outcome, found.scores) == (
            Verdict.FAILED,
            Outcome.INVALID,
            (),
        )
        assert "[metric] stability needs a figure" in found.verdict_reason
        assert "it printed fewer than 18 losses" in found.verdict_reason


def test_what_the_machine_failed_to_measure_is_measured_again(tmp_path: Path) -> None:
    with desk(tmp_path, **{"metric.peak_memory": "0.1"}) as here:
        here.answers[1] = fast(2.0, 1000.0, memory=800.0)
        number = here.child(honest(1.9))  # no figure of memory comes with it
        while not here.journal.experiments(number):
            here.step()
        (lost,) = here.journal.experiments(number)
        assert (lost.outcome, lost.val_bpb, lost.fitness) == (Outcome.VOID, None, None)
        assert "its memory could not be measured" in lost.reason
        here.answers[number] = fast(1.9, 1000.0, memory=400.0)
        here.work()
        assert here.journal.candidate(number).fitness[0] == pytest.approx(1.8)


def test_a_run_does_not_go_on_under_other_weights(tmp_path: Path) -> None:
    with desk(tmp_path, **FAST) as here:
        assert here.journal.run().fingerprint["metric"] != "val_bpb"
    with (
        pytest.raises(EvolveError, match=r"metric = val_bpb, 0\.1 for twice the speed"),
        desk(tmp_path, **{"metric.tokens_per_second": "0.2"}),
    ):
        pass
