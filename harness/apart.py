"""Builds a data set in a process of its own, which gives its memory back when it ends.

Training a tokenizer and packing rows leave hundreds of megabytes behind in a process that lives on for days.
Nothing but progress, faults and the finished folder's path comes back.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from harness.corpus import Report
from harness.dataset import DataConfig, Dataset, load_dataset, prepare_dataset
from harness.spec import HarnessError


def prepare_apart(cfg: DataConfig, progress: Report) -> Dataset:
    """As `dataset.prepare_dataset`, with the same faults; the caller stays small."""
    context = multiprocessing.get_context(
        "spawn"
    )  # a fork would copy threads and locks of the caller
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_prepare, args=(cfg, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        return _follow(ours, progress)
    finally:
        ours.close()
        if child.is_alive():
            child.terminate()
        child.join()


def _follow(ours: Connection, progress: Report) -> Dataset:
    while True:
        try:
            message = ours.recv()
        except EOFError:
            raise HarnessError(
                "The preparation of the data ended without a word, most likely for lack of memory; free some, or "
                "lower [data] local_mb or shards."
            ) from None
        match message:
            case Path():
                return load_dataset(message)
            case HarnessError():
                raise message
            case (str(text), float(fraction)):
                progress(text, fraction)


def _prepare(cfg: DataConfig, theirs: Connection) -> None:
    try:
        theirs.send(
            prepare_dataset(cfg, lambda text, fraction: theirs.send((text, float(fraction)))).path
        )
    except HarnessError as error:
        theirs.send(error)
