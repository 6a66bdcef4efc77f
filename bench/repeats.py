"""What a trainer learns from rows that come again: `python -m bench.repeats SHARDS [--epochs N] [--edit OLD=>NEW]`.

Trains `trainer/train.py` on a CPU, in the harness, on about a million tokens, once or several times over, at the
ratio of table to text that an H200 has with 80 M tokens. It is the study behind `GRAM_DECAY` (docs/trainer-log.md);
a training of four epochs takes about five minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness import experiment, sandbox
from harness.dataset import DataConfig, Dataset, prepare_dataset
from harness.places import cache_dir
from harness.spec import Budget, ExperimentSpec, HarnessError, Limits, Outcome

TRAINER = Path(__file__).parent.parent / "trainer" / "train.py"
TRAIN, VALIDATION = "shard_00000.parquet", "shard_06542.parquet"  # in the ancestor's format
SIZE = 'Size(memory=0, depth=3, dim=64, head_dim=32, micro=2048, batch=4096, windows="SSL")'
LENGTH, VOCABULARY, EVAL_TOKENS = 512, 1024, 196_608
PIECE = 1250  # characters: about a row, so that little is cropped
LONGEST = 40_000  # characters of a document; longer ones are tables
VALIDATION_DOCUMENTS = 1500
ROUND = 5000  # tokens


def edited(source: str, edits: Sequence[str]) -> str:
    """`source` at the size of the study, with each `OLD=>NEW` done. Raises ValueError for what is not there once."""
    (size,) = (line.strip(" ,") for line in source.splitlines() if "Size(memory=0" in line)
    for edit in (f"{size}=>{SIZE}", *edits):
        old, arrow, new = edit.partition("=>")
        if not arrow or source.count(old) != 1:
            raise ValueError(f"{edit!r}: give OLD=>NEW, with OLD exactly once in train.py")
        source = source.replace(old, new)
    return source


def prepare(shards: Path, megabytes: float) -> Dataset:
    """The data set of the study: the first `megabytes` of the first shard, in pieces."""
    for name in (TRAIN, VALIDATION):
        if not (shards / name).is_file():
            raise HarnessError(
                f"{shards} has no {name}: it is to be a folder of the ancestor's shards"
            )
    folder = cache_dir() / "bench" / f"repeats-{megabytes:g}"
    folder.mkdir(parents=True, exist_ok=True)
    validation = [text for text in _texts(shards / VALIDATION) if len(text) <= LONGEST]
    for name, texts in (
        (TRAIN, list(_pieces(shards / TRAIN, megabytes))),
        (VALIDATION, validation[:VALIDATION_DOCUMENTS]),
    ):
        pq.write_table(pa.table({"text": texts}), folder / name, row_group_size=256)
    config = DataConfig(
        source=str(folder),
        shards=1,
        sequence_length=LENGTH,
        vocabulary=VOCABULARY,
        eval_tokens=EVAL_TOKENS,
    )
    return prepare_dataset(config, lambda *_: None)


def main(argv: Sequence[str] | None = None) -> int:
    """Train each seed and print its score."""
    parser = argparse.ArgumentParser(prog="python -m bench.repeats", description=__doc__)
    parser.add_argument("shards", type=Path, help=f"folder with {TRAIN} and {VALIDATION}")
    parser.add_argument("--megabytes", type=float, default=3.0, help="of text; 12 is 3.85 M tokens")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1, help="train seeds 0 to N - 1")
    parser.add_argument("--edit", action="append", default=[], metavar="OLD=>NEW")
    wanted = parser.parse_args(argv)
    try:
        source = edited(TRAINER.read_text(), wanted.edit)
        data = prepare(wanted.shards, wanted.megabytes)
    except (OSError, ValueError, HarnessError) as error:
        parser.error(str(error))
    tokens = wanted.epochs * data.train_tokens // ROUND * ROUND
    print(
        f"{data.train_tokens:,} tokens, {tokens:,} trained; {' '.join(wanted.edit) or 'as it is'}"
    )
    for seed in range(wanted.seeds):
        spec = ExperimentSpec(
            name="repeats",
            source=source,
            seed=seed,
            dataset=str(data.path),
            budget=Budget("tokens", tokens),
            sandbox=sandbox.probe().level,
            limits=Limits(wall_seconds=3600, threads=1),
        )
        with tempfile.TemporaryDirectory() as folder:
            result = experiment.run(spec, Path(folder) / "run", lambda _: None, lambda: None)
        if result.outcome is not Outcome.OK:
            print(f"seed {seed}: {result.reason}\n{result.log_tail}")
            return 1
        print(
            f"seed {seed}: val_bpb {result.val_bpb:.4f}, {result.train_seconds:.0f} s", flush=True
        )
    return 0


def _texts(shard: Path) -> list[str]:
    texts: list[str] = pq.read_table(shard)["text"].to_pylist()
    return texts


def _pieces(shard: Path, megabytes: float) -> Iterator[str]:
    held = 0
    for text in _texts(shard):
        if held > megabytes * 1e6:
            return
        if len(text) <= LONGEST:
            yield from (text[start : start + PIECE] for start in range(0, len(text), PIECE))
            held += len(text)


if __name__ == "__main__":
    sys.exit(main())
