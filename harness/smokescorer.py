"""The third examiner: lets a smoke run go through an evaluation, and computes no score.

It speaks the scorer's language, so the script meets the same memory, shapes and messages. What it shows are tokens in
no order, as in a warm-up: a script that fails here has seen no validation text, so whoever mends it may be told every
word of its traceback, and what it leaves in its kernels is nothing that could be learned.
"""

from __future__ import annotations

import json
import math
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import wire
from harness.judging import Judge
from harness.roworder import Rows
from harness.scorer import Scorer, stand_by
from harness.wire import Op


class SmokeScorer(Scorer):
    """Asks for one whole batch, which shows its memory, and for one row more, which is filled up to another."""

    def _how_many(self, batch: int, rows: int) -> int:
        return min(rows, batch + 1)


def main(argv: list[str]) -> None:
    """Go through one evaluation; `argv[0]` is the job as JSON: `rows` of the training, and the `count` shown."""
    stand_by(json.loads(argv[0]), _go_through)


def _go_through(job: dict[str, Any], guest: socket.socket, control: socket.socket) -> bool:
    shape = (job["stored"], job["length"] + 1)
    stored = np.memmap(Path(job["rows"]), np.uint16, mode="r", shape=shape)
    shown = np.empty((job["count"], job["length"] + 1), np.uint16)
    Rows(stored, job["seed"]).random_into(shown)
    judge = Judge(shown, np.load(job["byte_table"]))
    SmokeScorer(judge, job, guest, control).serve(shown)
    wire.report(control, "tried", at=time.monotonic())
    wire.send(guest, Op.SCORE, d=wire.float_bits(math.nan))  # a float to print, and no score
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
