"""Builds a data set in a process of its own, which gives its memory back when it ends.

Training a tokenizer and packing rows leave hundreds of megabytes behind in a process that lives on for days.
Nothing but progress, one fault's sentence and the finished folder's path comes back, a JSON line each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from harness.corpus import Report
from harness.dataset import DataConfig, Dataset, load_dataset, prepare_dataset
from harness.environment import DOWNLOADS
from harness.process import become_trusted, own_env
from harness.spec import Cause, HarnessError


def prepare_apart(cfg: DataConfig, progress: Report) -> Dataset:
    """As `dataset.prepare_dataset`, with the same faults; the caller stays small."""
    # Not multiprocessing: its child would import the caller's main script once more.
    line = [sys.executable, "-P", "-m", "harness.apart", json.dumps(asdict(cfg))]
    with subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=own_env(keep=DOWNLOADS),
    ) as child:
        assert child.stdout is not None  # noqa: S101 - it was asked for
        try:
            for said in map(json.loads, child.stdout):
                match said:
                    case {"path": path}:
                        return load_dataset(Path(path))
                    case {"fault": sentence, "cause": cause}:
                        raise HarnessError(sentence, Cause(cause))
                    case {"message": message, "fraction": fraction}:
                        progress(message, fraction)
        finally:
            child.terminate()
    raise HarnessError(
        "The preparation of the data ended without a word, most likely for lack of memory; free some, or lower "
        "[data] local_mb or shards."
    )


def main(config: str) -> None:
    """The child: prepare what `config` (a DataConfig as JSON) asks for, and tell on stdout."""
    become_trusted()  # it may hold the hub's token
    try:
        dataset = prepare_dataset(
            DataConfig(**json.loads(config)),
            lambda message, fraction: _tell(message=message, fraction=fraction),
        )
    except HarnessError as error:
        _tell(fault=str(error), cause=error.cause)
    else:
        _tell(path=str(dataset.path))


def _tell(**said: object) -> None:
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
