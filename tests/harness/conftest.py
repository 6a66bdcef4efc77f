"""Small real data sets and real experiments on them, for the tests of the harness at run time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import experiment
from harness.spec import Budget, ExperimentSpec, Limits, Progress, Result

VOCABULARY, LENGTH, TRAIN_ROWS, VAL_ROWS = 64, 16, 2000, 50
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
    from tokenizers import Tokenizer, models

    folder.mkdir(parents=True)
    make_rows(TRAIN_ROWS, 1).tofile(folder / "train.bin")
    make_rows(VAL_ROWS, 2).tofile(folder / "val.bin")
    names = [chr(ord("0") + token) for token in range(VOCABULARY - 1)] + ["<|bos|>"]
    vocabulary = {name: token for token, name in enumerate(names)}
    Tokenizer(models.WordLevel(vocabulary, unk_token="0")).save(str(folder / "tokenizer.json"))
    table = 1 + np.arange(VOCABULARY, dtype=np.int32) % 5
    table[BOS] = 0
    for kind in ("raw", "upstream"):
        np.save(folder / f"token_bytes_{kind}.npy", table)
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.iterdir()
    }
    manifest = {
        "source": "test",
        "vocabulary": VOCABULARY,
        "sequence_length": LENGTH,
        "train_rows": TRAIN_ROWS,
        "val_rows": VAL_ROWS,
        "bos_id": BOS,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


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
    )


Run = Callable[..., Result]


@pytest.fixture
def run(tiny_spec: ExperimentSpec, tmp_path: Path) -> Run:
    """Run a script as an experiment: `run(source, sandbox=…, budget=…)`; progress goes to `run.progress`."""

    def run_it(
        source: str,
        *,
        cancelled: Callable[[], str | None] = lambda: None,
        progress: list[Progress] | None = None,
        **changes: object,
    ) -> Result:
        spec = replace(tiny_spec, source=source, **changes)
        tell = (progress if progress is not None else []).append
        return experiment.run(spec, tmp_path / "experiment", tell, cancelled)

    return run_it
