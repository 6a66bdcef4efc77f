"""Holds the validation targets and computes the score: inputs out, logits in, cross-entropy here.

It takes one private copy of what a candidate writes and believes nothing else about it. It must never send a
target or an input before the weights are committed, never read shared logits twice, and never touch the GPU before
the candidate itself has ended its training by asking for an evaluation.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import process, wire
from harness.crashpoints import reached
from harness.intake import Intake, open_device_intake, open_intake
from harness.judging import Invalid, Judge, cross_entropy
from harness.wire import Dtype, Op

INPUTS = 4  # batches of inputs in the candidate's hands: computed, on their way out, and two to go on with
SLOTS = 3  # of logits: one being read, one written, one in flight
SLOT_BYTES = 32 << 20  # enough to hide the transport, small enough for the caches
GPU_SLOTS = 6  # two processes share the GPU by turns, so that each needs something to go on with
GPU_SLOT_BYTES = 64 << 20
BATCH_LIMIT = 1 << 16  # rows a candidate may ask for at once
REPORT_EVERY = 0.25  # seconds


class Scorer:
    """One evaluation of one candidate over `guest`; the runner listens and speaks over `control`."""

    def __init__(
        self, judge: Judge, job: dict[str, Any], guest: socket.socket, control: socket.socket
    ) -> None:
        """`job`: length, vocabulary and device of the evaluation, and `slack`: seconds that it may take beyond what
        the training took for as many tokens."""
        self._judge, self._guest, self._control = judge, guest, control
        self._length, self._vocabulary = job["length"], job["vocabulary"]
        self._device = job["device"]
        self._issued = self._scored = 0
        self._begun = False  # the weights are committed
        self._intake: Intake | None = None
        self.transport = ""  # where logits cross over
        self._slack = job["slack"]
        self._allowed, self._waited = math.inf, 0.0  # seconds for the candidate
        self.seconds = 0.0  # from then on

    def serve(self, rows: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
        """Answer the candidate until every row is scored, for its nats, float32[n, T].

        `rows`: uint16[n, T+1], of which all but the last token are shown. Raises Invalid, wire.ProtocolError, and
        wire.PeerGone when either side hangs up.
        """
        self._count = len(rows)
        asked = self._expect(Op.EVALUATE).a
        self._count = self._how_many(asked, len(rows))
        batch = min(asked, self._count)
        wire.report(self._control, "asked", at=time.monotonic())
        if not 0 < batch <= BATCH_LIMIT:
            raise wire.ProtocolError(f"an evaluation in batches of {batch} rows")
        # While the weights are handed over, which is the candidate's word that it trains no more.
        self._offer(batch)
        while not self._begun:
            self._hear_runner()
        begun = reported = time.monotonic()
        reached("scorer.before-score")
        self._judge.begin(self.intake.device)
        while self._scored < self._count:
            message = self._expect(Op.ROWS, Op.LOGITS, Op.SHAPE, Op.PLAIN)
            if message.op == Op.PLAIN and not self._issued:
                self._offer_host()
            elif message.op == Op.ROWS:
                self._issue(rows, batch)
            elif message.op == Op.LOGITS:
                self._take(message)
            elif message.op == Op.SHAPE:
                raise Invalid("invalid", self._shape(message))
            else:
                raise wire.ProtocolError("a request for other memory, too late")
            if time.monotonic() - reported > REPORT_EVERY:
                reported = time.monotonic()
                wire.report(self._control, "scoring", fraction=self._scored / self._count)
        nats = self._judge.finish()
        self.seconds = time.monotonic() - begun
        return nats

    def _how_many(self, batch: int, rows: int) -> int:
        """Of how many of the `rows` logits are asked for, from a script that evaluates in batches of `batch`."""
        return rows

    @property
    def intake(self) -> Intake:
        """The way in for logits; there once an evaluation was asked for."""
        if self._intake is None:
            raise wire.ProtocolError("logits before an evaluation")
        return self._intake

    def _expect(self, *allowed: Op) -> wire.Message:
        """The candidate's next message; meanwhile slots are given back, and the runner may hang up."""
        self._give_back()
        while not self._ready(0) and self._intake is not None and self._intake.wait():
            self._give_back()
        self._ready(None)
        message = wire.recv(self._guest)
        wire.close_all(message.descriptors)
        if message.op not in allowed:
            raise wire.ProtocolError(f"message {message.op} out of turn")
        return message

    def _ready(self, patience: float | None) -> bool:
        """Whether the candidate has something to say, after at most `patience` seconds; None: wait until it has."""
        while True:
            left = max(0.0, self._allowed - self._waited) if patience is None else patience
            since = time.monotonic()
            ready, _, _ = select.select(
                [self._guest, self._control], [], [], left if left < math.inf else None
            )
            if patience is None and self._begun:
                self._waited += time.monotonic() - since
            if self._control in ready:
                self._hear_runner()
            elif self._guest in ready or patience is not None:
                return self._guest in ready
            else:
                raise Invalid("invalid", self._too_slow())

    def _too_slow(self) -> str:
        return (
            f"Its scoring was given up after {self._waited:.0f} s of waiting for logits: the model needs longer for "
            "a token than its training did. Nothing can be trained once the weights are committed."
        )

    def _hear_runner(self) -> None:
        try:
            word = self._control.recv(wire.WORD_LIMIT)
        except ConnectionResetError as fault:  # it has not read our last report
            raise wire.PeerGone from fault
        if not word:
            raise wire.PeerGone
        begin, _, speed = word.partition(b" ")
        if begin == wire.BEGIN and not self._begun:
            self._begun = True
            if speed:
                self._allowed = self._slack + self._count * self._length / float(speed)

    def _offer(self, batch: int) -> None:
        """Make the shared planes, `INPUTS` batches of inputs and the slots of logits, and the way in."""
        row = self._length * self._vocabulary * 4
        on_cpu = self._device == "cpu"
        aim = SLOT_BYTES if on_cpu else GPU_SLOT_BYTES
        self._slot_bytes = min(batch, max(1, aim // row)) * row
        self._slots = SLOTS if on_cpu or self._slot_bytes > GPU_SLOT_BYTES else GPU_SLOTS
        self._inputs_at, memory = wire.make_ring("inputs", INPUTS * batch * self._length * 2)
        self._inputs = np.frombuffer(memory, np.uint16).reshape(INPUTS, batch, self._length)
        lent = None
        if not on_cpu:
            lent = open_device_intake(self._slot_bytes, self._slots, self._rehearse)
        if lent is None:
            self._offer_host()
        else:
            descriptor, self._intake = lent
            self._send_planes(descriptor, self._slots)

    def _offer_host(self) -> None:
        """Slots in host memory: without a GPU, or where its memory cannot be shared."""
        logits, plane = wire.make_plane("logits", self._slots * self._slot_bytes)
        self._send_planes(
            logits, 0
        )  # before the way in is open: the candidate pins its side meanwhile
        self._intake = open_intake(plane, self._slots, self._device, self._rehearse)

    def _send_planes(self, logits: int, on_device: int) -> None:
        self.transport = "device memory" if on_device else "host memory"
        size = on_device << wire.DEVICE_SHIFT | self._slot_bytes
        shape = (self._count, self._length, self._vocabulary, size)
        wire.send(self._guest, Op.PLANES, *shape, descriptors=(self._inputs_at, logits))
        os.close(logits)

    def _rehearse(self, intake: Intake) -> None:
        """Score one slot of nothing."""
        import torch

        logits = intake.take(0, self._slot_bytes).view(torch.float16)
        logits = logits.view(-1, self._length, self._vocabulary)
        targets = torch.zeros(logits.shape[:2], dtype=torch.int64, device=logits.device)
        nats = cross_entropy(logits, targets)
        (nats.double() * (nats > 0)).sum()
        intake.scored(0)
        intake.wait()
        intake.complete()

    def _issue(self, rows: npt.NDArray[np.uint16], batch: int) -> None:
        """Send the next inputs; never more than `INPUTS` batches ahead of the logits."""
        if self._issued - self._scored > (INPUTS - 1) * batch:
            raise wire.ProtocolError("one batch more than fits")
        count = min(batch, self._count - self._issued)
        if not count:
            wire.send(self._guest, Op.END)
            return
        if not self._issued:
            wire.report(self._control, "shown")
        slot = (self._issued // batch) % INPUTS
        self._inputs[slot, :count] = rows[self._issued : self._issued + count, :-1]
        wire.send(self._guest, Op.INPUTS, slot, count, 0, self._issued)
        self._issued += count

    def _take(self, message: wire.Message) -> None:
        """Have one slot of logits copied, and the copy scored."""
        import torch

        slot, count = message.a, message.b
        dtypes = {
            Dtype.FLOAT32: torch.float32,
            Dtype.FLOAT16: torch.float16,
            Dtype.BFLOAT16: torch.bfloat16,
        }
        if (
            slot >= self._slots
            or message.c not in set(Dtype)
            or count > self._issued - self._scored
        ):
            raise wire.ProtocolError("logits that nobody asked for")
        dtype = dtypes[Dtype(message.c)]
        size = count * self._length * self._vocabulary * dtype.itemsize
        if not 0 < size <= self._slot_bytes:
            raise wire.ProtocolError("more logits than a slot holds")
        private = self.intake.take(slot, size)
        self._give_back()
        logits = private.view(dtype).view(count, self._length, self._vocabulary)
        self._judge.score(self._scored, logits)
        self.intake.scored(slot)
        self._scored += count

    def _give_back(self) -> None:
        """Slots that have been copied are the candidate's again."""
        if self._intake is not None:
            for slot in self._intake.complete():
                wire.send(self._guest, Op.FREE, slot)

    def _shape(self, message: wire.Message) -> str:
        found = [message.a, message.b, message.c][: min(message.d, 3)]
        return (
            f"model(x) returned {message.d}-dimensional logits {found}; it must return "
            f"[batch, {self._length}, {self._vocabulary}]."
        )


Evaluate = Callable[[dict[str, Any], socket.socket, socket.socket], bool]


def main(argv: list[str]) -> None:
    """Load when there is somebody to score, then score one evaluation; `argv[0]` is the job as JSON."""
    stand_by(json.loads(argv[0]), _evaluate)


def stand_by(job: dict[str, Any], evaluate: Evaluate) -> None:
    """Have one evaluation done on the lines of `job`, and report whatever keeps it from a result."""
    process.become_trusted()
    with (
        socket.socket(fileno=job["guest"]) as guest,
        socket.socket(fileno=job["control"]) as control,
    ):
        try:
            if _try(job, guest, control, evaluate):
                return
        except wire.PeerGone:
            with contextlib.suppress(wire.PeerGone):  # the runner has gone
                wire.report(control, "left")
        with contextlib.suppress(ConnectionResetError):
            # Stay until the runner hangs up: an early end looks like a fault.
            while control.recv(wire.WORD_LIMIT):
                pass


def _try(
    job: dict[str, Any], guest: socket.socket, control: socket.socket, evaluate: Evaluate
) -> bool:
    """Whether the evaluation came to a result; what went wrong is reported."""
    # The runner's first word comes with the first batch, and the candidate may ask before: a script that cannot
    # start costs nothing.
    select.select([guest, control], [], [])
    import torch  # while the candidate trains

    if job["threads"]:
        torch.set_num_threads(job["threads"])
    if job["device"] != "cpu":
        torch.cuda.is_available()  # loads the driver, and touches no device
    try:
        return evaluate(job, guest, control)
    except Invalid as fault:
        wire.report(control, "invalid", outcome=fault.outcome, reason=str(fault))
    except wire.ProtocolError as fault:
        wire.report(control, "violation", reason=f"it sent {fault} to the scorer")
    return False


def scored_rows(job: dict[str, Any]) -> npt.NDArray[np.uint16]:
    """uint16[n, T+1] of the rows that the job names under "val", and behind them those under "sealed"."""
    parts = []
    for kind in ("val", "sealed"):
        part = job[kind]
        if part["count"]:
            shape = (part["stored"], job["length"] + 1)
            stored = np.memmap(Path(part["path"]), np.uint16, mode="r", shape=shape)
            parts.append(stored[: part["count"]])
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _evaluate(job: dict[str, Any], guest: socket.socket, control: socket.socket) -> bool:
    """Score the validation rows, and the sealed ones behind them."""
    count, rows = job["val"]["count"], scored_rows(job)
    judge = Judge(rows, np.load(job["byte_table"]))
    scorer = Scorer(judge, job, guest, control)
    nats = scorer.serve(rows)
    tally, sealed = judge.tally(nats, slice(count)), judge.tally(nats, slice(count, None))
    if job["nats"] is not None:
        # For the audit, in memory that no candidate can reach.
        wire.write_all(job["nats"], nats.tobytes())
    reached("scorer.after-score")
    # The runner knows the score before the candidate does.
    wire.report(
        control,
        "scored",
        val_bpb=tally.bpb,
        val_nats=tally.nats / max(1, tally.tokens),
        sealed_bpb=sealed.bpb if sealed.count else None,
        tokens=tally.tokens,
        seconds=scorer.seconds,
        transport=scorer.transport,
        at=time.monotonic(),
    )
    wire.send(guest, Op.SCORE, d=wire.float_bits(tally.bpb))
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
