"""Logits on their way to the scorer: half the bytes, and the same score."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional

import harness
from harness.judging import Judge, cross_entropy

V, T, ROWS = 512, 16, 64
BYTES_A_TOKEN = 4  # a usual vocabulary; fewer bytes would enlarge an error of bpb


@pytest.fixture
def exam(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(Path(harness.__file__).parent / "guest"))
    yield importlib.import_module("prepare_exam")
    for name in ("prepare_exam", "prepare_wire"):
        sys.modules.pop(name, None)


def score(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """Bits per byte by the trusted side's arithmetic."""
    rows = np.zeros((ROWS, T + 1), np.uint16)
    rows[:, 1:] = targets.numpy()
    judge = Judge(rows, np.full(V, BYTES_A_TOKEN, np.int32))
    judge.begin("cpu")
    for first in range(0, ROWS, 24):
        judge.score(first, logits[first : first + 24])
    return judge.tally(judge.finish(), slice(None)).bpb


def textbook(logits: torch.Tensor, targets: torch.Tensor) -> float:
    nats = functional.cross_entropy(logits.double().flatten(0, 1), targets.flatten())
    return float(nats) / math.log(2) / BYTES_A_TOKEN


def sample(logits: torch.Tensor) -> torch.Tensor:
    """Targets as a model that is right about its own uncertainty meets them."""
    generator = torch.Generator().manual_seed(1)
    chances = logits.double().softmax(-1).flatten(0, 1)
    return torch.multinomial(chances, 1, generator=generator).view(ROWS, T)


@pytest.mark.parametrize("spread", [0.1, 2.0, 15.0, 300.0])
@pytest.mark.parametrize("offset", [0.0, 1000.0, -1e5])
def test_float16_on_the_bus_keeps_the_score(exam: ModuleType, spread: float, offset: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = spread * torch.randn(ROWS, T, V, generator=generator) + offset
    targets = sample(logits)
    narrow = exam._narrow(logits)
    assert narrow.dtype == torch.float16
    assert abs(score(logits, targets) - textbook(logits, targets)) < 2e-6
    assert abs(score(narrow, targets) - textbook(logits, targets)) < 1e-4


def test_bfloat16_logits_are_widened_before_they_are_summed(exam: ModuleType) -> None:
    logits = (4 * torch.randn(ROWS, T, V, generator=torch.Generator().manual_seed(0))).bfloat16()
    targets = sample(logits)
    assert exam._packed(logits) is logits
    assert abs(score(logits, targets) - textbook(logits, targets)) < 1e-6


def test_a_token_that_is_ruled_out_stays_so_and_what_is_not_finite_too(exam: ModuleType) -> None:
    logits = torch.zeros(1, 3, 4)
    logits[0, 0, 3] = -math.inf
    logits[0, 1, 2] = math.inf
    logits[0, 2, 1] = math.nan
    nats = cross_entropy(exam._narrow(logits), torch.zeros(1, 3, dtype=torch.int64))[0]
    assert nats[0] == pytest.approx(math.log(3))
    assert not nats[1].isfinite()
    assert not nats[2].isfinite()
