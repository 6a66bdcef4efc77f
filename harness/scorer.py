"""Holds the validation targets and computes the score: inputs out, logits in, cross-entropy here.

It takes one private copy of what a candidate writes and believes nothing else about it. It must never send a
target, never read shared logits twice, and never touch the GPU before the candidate has committed its weights.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness import process, wire
from harness.wire import Dtype, Op

if TYPE_CHECKING:
    import torch

SLOTS = 3  # of logits: one being read, one written, one in flight
SLOT_BYTES = 32 << 20  # enough to hide the transport, small enough for the caches
GPU_SLOT_BYTES = 128 << 20
BATCH_LIMIT = 1 << 16  # rows a candidate may ask for at once
REPORT_EVERY = 0.25  # seconds


@dataclass(slots=True)
class Tally:
    """Sums over the scored tokens; special tokens, which stand for no bytes, are in neither."""

    nats: float = 0.0
    tokens: int = 0
    count: int = 0  # bytes

    @property
    def bpb(self) -> float:
        """Bits per byte; infinite without any bytes."""
        return self.nats / (math.log(2) * self.count) if self.count else math.inf


class Invalid(Exception):
    """The logits cannot be scored. `outcome` is "nan" or "invalid"."""

    def __init__(self, outcome: str, reason: str) -> None:
        """`reason` is a sentence for a person."""
        super().__init__(reason)
        self.outcome = outcome


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Nats per token in float32: logits [R, T, V] of any float type, targets int64 [R, T] -> [R, T].

    A NaN or +inf anywhere in a row of logits makes its result non-finite; -inf is a legitimate zero probability.
    """
    wide = logits.float()
    chosen = wide.gather(2, targets.unsqueeze(2)).squeeze(2)
    return wide.logsumexp(2) - chosen


class Judge:
    """Scores logits on one device, against targets that stay in this process."""

    def __init__(
        self, rows: npt.NDArray[np.uint16], byte_table: npt.NDArray[np.int32], device: str
    ) -> None:
        """`rows`: uint16[n, T+1] validation rows; `byte_table`: int32[V] bytes of each token."""
        import torch

        self._torch = torch
        self._rows = rows
        self._device = _usable(torch, device)
        self._bytes = torch.from_numpy(byte_table.astype(np.int64)).to(self._device)
        self.tally = Tally()

    def score(self, first: int, logits: torch.Tensor) -> None:
        """Add rows `first`… to the tally; logits [R, T, V] in private memory. Raises Invalid."""
        rows = self._rows[first : first + len(logits), 1:].astype(np.int64)
        targets = self._torch.from_numpy(rows).to(self._device)
        nats = cross_entropy(logits.to(self._device), targets)
        count = self._bytes[targets]
        counted = count > 0
        total = float((nats.double() * counted).sum())
        if not math.isfinite(total) or not bool(self._torch.isfinite(nats).all()):
            raise Invalid(
                "nan",
                f"The model's logits are not finite in validation rows {first} and following.",
            )
        self.tally.nats += total
        self.tally.tokens += int(counted.sum())
        self.tally.count += int(count.sum())


def _usable(torch: Any, device: str) -> str:
    """The device, or the CPU when the GPU cannot be used beside the candidate."""
    if device == "cpu" or not torch.cuda.is_available():
        return "cpu"
    try:
        torch.empty(3 * GPU_SLOT_BYTES, dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError:
        return "cpu"
    return "cuda"


class Scorer:
    """One evaluation of one candidate over `guest`; reports to the runner over `control`."""

    def __init__(self, judge: Judge, job: dict[str, Any], guest: socket.socket) -> None:
        """`job`: rows, length, vocabulary and slot bytes of the evaluation."""
        self._judge, self._guest = judge, guest
        self._count, self._length, self._vocabulary = job["count"], job["length"], job["vocabulary"]
        self._issued = self._scored = 0

    def serve(self, rows: npt.NDArray[np.uint16], control: socket.socket) -> Tally:
        """Answer the candidate until every row is scored.

        Raises Invalid, wire.ProtocolError, and wire.PeerGone when either side hangs up.
        """
        batch = min(self._expect(control, Op.EVALUATE).a, self._count)
        if not 0 < batch <= BATCH_LIMIT:
            raise wire.ProtocolError(f"an evaluation in batches of {batch} rows")
        self._offer(batch)
        reported = time.monotonic()
        while self._scored < self._count:
            message = self._expect(control, Op.ROWS, Op.LOGITS, Op.SHAPE)
            if message.op == Op.ROWS:
                self._issue(rows, batch)
            elif message.op == Op.LOGITS:
                self._take(message)
            else:
                raise Invalid("invalid", self._shape(message))
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                wire.report(control, "scoring", fraction=self._scored / self._count)
        return self._judge.tally

    def _expect(self, control: socket.socket, *allowed: Op) -> wire.Message:
        """The candidate's next message; wakes up when the runner hangs up."""
        ready, _, _ = select.select([self._guest, control], [], [])
        if control in ready:
            raise wire.PeerGone
        message = wire.recv(self._guest)
        wire.close_all(message.descriptors)
        if message.op not in allowed:
            raise wire.ProtocolError(f"message {message.op} out of turn")
        return message

    def _offer(self, batch: int) -> None:
        """Make the shared planes: two batches of inputs, `SLOTS` slots of logits."""
        import torch

        row = self._length * self._vocabulary * 4
        aim = GPU_SLOT_BYTES if torch.cuda.is_initialized() else SLOT_BYTES
        self._slot_bytes = min(batch, max(1, aim // row)) * row
        inputs, memory = wire.make_ring("inputs", 2 * batch * self._length * 2)
        self._inputs = np.frombuffer(memory, np.uint16).reshape(2, batch, self._length)
        logits, self._logits = wire.make_plane("logits", SLOTS * self._slot_bytes)
        self._private = torch.empty(self._slot_bytes, dtype=torch.uint8)
        if torch.cuda.is_initialized():
            _register(torch, self._logits)
        shape = (self._count, self._length, self._vocabulary, self._slot_bytes)
        wire.send(self._guest, Op.PLANES, *shape, descriptors=(inputs, logits))
        wire.close_all((inputs, logits))

    def _issue(self, rows: npt.NDArray[np.uint16], batch: int) -> None:
        """Send the next inputs; never more than two batches ahead of the logits."""
        if self._issued - self._scored > batch:
            raise wire.ProtocolError("a third batch at once")
        count = min(batch, self._count - self._issued)
        if not count:
            wire.send(self._guest, Op.END)
            return
        slot = (self._issued // batch) % 2
        self._inputs[slot, :count] = rows[self._issued : self._issued + count, :-1]
        wire.send(self._guest, Op.INPUTS, slot, count, 0, self._issued)
        self._issued += count

    def _take(self, message: wire.Message) -> None:
        """Copy one slot of logits, give the slot back, then score the copy."""
        import torch

        slot, count = message.a, message.b
        dtypes = {
            Dtype.FLOAT32: torch.float32,
            Dtype.FLOAT16: torch.float16,
            Dtype.BFLOAT16: torch.bfloat16,
        }
        if slot >= SLOTS or message.c not in set(Dtype) or count > self._issued - self._scored:
            raise wire.ProtocolError("logits that nobody asked for")
        dtype = dtypes[Dtype(message.c)]
        size = count * self._length * self._vocabulary * dtype.itemsize
        if not 0 < size <= self._slot_bytes:
            raise wire.ProtocolError("more logits than a slot holds")
        shared = torch.frombuffer(
            self._logits, dtype=torch.uint8, count=size, offset=slot * self._slot_bytes
        )
        if torch.cuda.is_initialized():
            private = shared.to("cuda")  # waits for the copy
        else:
            private = self._private[:size].copy_(shared)
        wire.send(self._guest, Op.FREE, slot)
        logits = private.view(dtype).view(count, self._length, self._vocabulary)
        self._judge.score(self._scored, logits)
        self._scored += count

    def _shape(self, message: wire.Message) -> str:
        found = [message.a, message.b, message.c][: min(message.d, 3)]
        return (
            f"model(x) returned {message.d}-dimensional logits {found}; it must return "
            f"[batch, {self._length}, {self._vocabulary}]."
        )


def _register(torch: Any, memory: mmap.mmap) -> None:
    """Pin the shared plane, for copies at the speed of the bus; without it they are slower, not wrong."""
    address = np.frombuffer(memory, np.uint8).ctypes.data
    torch.cuda.cudart().cudaHostRegister(address, len(memory), 0)


def main(argv: list[str]) -> None:
    """Wait for the runner's word, then score one evaluation; `argv[0]` is the job as JSON."""
    process.become_trusted()
    job: dict[str, Any] = json.loads(argv[0])
    with (
        socket.socket(fileno=job["guest"]) as guest,
        socket.socket(fileno=job["control"]) as control,
    ):
        with contextlib.suppress(wire.PeerGone):  # the runner has gone
            try:
                _evaluate(job, guest, control)
            except wire.PeerGone:
                wire.report(control, "left")
        with contextlib.suppress(ConnectionResetError):
            control.recv(1)  # stay until the runner hangs up: an early end would look like a fault


def _evaluate(job: dict[str, Any], guest: socket.socket, control: socket.socket) -> None:
    """The runner's first word, at the first batch or later, means: load; BEGIN: the weights are committed."""
    word = control.recv(wire.WORD_LIMIT)
    if not word:
        return
    import torch  # while the candidate trains

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    rows = np.memmap(
        Path(job["rows"]), np.uint16, mode="r", shape=(job["stored"], job["length"] + 1)
    )[: job["count"]]
    byte_table = np.load(job["byte_table"])
    while word != wire.BEGIN:
        if not (word := control.recv(wire.WORD_LIMIT)):
            return
    start = time.monotonic()
    try:
        scorer = Scorer(Judge(rows, byte_table, job["device"]), job, guest)
        tally = scorer.serve(rows, control)
    except Invalid as fault:
        wire.report(control, "invalid", outcome=fault.outcome, reason=str(fault))
        return
    except wire.ProtocolError as fault:
        wire.report(control, "violation", reason=f"it sent {fault} to the scorer")
        return
    # The runner knows the score before the candidate does.
    wire.report(
        control,
        "scored",
        val_bpb=tally.bpb,
        val_nats=tally.nats / max(1, tally.tokens),
        tokens=tally.tokens,
        seconds=time.monotonic() - start,
    )
    wire.send(guest, Op.SCORE, d=wire.float_bits(tally.bpb))


if __name__ == "__main__":
    main(sys.argv[1:])
