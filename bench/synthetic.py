"""A data set of random tokens in the layout that the harness reads, and experiments on it; for benchmarks only."""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np

from harness import experiment
from harness.spec import Budget, ExperimentSpec, Limits


def measure(
    script: str, *, length: int, vocabulary: int, train_rows: int, val_rows: int
) -> dict[str, float]:
    """Run `script` as an experiment on random rows; returns the JSON of the line that it prints last.

    At level `process`, so that the benchmark runs wherever the tests do. Raises SystemExit when nothing came.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = _write(Path(folder) / "data", length, vocabulary, train_rows, val_rows)
        spec = ExperimentSpec(
            name="bench",
            source=script,
            seed=1,
            dataset=str(data),
            budget=Budget("tokens", 1e15),
            sandbox="process",
            limits=Limits(wall_seconds=120, threads=1),
        )
        result = experiment.run(spec, Path(folder) / "e", lambda _: None, lambda: None)
    for line in reversed(result.log_tail.splitlines()):
        if line.startswith("{"):
            figures: dict[str, float] = json.loads(line)
            return figures
    raise SystemExit(f"the benchmark's script failed: {result.reason}\n{result.log_tail}")


def _write(folder: Path, length: int, vocabulary: int, train_rows: int, val_rows: int) -> Path:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, rows in (("train.bin", train_rows), ("val.bin", val_rows)):
        generator.integers(0, vocabulary, (rows, length + 1), dtype=np.uint16).tofile(folder / name)
    for kind in ("raw", "upstream"):
        np.save(folder / f"token_bytes_{kind}.npy", np.full(vocabulary, 4, np.int32))
    (folder / "tokenizer.json").write_text("{}")
    files = {
        path.name: {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.iterdir()
    }
    manifest = {
        "source": "random",
        "vocabulary": vocabulary,
        "sequence_length": length,
        "train_rows": train_rows,
        "val_rows": val_rows,
        "bos_id": 0,
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
