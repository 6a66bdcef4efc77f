"""Scoring on a real GPU: logits travel and are judged there, and the score is the textbook's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import harness
from harness import sandbox
from harness.intake import CudaIntake, open_device_intake, pinned
from harness.judging import cross_entropy
from harness.spec import Budget, Outcome, Result
from harness.wire import make_plane

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")

SCRIPT = """
import sys
import torch
from torch.nn import functional
from prepare import MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader

class Model(torch.nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, 24)
        self.head = torch.nn.Linear(24, vocabulary)

    def forward(self, x):
        return self.head(self.embed(x)).{kind}()

torch.manual_seed(3)
model = Model(64).to('cuda')
optimizer = torch.optim.AdamW(model.parameters(), 0.02)
for x, y, epoch in make_dataloader(Tokenizer.from_directory(), 8, MAX_SEQ_LEN, 'train'):
    functional.cross_entropy(model(x).float().flatten(0, 1), y.flatten()).backward()
    optimizer.step()
    optimizer.zero_grad()
{place}
print('scored', evaluate_bpb(model, None, {batch}))
"""


@pytest.mark.parametrize("kind", ["float", "half", "bfloat16", "double"])
@pytest.mark.parametrize("batch", [1, 7, 12, 50])
def test_a_score_does_not_depend_on_where_and_how_logits_travel(
    run: Callable[..., Result], kind: str, batch: int
) -> None:
    def bpb(kind: str, batch: int, place: str = "") -> float:
        result = run(
            SCRIPT.format(kind=kind, batch=batch, place=place),
            device="cuda:0",
            sandbox=sandbox.probe().level,
            budget=Budget("tokens", 20_000),
        )
        assert result.outcome is Outcome.OK, (result.reason, result.log_tail)
        assert result.val_bpb is not None
        return result.val_bpb

    expected = bpb("float", 50, place="model.to('cpu'); model.forward = "
                   "lambda x: model.head(model.embed(x.cpu())).float()")  # fmt: skip
    tolerance = 1e-2 if kind == "bfloat16" else 1e-3
    assert bpb(kind, batch) == pytest.approx(expected, abs=tolerance)


def test_copies_of_many_slots_are_each_scored_from_their_own_bytes() -> None:
    count, rows, length, vocabulary = 6, 2, 64, 512
    size = rows * length * vocabulary * 2
    _, plane = make_plane("test", count * size)
    intake = CudaIntake(pinned(plane), count)
    shared = torch.frombuffer(plane, dtype=torch.float16).view(count, rows, length, vocabulary)
    targets = torch.randint(0, vocabulary, (rows, length))
    expected, found, given = [], [], 0
    for turn in range(30):
        slot = turn % count
        while turn - given >= count:  # as a candidate does: write only what was given back
            intake.wait()
            given += len(intake.complete())
        shared[slot] = 5 * torch.randn(rows, length, vocabulary)
        expected.append(cross_entropy(shared[slot], targets))
        logits = intake.take(slot, size).view(torch.float16).view(rows, length, vocabulary)
        found.append(cross_entropy(logits, targets.cuda()))
        intake.scored(slot)
    for here, there in zip(expected, found, strict=True):
        assert torch.allclose(here, there.cpu(), atol=1e-4)


def test_device_memory_is_shared_by_its_descriptor(tmp_path: Path) -> None:
    """Another process, in the sandbox, writes into it what this one reads."""
    guest = Path(harness.__file__).parent / "guest"
    lent = open_device_intake(1 << 20, 2, lambda intake: None)
    assert lent
    descriptor, intake = lent
    code = (
        f"import prepare_device; shared = prepare_device.borrow({descriptor}, 2 << 20); "
        "shared.fill_(7); shared[5] = 9; import torch; torch.cuda.synchronize()"
    )
    mount = sandbox.Mount(guest, "/guest")
    level = sandbox.probe().level
    with sandbox.command(
        level,
        [sys.executable, "-c", code],
        folder=tmp_path,
        mounts=[mount],
        environment={"PYTHONPATH": mount.seen(level), "PATH": os.defpath},
        gpu=True,
    ) as cell:
        passed = (descriptor, *cell.descriptors)
        subprocess.run(cell.argv, env=cell.environment, check=True, pass_fds=passed, timeout=120)
    copy = intake.take(0, 16)
    torch.cuda.synchronize()
    assert copy.tolist() == [7] * 5 + [9] + [7] * 10
