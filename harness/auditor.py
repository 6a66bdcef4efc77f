"""The other examiner: asks a fresh copy of a scored model about rows whose future it hides.

It speaks the scorer's language, so that a candidate cannot tell which of the two listens. It holds the claimed losses
and draws the cuts when the weights are in place; it never shows a token behind a cut.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import audit, wire
from harness.judging import Invalid, Judge
from harness.scorer import Scorer, scored_rows, stand_by
from harness.wire import Op


def main(argv: list[str]) -> None:
    """Examine one replay; `argv[0]` is the job as JSON."""
    stand_by(json.loads(argv[0]), _examine)


def _examine(job: dict[str, Any], guest: socket.socket, control: socket.socket) -> bool:
    rows = scored_rows(job)
    byte_table = np.load(job["byte_table"])
    probes = audit.plan(rows, byte_table, job["probes"], np.random.default_rng())
    if not len(probes.rows):
        raise Invalid("invalid", "The validation rows are too few to hide anything in them.")
    judge = Judge(rows[probes.rows], byte_table)
    scorer = Scorer(judge, job, guest, control)
    blind = scorer.serve(probes.shown)
    findings = audit.examine(_claimed(job, rows.shape), blind, probes, job["tolerance"])
    wire.report(control, "examined", at=time.monotonic(), **asdict(findings))
    # A replay learns nothing new, and nobody reads what it prints.
    wire.send(guest, Op.SCORE, d=wire.float_bits(job["claimed"]))
    return True


def _claimed(job: dict[str, Any], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The losses that the score rests on, float32[n, T]."""
    size = 4 * shape[0] * (shape[1] - 1)
    data = b"".join(
        os.pread(job["nats"], min(size - at, 1 << 30), at) for at in range(0, size, 1 << 30)
    )
    return np.frombuffer(data, np.float32).reshape(shape[0], shape[1] - 1)


if __name__ == "__main__":
    main(sys.argv[1:])
