"""Small real data sets and real experiments on them, for the tests of the harness at run time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import synthetic
from harness import experiment
from harness.ending import Verdict
from harness.places import CACHE_VARIABLE
from harness.spec import AuditPlan, Budget, ExperimentSpec, Limits, Progress, Result

VOCABULARY, LENGTH, TRAIN_ROWS, VAL_ROWS, SEALED_ROWS = 64, 16, 2000, 50, 25
BOS = 63


def make_rows(count: int, seed: int) -> np.ndarray:
    """uint16 [count, T+1] rows that begin with BOS; each token says something about the next."""
    generator = np.random.default_rng(seed)
    rows = np.full((count, LENGTH + 1), BOS, np.uint16)
    for t in range(1, LENGTH + 1):
        surprise = generator.integers(0, BOS, count)
        follows = (rows[:, t - 1].astype(int) * 5 + 1) % BOS
        rows[:, t] = np.where(generator.random(count) < 0.3, surprise, follows)
    return rows


def write_dataset(folder: Path) -> Path:
    """The layout that `harness.dataset` makes, without its work: T = 16, V = 64 with one special token."""
    rows = {
        "train": make_rows(TRAIN_ROWS, 1),
        "val": make_rows(VAL_ROWS, 2),
        "sealed": make_rows(SEALED_ROWS, 3),
    }
    return synthetic.write_dataset(folder, rows, vocabulary=VOCABULARY, bos=BOS)


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def tiny_spec(tiny_dataset: Path) -> ExperimentSpec:
    return ExperimentSpec(
        name=f"test-{os.getpid()}",  # a tag of its own, also beside other test processes
        source="",
        seed=1,
        dataset=str(tiny_dataset),
        budget=Budget("tokens", 20_000),
        sandbox="process",
        limits=Limits(wall_seconds=60, threads=1),
        audit=AuditPlan(probes=0),  # tests of the audit ask for one
    )


Run = Callable[..., Result]


@pytest.fixture
def run(tiny_spec: ExperimentSpec, tmp_path: Path) -> Run:
    """Run a script as an experiment: `run(source, sandbox=…, budget=…)`; progress goes to `run.progress`."""

    def run_it(
        source: str,
        *,
        cancelled: Callable[[], Verdict | None] = lambda: None,
        progress: list[Progress] | None = None,
        **changes: object,
    ) -> Result:
        spec = replace(tiny_spec, source=source, **changes)
        tell = (progress if progress is not None else []).append
        return experiment.run(spec, tmp_path / "experiment", tell, cancelled)

    return run_it


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache in which no other test of the session has left its kernels."""
    monkeypatch.setenv(CACHE_VARIABLE, str(cache := tmp_path / "cache"))
    return cache
