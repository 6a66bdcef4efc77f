"""A smoke run for real: the script starts, steps and is evaluated in its cell, and no number comes of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from harness import experiment, rundir
from harness.ending import Verdict
from harness.spec import Budget, ExperimentSpec, Limits, Outcome, SmokeResult

ANCESTOR = Path(__file__).with_name("ancestors_form.py").read_text()
OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
SCRIPT = """
import torch
from prepare import MAX_SEQ_LEN, VOCAB_SIZE, Tokenizer, evaluate_bpb, make_dataloader
torch.set_num_threads(1)

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(VOCAB_SIZE, 16)
        self.head = torch.nn.Linear(16, VOCAB_SIZE)
    def forward(self, x):
        {forward}
        return self.head(self.embed(x))

model = Model()
optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
loader = make_dataloader(Tokenizer.from_directory(), 4, MAX_SEQ_LEN, "train")
for number, (x, y, epoch) in enumerate(loader):
    torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    if number % 2:  # two batches a step
        optimizer.step()
        optimizer.zero_grad()
        print("step", number // 2, "at", loader.progress, loader.warming, flush=True)
model.eval()
print("scored:", evaluate_bpb(model, None, 12))
{end}
"""

Smoke = Callable[..., SmokeResult]


def script(forward: str = "pass", end: str = "") -> str:
    return SCRIPT.format(forward=forward, end=end)


@pytest.fixture
def smoke(tiny_spec: ExperimentSpec, tmp_path: Path) -> Smoke:
    def smoke_it(
        source: str, cancelled: Callable[[], Verdict | None] = lambda: None, **changes: object
    ) -> SmokeResult:
        spec = replace(tiny_spec, source=source, **({"smoke_steps": 3} | changes))
        return experiment.try_out(spec, tmp_path / "smoke", lambda _: None, cancelled)

    return smoke_it


@pytest.mark.parametrize(
    "budget", [Budget("tokens", 10**9), Budget("seconds", 300)], ids=["tokens", "seconds"]
)
def test_a_sound_script_takes_its_steps_and_is_evaluated(smoke: Smoke, budget: Budget) -> None:
    begun = time.monotonic()
    result = smoke(script(), budget=budget)
    assert time.monotonic() - begun < 60  # and not the budget's five minutes
    assert result.outcome is Outcome.OK, result.log_tail
    assert result.reason == "Its first steps and an evaluation went well."
    assert result.log_tail.count("step ") == 3
    assert "step 0 at 0.0 True" in result.log_tail  # where a schedule begins, and beyond
    assert "step 2 at 0.666" in result.log_tail
    assert "scored: nan" in result.log_tail
    assert result.host_memory_mb
    assert result.peak_memory_mb is None  # there is no device
    assert list(result.timeline)[-3:] == ["scoring", "exit", "report"]
    assert SmokeResult.from_json(result.to_json()) == result


def test_its_result_has_no_place_for_a_score() -> None:
    assert not any("bpb" in f.name or "nats" in f.name for f in fields(SmokeResult))


def test_an_evaluation_that_crashes_is_told_in_full_for_no_validation_text_was_seen(
    smoke: Smoke,
) -> None:
    forward = "self.training or [][x.numel()]  # the classic: only evaluation goes here"
    result = smoke(script(forward))
    assert result.outcome is Outcome.CRASH
    assert "IndexError: list index out of range" in result.reason
    assert "the classic" in result.traceback


def test_running_out_of_memory_where_only_evaluation_needs_it(smoke: Smoke) -> None:
    forward = "self.training or torch.empty(1 << 60)"
    assert smoke(script(forward)).outcome is Outcome.OOM


def test_what_is_shown_is_neither_training_nor_validation_text(
    smoke: Smoke, tiny_dataset: Path
) -> None:
    result = smoke(script("print('ROWS', x.tolist(), flush=True)"))
    assert result.outcome is Outcome.OK
    shown = [
        tuple(row)
        for line in result.log_tail.splitlines()
        if line.startswith("ROWS")
        for row in eval(line.removeprefix("ROWS"))
    ]
    assert len(shown) == 6 * 4 + 2 * 12
    for name in ("train", "val", "sealed"):
        text = np.fromfile(tiny_dataset / f"{name}.bin", np.uint16).reshape(-1, 17)
        assert not {tuple(row) for row in text[:, :-1].tolist()} & set(shown)


def test_a_script_that_ends_badly_after_its_evaluation_has_come_through(smoke: Smoke) -> None:
    result = smoke(script(end="raise ValueError('the score is nan')"))
    assert result.outcome is Outcome.OK
    assert "After its evaluation, the script ended with exit status 1" in result.reason


def test_our_own_script_and_one_with_a_clock_of_its_own(smoke: Smoke) -> None:
    assert smoke(OURS, limits=Limits(120, threads=1)).outcome is Outcome.OK
    begun = time.monotonic()
    result = smoke(ANCESTOR, budget=Budget("seconds", 300))
    assert result.outcome is Outcome.OK, result.log_tail
    assert time.monotonic() - begun < 60


def test_nothing_is_waited_for_without_end(smoke: Smoke) -> None:
    stuck = script().replace("model.eval()", "import time; time.sleep(900)")
    result = smoke(stuck, limits=Limits(wall_seconds=6, threads=1))
    assert result.outcome is Outcome.TIMEOUT
    no_optimizer = script().replace("optimizer.step()", "pass")
    assert smoke(no_optimizer).outcome is Outcome.OK


KERNEL = """import os
from pathlib import Path
folder = Path(os.environ['TORCHINDUCTOR_CACHE_DIR'])
folder.mkdir(exist_ok=True)
print('finds', sorted(p.name for p in folder.iterdir()), flush=True)
(folder / 'of_the_training').touch()
"""


@pytest.mark.usefixtures("own_cache")
def test_what_it_compiles_is_there_when_the_training_starts(
    smoke: Smoke, tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    source = KERNEL + script("self.training or (folder / 'of_the_evaluation').touch()")
    assert "finds []" in smoke(source).log_tail
    spec = replace(tiny_spec, source=source, budget=Budget("tokens", 1280))
    trained = experiment.run(spec, tmp_path / "training", lambda _: None, lambda: None)
    assert trained.outcome is Outcome.OK
    assert "finds ['of_the_evaluation', 'of_the_training']" in trained.log_tail


def test_a_person_may_stop_it_and_nobody_prunes_it(smoke: Smoke) -> None:
    void = smoke(script(), lambda: Verdict(Outcome.VOID, "stopped"))
    assert (void.outcome, void.reason) == (Outcome.VOID, "stopped")
    assert smoke(script(), lambda: Verdict(Outcome.PRUNED, "hopeless")).outcome is Outcome.OK


def test_the_runner_leaves_it_where_an_engine_looks_for_it(
    tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    rundir.write_spec(tmp_path, replace(tiny_spec, source=script(), smoke_steps=2))
    argv = [sys.executable, "-m", "harness.experiment", str(tmp_path)]
    assert subprocess.run(argv, check=False).returncode == 0
    result = rundir.read_smoke(tmp_path)
    assert result is not None
    assert result.outcome is Outcome.OK
    assert rundir.read_result(tmp_path) is None
