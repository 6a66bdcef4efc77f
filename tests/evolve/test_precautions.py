"""Minutes that are not wasted: a real engine, real runners, real scripts; smoke runs, and trainings stopped early."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import git
import pytest

from evolve import pruning, smoking
from evolve.boot import Boot, boot
from evolve.briefs import brief
from evolve.engine import Engine
from evolve.judging import Judge
from evolve.model import Candidate, CandidateState, Operator, Purpose, Smoke, Verdict
from evolve.nursery import enrol
from evolve.places import EXPERIMENTS
from evolve.propose.operators import Proposal
from evolve.slot import DetachedSlot
from evolve.spec import experiment_spec, smoke_spec
from evolve.watching import Watch, switched_off_key
from evolve.workspace import create
from harness import rundir
from harness.spec import (
    CurvePoint,
    ExperimentSpec,
    Outcome,
    Progress,
    Result,
    SmokeResult,
)
from tests.evolve.test_engine import overrides, until
from tests.evolve.workbench import scored

RATE = "RATE = 0.01"
SCRIPT = f"""
import time

import torch
from prepare import MAX_SEQ_LEN, VOCAB_SIZE, Tokenizer, evaluate_bpb, make_dataloader

{RATE}
PAUSE = 0.0


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCAB_SIZE, 16)
        self.head = torch.nn.Linear(16, VOCAB_SIZE)

    def forward(self, x):
        return self.head(self.embed(x))


torch.set_num_threads(1)
tokenizer = Tokenizer.from_directory()
model = Model()
optimizer = torch.optim.AdamW(model.parameters(), RATE)
loader = make_dataloader(tokenizer, 8, MAX_SEQ_LEN, "train")
for step, (x, y, epoch) in enumerate(loader):
    loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    print(f"step {{step:05d}} | loss: {{loss.item():.6f}} | tok/sec: 1", flush=True)
    time.sleep(PAUSE)
model.eval()
print("val_bpb:", evaluate_bpb(model, tokenizer, 16))
"""
HOPELESS = SCRIPT.replace(RATE, "RATE = 0.0").replace("PAUSE = 0.0", "PAUSE = 0.05")
BREAKS = SCRIPT.replace(
    "        return self.head", "        self.training or {}['eval']\n        return self.head"
)


@contextmanager
def workspace(tmp_path: Path, name: str = "night", **more: str) -> Iterator[Boot]:
    """A booted engine whose script is the small one above."""
    folder = tmp_path / "work"
    create(folder)
    (folder / "trainer" / "train.py").write_text(SCRIPT)
    with git.Repo(folder) as repo:
        repo.index.add(["trainer/train.py"])
        repo.index.commit("a smaller script")
    settings = {"population.size": "3", "budget.tokens": "76800", "scoring.audit_probes": "32"}
    settings |= {"scoring.champion_probes": "64"} | more
    with boot(
        folder,
        overrides=overrides(tmp_path, **settings),
        name=name,
        allow_weak_sandbox=True,
        on_event=None,
    ) as ready:
        yield ready


def child(ready: Boot, source: str, **given: object) -> int:
    """Queue a child of the baseline."""
    number = ready.context.journal.next_candidate_id()
    proposal = Proposal(
        source=source,
        operator=Operator.MUTATE,
        proposer="builtin",
        parents=(1,),
        title=f"idea {number}",
        hypothesis="It may help.",
        category="schedule",
    )
    return enrol(ready.context, replace(proposal, **given), f"hash {number}")  # type: ignore[arg-type]


def settle(ready: Boot, answer: Callable[[Candidate, ExperimentSpec], Result]) -> None:
    """Let everything that waits be trained, with these answers for results."""
    journal, judge = ready.context.journal, Judge(ready.context)
    while (assignment := judge.next_assignment()) is not None:
        experiment = journal.start_experiment(
            assignment.candidate, assignment.purpose, assignment.seed
        )
        asked = experiment_spec(ready.context, experiment)
        judge.settle(experiment, answer(journal.candidate(assignment.candidate), asked))


def as_good_as_its_number(candidate: Candidate, spec: ExperimentSpec) -> Result:
    """The larger the number, the worse; the curve shows it."""
    quality = 0.02 * candidate.id
    curve = tuple(
        CurvePoint(i / 50, i / 5, 100 * i, 3 + 2.5 * math.exp(-4 * i / 50) + quality)
        for i in range(1, 51)
    )
    given = {"curve": curve, "total_seconds": 60.0, "host_memory_mb": 300.0}
    return scored(spec, 2 + quality + 0.001 * (spec.seed % 2), **given)


@contextmanager
def with_a_past(tmp_path: Path, name: str = "night", **more: str) -> Iterator[Boot]:
    """A run with a full population and seven candidates whose curves are known."""
    with workspace(tmp_path, name, **more) as ready:
        settle(ready, as_good_as_its_number)
        for number in range(2, 8):
            child(ready, f"{SCRIPT}\nCHILD = {number}\n" + "EXTRA = 1\n" * number)
        settle(ready, as_good_as_its_number)
        assert len(ready.context.journal.living()) == 3
        yield ready


@contextlib.asynccontextmanager
async def engine_at_work(ready: Boot, slot: DetachedSlot | None = None):  # type: ignore[no-untyped-def]
    engine = asyncio.create_task(Engine(ready, slot).run())
    try:
        yield engine
    finally:
        ready.context.stop("The test is over.", now=True)
        await asyncio.wait_for(engine, 30)


def told(ready: Boot, kind: str) -> list[str]:
    return [e.text for e in ready.context.journal.events(limit=5000) if e.kind == kind]


# ---- smoke runs ------------------------------------------------------------------------------------------


@pytest.mark.e2e
async def test_a_child_that_breaks_in_evaluation_costs_no_training(tmp_path: Path) -> None:
    with with_a_past(tmp_path, **{"vetting.smoke": "always"}) as ready:
        journal = ready.context.journal
        broken = child(ready, BREAKS)
        async with engine_at_work(ready):
            await until(lambda: journal.candidate(broken).verdict is not None)
        failed = journal.candidate(broken)
        assert (failed.verdict, failed.outcome) == (Verdict.FAILED, Outcome.CRASH)
        assert "before any training" in failed.verdict_reason
        assert not journal.experiments(broken)
        (smoke,) = journal.smokes(broken)
        assert "KeyError: 'eval'" in smoke.traceback
        assert smoke.seconds > 0
        # Whoever repairs it is told.
        (parent,) = brief(ready.context, Operator.REPAIR, (broken,), 1).parents
        assert "KeyError: 'eval'" in parent.traceback
        assert any("failed its smoke run (crash)" in text for text in told(ready, "smoke"))


@pytest.mark.e2e
async def test_the_next_engine_adopts_a_smoke_run_and_the_training_follows(tmp_path: Path) -> None:
    with with_a_past(tmp_path, **{"vetting.smoke": "always"}) as ready:
        context, journal = ready.context, ready.context.journal
        sound = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        smoke = journal.start_smoke(sound)
        directory = context.state / EXPERIMENTS / smoke.directory
        directory.mkdir(parents=True)
        rundir.write_spec(directory, smoke_spec(context, smoke))
        argv = [sys.executable, "-m", "harness.experiment", str(directory)]
        # Of an engine that is gone; the new one holds the lease again.
        argv += ["--lease", str(ready.lock.path), "--grace", "20"]
        runner = await asyncio.create_subprocess_exec(*argv)
        await until(lambda: rundir.is_running(directory))
        async with engine_at_work(ready):
            await until(lambda: journal.candidate(sound).outcome is not None)
        assert [s.outcome for s in journal.smokes(sound)] == [Outcome.OK]
        assert journal.candidate(sound).outcome is Outcome.OK
        tried = journal.smokes(sound)[0].finished
        assert tried is not None
        assert journal.experiments(sound)[0].started >= tried  # never beside each other
        assert await runner.wait() == 0


async def test_a_smoke_run_that_left_nothing_is_run_again(tmp_path: Path) -> None:
    with with_a_past(tmp_path, **{"vetting.smoke": "always"}) as ready:
        journal = ready.context.journal
        sound = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        journal.start_smoke(sound)  # and then kill -9, before a runner had begun
        async with engine_at_work(ready, Answering()):  # type: ignore[arg-type]
            await until(lambda: journal.candidate(sound).verdict is not None)
        assert [s.outcome for s in journal.smokes(sound)] == [Outcome.VOID, Outcome.OK]
        assert journal.candidate(sound).scores


async def test_a_training_that_only_lacks_its_score_is_the_same_training_still(
    tmp_path: Path,
) -> None:
    """What the slot brings back of it is its result; people are told."""
    with with_a_past(tmp_path) as ready:
        journal = ready.context.journal
        sound = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        experiment = journal.start_experiment(sound, Purpose.SCREEN, 0)
        directory = ready.context.state / EXPERIMENTS / journal.directory(experiment.id)
        directory.mkdir(parents=True)
        rundir.write_spec(directory, experiment_spec(ready.context, experiment))
        rundir.write_committed(directory, {})
        async with engine_at_work(ready, Scoring()):  # type: ignore[arg-type]
            await until(lambda: journal.candidate(sound).outcome is not None)
        (first,) = [e for e in journal.experiments(sound) if e.purpose is Purpose.SCREEN]
        assert (first.id, first.outcome, first.val_bpb) == (experiment.id, Outcome.OK, 2.3)
        assert told(ready, "scoring") == [
            f"#{sound} was trained before the engine ended; it is scored now."
        ]


class Answering:
    """A slot that only answers; it remembers what it was asked."""

    def __init__(self, smoke: SmokeResult | None = None) -> None:
        self.answer = smoke or SmokeResult(Outcome.OK, "fine")
        self.smoked: list[str] = []
        self.pruned: list[str] = []
        self.adopted = True  # what is running, by this slot

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        await asyncio.sleep(0.05)
        return scored(spec, 2.05)

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        assert spec.smoke_steps > 0
        assert not spec.audit.possible
        self.smoked.append(spec.name)
        await asyncio.sleep(0.01)
        return self.answer

    async def adopt(self, directory: Path) -> Result | None:
        return None

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        return None

    def prune(self, reason: str) -> bool:
        if self.adopted:
            self.pruned.append(reason)
        return self.adopted

    def stop(self, reason: str) -> None:
        pass


class Scoring(Answering):
    """It finds a training without a score, and scores it."""

    async def adopt(self, directory: Path) -> Result | None:
        return scored(rundir.read_spec(directory), 2.3)


SECONDS = {"budget.kind": "seconds", "budget.seconds": "5"}


@pytest.mark.parametrize(
    ("settings", "given", "smoked"),
    [
        (SECONDS, {}, True),
        (SECONDS, {"operator": Operator.TUNE}, False),
        (SECONDS, {"operator": Operator.TUNE, "category": "size"}, True),
        (SECONDS, {"operator": Operator.HUMAN}, True),
        ({}, {}, False),  # a rehearsal's training is as short
        ({"vetting.smoke": "always"}, {"operator": Operator.TUNE}, True),
        (SECONDS | {"vetting.smoke": "never"}, {}, False),
    ],
)
async def test_who_is_tried_out_first(
    tmp_path: Path, settings: dict[str, str], given: dict[str, object], smoked: bool
) -> None:
    with with_a_past(tmp_path, **settings) as ready:
        slot, journal = Answering(), ready.context.journal
        number = child(ready, f"{SCRIPT}\nCHILD = 9\n", **given)
        async with engine_at_work(ready, slot):  # type: ignore[arg-type]
            await until(lambda: journal.candidate(number).verdict is not None)
        assert [s.outcome for s in journal.smokes(number)] == [Outcome.OK] * smoked
        assert journal.candidate(number).scores


async def test_a_void_smoke_run_fails_nobody(tmp_path: Path) -> None:
    slot = Answering(SmokeResult(Outcome.VOID, "The GPU is in use."))
    with with_a_past(tmp_path, **{"vetting.smoke": "always"}) as ready:
        number = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        async with engine_at_work(ready, slot):  # type: ignore[arg-type]
            await until(lambda: ready.context.journal.candidate(number).verdict is not None)
        assert ready.context.journal.candidate(number).scores
        assert any("could not be tried: The GPU is in use." in t for t in told(ready, "smoke"))


def test_memory_above_the_soft_limit_is_told_and_nothing_more(tmp_path: Path) -> None:
    with workspace(tmp_path, **{"metric.memory_limit_mb": "1000"}) as ready:
        settle(ready, as_good_as_its_number)
        number = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        smoke = ready.context.journal.start_smoke(number)
        smoking.settle(ready.context, smoke, SmokeResult(Outcome.OK, "", 8.0, 1500.0))
        assert ready.context.journal.candidate(number).state is CandidateState.READY
        assert told(ready, "smoke")[-1] == (
            f"#{number} came through its smoke run in 8.0 s, 1,500 MB of the device at its peak. "
            "That is above the soft limit of 1,000 MB."
        )


def test_a_failed_smoke_run_of_a_dropped_candidate_changes_nothing(tmp_path: Path) -> None:
    with workspace(tmp_path) as ready:
        journal = ready.context.journal
        settle(ready, as_good_as_its_number)
        number = child(ready, f"{SCRIPT}\nCHILD = 9\n")
        smoke: Smoke = journal.start_smoke(number)
        journal.drop_candidate(number, "Dropped by a tester.")
        journal.finish_smoke(smoke, SmokeResult(Outcome.OOM, "Out of memory."))
        assert journal.candidate(number).state is CandidateState.DROPPED
        assert journal.running_smoke() is None


# ---- trainings that cannot win any more ------------------------------------------------------------------


def name_with_lot(spared: bool, experiment: int) -> str:
    """A run's name under which this experiment is let finish, or not, by a rule that was never tested."""
    names = (f"night{n}" for n in range(1000))
    return next(n for n in names if pruning.is_spared(n, experiment, pruning.FIRST_SHARE) is spared)


@pytest.mark.e2e
async def test_a_learning_rate_of_nothing_is_stopped_early(tmp_path: Path) -> None:
    with with_a_past(tmp_path) as ready:
        count = len(ready.context.journal.all_experiments())
    with with_a_past(tmp_path / "2", name_with_lot(False, count + 1)) as ready:
        journal = ready.context.journal
        number = child(ready, HOPELESS)
        async with engine_at_work(ready):
            await until(lambda: journal.candidate(number).verdict is not None)
        (training,) = journal.experiments(number)
        found = journal.candidate(number)
        assert training.outcome is Outcome.PRUNED
        assert training.val_bpb is None
        assert training.pruning is not None
        assert training.pruning["spared"] is False
        assert training.train_tokens < 0.9 * 76800
        assert (found.verdict, found.alive, found.scores) == (Verdict.REJECTED, False, ())
        assert found.verdict_reason.startswith("Stopped early at ")
        assert any(t.startswith(f"#{number} stopped early at") for t in told(ready, "pruned"))
        assert pruning.pruning_report(journal.all_experiments()).startswith("1 stopped early")
        # Whoever proposes next hears of it.
        (attempt,) = (
            a for a in brief(ready.context, Operator.TUNE, (1,), 1).history if a.id == number
        )
        assert (attempt.status, attempt.delta_bpb) == ("pruned", None)


class Bench:
    """The watch over a training whose progress is written here."""

    def __init__(self, ready: Boot, source: str = HOPELESS, **given: object) -> None:
        self.ready, self.journal = ready, ready.context.journal
        self.slot = Answering()
        self.watch = Watch(ready.context, self.slot)  # type: ignore[arg-type]
        self.number = child(ready, source, **given)
        self.experiment = self.journal.start_experiment(self.number, Purpose.SCREEN, 0)
        directory = ready.context.state / EXPERIMENTS / self.journal.directory(self.experiment.id)
        directory.mkdir(parents=True)
        self.progress = directory / rundir.PROGRESS

    def print(self, upto: float, loss: float = 5.7, phase: str = "training") -> None:
        lines = [
            Progress(phase, 0.0, i / 50, step=i, loss=loss)  # type: ignore[arg-type]
            for i in range(1, round(50 * upto) + 1)
        ]
        with rundir.progress_writer(self.progress.parent):
            pass
        self.progress.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines))
        self.watch.look()

    @property
    def said(self) -> dict[str, object] | None:
        return self.journal.experiments(self.number)[-1].pruning


def test_it_is_looked_at_from_a_third_of_the_budget_on(tmp_path: Path) -> None:
    with with_a_past(tmp_path) as ready:
        bench = Bench(ready)
        bench.watch.look()
        bench.print(0.28)
        assert bench.said is None
        bench.print(0.32)
        assert bench.said is not None
        assert bench.said["fraction"] == 0.3
        assert bool(bench.slot.pruned) is not bench.said["spared"]


@pytest.mark.parametrize("spared", [True, False])
def test_the_lot_decides_who_finishes_and_a_restart_keeps_to_it(
    tmp_path: Path, spared: bool
) -> None:
    with with_a_past(tmp_path) as ready:
        count = len(ready.context.journal.all_experiments())
    with with_a_past(tmp_path / "2", name_with_lot(spared, count + 1)) as ready:
        bench = Bench(ready)
        bench.print(0.5)
        assert bench.said is not None
        assert bench.said["spared"] is spared
        assert len(bench.slot.pruned) == (not spared)
        bench.print(0.95)
        assert len(bench.slot.pruned) == (not spared)
        # The next engine: what was written down before is done, once the slot has adopted the runner.
        again = Watch(ready.context, bench.slot)  # type: ignore[arg-type]
        bench.slot.adopted = False
        again.look()
        assert len(bench.slot.pruned) == (not spared)
        bench.slot.adopted = True
        again.look()
        again.look()
        assert len(bench.slot.pruned) == 2 * (not spared)


def test_whom_nobody_stops(tmp_path: Path) -> None:
    with with_a_past(tmp_path) as ready:
        journal = ready.context.journal

        def end(bench: Bench) -> None:
            assert bench.said is None
            journal.finish_experiment(
                bench.experiment.id, Result(Outcome.CRASH, "over"), CandidateState.JUDGED
            )
            journal.judge(bench.number, Verdict.FAILED, "over", alive=False)

        human = Bench(ready, operator=Operator.HUMAN)
        human.print(0.95)
        end(human)
        good = Bench(ready)
        good.print(0.95, loss=3.1)
        end(good)
        silent = Bench(ready)
        silent.print(0.95, loss=math.nan)
        end(silent)
        scoring = Bench(ready)
        scoring.print(0.95, phase="scoring")
        end(scoring)
        pinned = Bench(ready)
        journal.mark(pinned.number, pinned=True)
        pinned.print(0.95)
        end(pinned)
        other_loss = Bench(ready, HOPELESS.replace("loss.backward()", "(loss * 2).backward()"))
        other_loss.print(0.95)
        end(other_loss)
        # With room in the population, any score is welcome.
        ready.context.settings = ready.context.settings.model_copy(
            update={"population": ready.context.settings.population.model_copy(update={"size": 9})}
        )
        welcome = Bench(ready)
        welcome.print(0.95)
        end(welcome)


def test_a_rule_that_lies_is_switched_off_and_stays_off(tmp_path: Path) -> None:
    with with_a_past(tmp_path) as ready:
        journal, watch = ready.context.journal, Watch(ready.context, Answering())  # type: ignore[arg-type]
        for _ in range(2):
            bench = Bench(ready)
            doomed = pruning.Doom(0.45, 5.7, 3.0, 2.3, 0.001, spared=True)
            journal.note_pruning(bench.experiment.id, doomed.data(), doomed.sentence())
            assert not told(ready, "pruning")
            result = Result(Outcome.OK, "fine", val_bpb=2.1)
            journal.finish_experiment(bench.experiment.id, result, CandidateState.JUDGED)
            watch.settled()
        (text,) = told(ready, "pruning")
        assert text.startswith("Trainings are not stopped early any more in this run: 2 of 2")
        watch.settled()
        assert len(told(ready, "pruning")) == 1
        assert journal.meta(switched_off_key("night")) == text
        bench = Bench(ready)
        bench.print(0.95)
        assert bench.said is None
