"""The ancestor's train.py, and what is written in its form, runs as it is: on real experiments."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import sandbox
from harness.spec import Budget, Outcome, Result

Run = Callable[..., Result]
SCRIPT = (Path(__file__).parent / "ancestors_form.py").read_text()
BUDGET = Budget("seconds", 3.0, overrun=0.1)  # the ancestor's own share is 3 %, of 300 s
ANCESTOR = os.environ.get("AUTORESEARCH_ANCESTOR", "")


def edited(source: str, **changes: object) -> str:
    """A script with other constants; each must stand on a line of its own."""
    lines = source.splitlines()
    for name, value in changes.items():
        (place,) = (n for n, line in enumerate(lines) if line.startswith(f"{name} = "))
        lines[place] = f"{name} = {value}"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("accumulation", [1, 2, 16])
def test_its_own_clock_ends_it_in_time_and_counts_no_random_batch(
    run: Run, accumulation: int
) -> None:
    result = run(edited(SCRIPT, ACCUMULATION=accumulation), budget=BUDGET)
    assert result.outcome is Outcome.OK, result.log_tail
    assert result.val_bpb is not None
    assert result.val_bpb < 1.6  # it learned: one of 63 tokens at random is 1.99 bits a byte
    assert result.summary["warm"] == str(11 * accumulation)
    assert result.summary["counted_warm"] == "0"
    # Both clocks ran together: ours started with the batch before the script's, and no step earlier.
    step = 3.0 / (int(result.summary["num_steps"]) - 11)
    assert 3.0 <= result.train_seconds < 3.0 * 1.1 + 2 * step
    assert "SDPA, with short windows by mask, stands in for varunneal/" in result.log_tail
    assert result.curve[-1].loss < result.curve[0].loss


def test_a_clock_that_is_late_is_helped_to_its_end(run: Run) -> None:
    """It leaves half of each step out of its time, and would come after the overrun is spent."""
    late = SCRIPT.replace("    t0 = time.time()\n", "    time.sleep(0.02)\n    t0 = time.time()\n")
    result = run(late, budget=Budget("seconds", 1.0, overrun=0.1))
    assert result.outcome is Outcome.OK, result.log_tail
    assert 1.1 <= result.train_seconds < 1.1 + 3
    assert result.summary["counted_warm"] == "0"


PATIENT = """
import torch
from prepare import MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader
tokenizer = Tokenizer.from_directory()
model = torch.nn.Sequential(torch.nn.Embedding(64, 8), torch.nn.Linear(8, 64))
optimizer = torch.optim.AdamW(model.parameters())
loader = make_dataloader(tokenizer, 8, MAX_SEQ_LEN, 'train')
ended = 0
while True:
    try:
        x, y, epoch = next(loader)
    except StopIteration as end:
        print(end)
        break
    ended += loader.progress == 1
    torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
    optimizer.step()
print('after the end:', ended)
evaluate_bpb(model, tokenizer, 8)
"""


def test_a_script_that_waits_for_the_end_of_the_rows_hears_of_it_in_time(run: Run) -> None:
    result = run(PATIENT, budget=Budget("seconds", 0.5, overrun=0.0))
    assert result.outcome is Outcome.OK, result.log_tail
    assert "the training budget is spent: iterate" in result.log_tail
    assert "after the end: 2" in result.log_tail  # two more steps, on a batch that it had


def test_a_loss_that_is_no_number_is_a_failure_and_no_score(run: Run) -> None:
    result = run(edited(SCRIPT, RATE="float('inf')"), budget=BUDGET)
    assert result.outcome is Outcome.NAN, result.reason
    assert result.log_tail.rstrip().endswith("FAIL")
    assert result.val_bpb is None


def as_of(ref: str) -> str:
    """train.py of the ancestor at `ref`, in a clone or in a bare mirror."""
    for name in (ref, f"origin/{ref}"):
        line = ["git", "-C", ANCESTOR, "show", f"{name}:train.py"]
        found = subprocess.run(line, capture_output=True, text=True)
        if not found.returncode:
            return found.stdout
    raise AssertionError(f"{ANCESTOR} has no {ref}: {found.stderr}")


# What a machine without a GPU cannot do; everything else is the ancestor's.
FOR_A_CPU = {
    "torch.cuda.get_device_capability()": "(0, 0)",
    'torch.device("cuda")': 'torch.device("cpu")',
    'device_type="cuda"': 'device_type="cpu"',
    "torch.cuda.synchronize()": "pass",
    "dynamic=False": 'dynamic=False, backend="eager"',  # minutes of a C++ compiler otherwise
}
SMALL = {"ASPECT_RATIO": 32, "HEAD_DIM": 32, "DEPTH": 2, "DEVICE_BATCH_SIZE": 16}


@pytest.mark.skipif(
    not ANCESTOR,
    reason="AUTORESEARCH_ANCESTOR names no clone or mirror of karpathy/autoresearch",
)
@pytest.mark.parametrize("accumulation", [1, 2, 16])
@pytest.mark.parametrize("ref", ["master", "exp/H100/mar8"])
def test_the_ancestors_own_script_is_trained_and_scored(
    run: Run, ref: str, accumulation: int
) -> None:
    source = as_of(ref)
    for gpu, cpu in FOR_A_CPU.items():
        assert gpu in source
        source = source.replace(gpu, cpu)
    source = edited(source, **SMALL, TOTAL_BATCH_SIZE=accumulation * 16 * 16)
    level = sandbox.probe().level
    result = run(source, sandbox=level, budget=Budget("seconds", 4.0, overrun=0.1))
    assert result.outcome is Outcome.OK, result.log_tail
    assert result.val_bpb is not None
    assert result.val_bpb < 1.9  # it learned
    assert result.summary["depth"] == "2"
    assert float(result.summary["training_seconds"]) >= 4.0
    assert 4.0 <= result.train_seconds < 4.0 * 1.1 + 3
    assert f"Gradient accumulation steps: {accumulation}" in result.log_tail
