"""Data sets of made-up tokens in the layout that the harness reads, and experiments on random ones.

For benchmarks and tests only: nothing here reads text, and no score that it gives means anything.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import experiment
from harness.spec import AuditPlan, Budget, ExperimentSpec, Limits


def measure(
    script: str,
    *,
    length: int,
    vocabulary: int,
    train_rows: int,
    val_rows: int,
    sandbox: str = "process",
) -> dict[str, float]:
    """Run `script` as an experiment on random rows; returns the JSON of the line that it prints last.

    At level `process`, so that the benchmark runs wherever the tests do. Raises SystemExit when nothing came.
    """
    with tempfile.TemporaryDirectory() as folder:
        generator = np.random.default_rng(0)
        counts = {"train": train_rows, "val": val_rows, "sealed": 1}
        rows = {
            name: generator.integers(0, vocabulary, (count, length + 1), dtype=np.uint16)
            for name, count in counts.items()
        }
        data = write_dataset(Path(folder) / "data", rows, vocabulary=vocabulary, bos=0)
        spec = ExperimentSpec(
            name="bench",
            source=script,
            seed=1,
            dataset=str(data),
            budget=Budget("tokens", 1e15),
            sandbox=sandbox,
            limits=Limits(wall_seconds=120, threads=1),
            audit=AuditPlan(probes=0),
        )
        result = experiment.run(spec, Path(folder) / "e", lambda _: None, lambda: None)
    for line in reversed(result.log_tail.splitlines()):
        if line.startswith("{"):
            figures: dict[str, float] = json.loads(line)
            return figures
    raise SystemExit(f"the benchmark's script failed: {result.reason}\n{result.log_tail}")


def write_dataset(
    folder: Path, rows: dict[str, npt.NDArray[np.uint16]], *, vocabulary: int, bos: int
) -> Path:
    """Make `folder` as `harness.dataset` lays it out, without its work.

    `rows`: `train`, `val` and `sealed`, each uint16 [n, T + 1]. Every token but `bos` is a word of one letter,
    which counts as 1 to 5 bytes.
    """
    from tokenizers import Tokenizer, models

    folder.mkdir(parents=True)
    for name, content in rows.items():
        content.tofile(folder / f"{name}.bin")
    words = {chr(ord("0") + token): token for token in range(vocabulary) if token != bos}
    known = models.WordLevel({**words, "<|bos|>": bos}, unk_token=next(iter(words)))
    Tokenizer(known).save(str(folder / "tokenizer.json"))
    table = 1 + np.arange(vocabulary, dtype=np.int32) % 5
    table[bos] = 0
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
        "source": "synthetic",
        "vocabulary": vocabulary,
        "sequence_length": rows["train"].shape[1] - 1,
        "bos_id": bos,
        "files": files,
        **{f"{name}_rows": len(content) for name, content in rows.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
