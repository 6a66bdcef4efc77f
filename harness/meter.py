"""The data loader is the meter: a trusted process that serves packed rows, counts them and owns the clock.

It alone decides what a candidate has spent. It must never import torch, never trust a number that a candidate
sends, and never hold more memory for a candidate than `RING_LIMIT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import process, wire
from harness.roworder import RowOrder
from harness.spec import Budget
from harness.wire import Op, Refusal

WARMUP_BATCHES = 16  # before the clock of a `seconds` budget starts: compilation is free
COMMIT_GRACE = 3.0  # seconds to finish the last step and hand the weights over
COMMIT_LIMIT = 16 << 30  # bytes of weights
COMMIT_RATE = 1 << 30  # bytes a second that handing them over may take, on top of the grace
RING_SLOTS = 4  # one with the candidate, one filled ahead, two to spare
RING_LIMIT = 1 << 30  # bytes, over all rings of a candidate
RINGS = 64  # batch shapes a candidate may open
REPORT_EVERY = 0.025  # seconds between two reports of a busy meter
IDLE_TICK = 0.25  # seconds between two reports of a waiting one


@dataclass(slots=True)
class BudgetClock:
    """What has been spent of a budget. All times are seconds on one monotonic clock, given by the caller."""

    budget: Budget
    first: float | None = None  # when the first batch was served
    batches: int = 0
    tokens: int = 0
    tokens_before: int = 0  # served before the clock started
    end: float | None = None  # when the weights were committed
    _start: float | None = None

    def served(self, now: float, tokens: int) -> None:
        """Count one batch of `tokens` tokens, served at `now`."""
        self.start(now)
        if self.first is None:
            self.first = now
        self.batches += 1
        if self._start is None and (
            self.budget.kind == "tokens" or self.batches == WARMUP_BATCHES + 1
        ):
            self._start, self.tokens_before = now, self.tokens
        self.tokens += tokens

    def start(self, now: float) -> float | None:
        """When the clock started: at the 17th batch, or `setup_limit` after the first; None before that."""
        limit = self.budget.setup_limit
        if self._start is None and self.first is not None and now > self.first + limit:
            self._start, self.tokens_before = self.first + limit, self.tokens
        return self._start

    def seconds(self, now: float) -> float:
        """Seconds on the clock; it stands still once the weights are committed."""
        start = self.start(now)
        return 0.0 if start is None else max(0.0, (now if self.end is None else self.end) - start)

    def fraction(self, now: float) -> float:
        """Share of the budget that is spent, 0…1."""
        spent = self.tokens if self.budget.kind == "tokens" else self.seconds(now)
        return min(1.0, spent / self.budget.amount)

    def spent(self, now: float, tokens: int, *, overtime: bool = False) -> bool:
        """Whether a batch of `tokens` tokens more is out of the question.

        A script that keeps its own time (`overtime`) is served until the overrun is used up as well, so that
        its own clock ends it and not ours. A budget of tokens is never exceeded.
        """
        if self.end is not None:
            return True
        if self.budget.kind == "tokens":
            return self.tokens + tokens > self.budget.amount
        share = 1 + self.budget.overrun if overtime else 1.0
        return self.seconds(now) >= self.budget.amount * share

    def late(self, now: float, size: int) -> bool:
        """Whether weights of `size` bytes that arrive at `now` come too late to count."""
        if self.budget.kind == "tokens":
            return False
        allowed = self.budget.amount * (1 + self.budget.overrun) + COMMIT_GRACE + size / COMMIT_RATE
        return self.seconds(now) > allowed


@dataclass(slots=True)
class Ring:
    """One batch shape: its shared slots and the batch that lies ready in the next of them."""

    descriptor: int
    slots: npt.NDArray[np.uint16]  # [RING_SLOTS, B, T+1]
    turn: int = 0
    ready: int | None = None  # epoch of the batch in slot `turn`


class Meter:
    """Serves one candidate over `guest`, reports to the runner over `control`."""

    def __init__(
        self,
        rows: npt.NDArray[np.uint16],
        seed: int,
        budget: Budget,
        guest: socket.socket,
        control: socket.socket,
    ) -> None:
        """`rows`: uint16[n, T+1] training rows."""
        self._rows = rows
        self._order = RowOrder(len(rows), seed)
        self._clock = BudgetClock(budget)
        self._guest, self._control = guest, control
        self._rings: list[Ring] = []
        self._epoch = 0
        self._reported = 0.0
        self._opened: float | None = None  # when the candidate spoke first
        self._busy_since = self._waited = 0.0

    def serve(self) -> None:
        """Answer the candidate until the runner hangs up."""
        poll = select.poll()
        poll.register(self._guest, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        while True:
            ready = dict(poll.poll(0))
            # What waits already may have come at any moment since we were busy; it is counted from there.
            asked = self._busy_since if ready else None
            ready = ready or dict(poll.poll(1000 * IDLE_TICK))
            if self._control.fileno() in ready:
                return  # the runner never speaks; this is its end
            if ready:
                try:
                    self._answer(wire.recv(self._guest), asked or time.monotonic())
                except wire.PeerGone:
                    poll.unregister(self._guest)
                    # It will say no more, and is there still: a goodbye. Otherwise it is dead, which others see.
                    if not ready[self._guest.fileno()] & select.POLLHUP:
                        wire.report(self._control, "goodbye")
                except wire.ProtocolError as fault:
                    poll.unregister(self._guest)
                    wire.report(self._control, "violation", reason=f"it sent {fault} to the meter")
            self._report()

    def _answer(self, message: wire.Message, asked: float) -> None:
        """Answer a message that came at `asked`."""
        if self._opened is None:
            self._opened = time.monotonic()
        if message.op == Op.COMMIT:
            self._commit(message)
            return
        wire.close_all(message.descriptors)
        if message.op == Op.NEXT and message.a < len(self._rings):
            self._next(message.a, asked, overtime=bool(message.b))
        elif message.op == Op.OPEN:
            self._open(message.a, message.b)
        else:
            raise wire.ProtocolError(f"message {message.op} out of turn")

    def _open(self, batch: int, length: int) -> None:
        if not (batch and length) or length >= self._rows.shape[1]:
            wire.send(self._guest, Op.REFUSED, Refusal.SHAPE)
            return
        size = RING_SLOTS * batch * (length + 1) * 2
        held = sum(ring.slots.nbytes for ring in self._rings)
        if held + size > RING_LIMIT or len(self._rings) == RINGS:
            wire.send(self._guest, Op.REFUSED, Refusal.SIZE)
            return
        descriptor, memory = wire.make_ring("rows", size)
        slots = np.frombuffer(memory, np.uint16).reshape(RING_SLOTS, batch, length + 1)
        self._rings.append(Ring(descriptor, slots))
        wire.send(self._guest, Op.RING, len(self._rings) - 1, RING_SLOTS, descriptors=(descriptor,))

    def _next(self, number: int, asked: float, *, overtime: bool) -> None:
        """Serve a batch, or say that there is none; the budget counts from now, whenever rows were got ready."""
        ring, clock, now = self._rings[number], self._clock, time.monotonic()
        tokens = ring.slots.shape[1] * (ring.slots.shape[2] - 1)
        if clock.spent(now, tokens, overtime=overtime):
            wire.send(self._guest, Op.END)
            return
        slot, epoch = ring.turn, ring.ready or self._fill(ring)
        clock.served(now, tokens)
        self._epoch = epoch
        fraction = round(1e9 * clock.fraction(now))
        wire.send(self._guest, Op.BATCH, slot, epoch, fraction, clock.batches)
        self._busy_since = time.monotonic()
        self._waited += self._busy_since - asked
        if clock.batches == WARMUP_BATCHES + 1:
            # The runner takes the compiled kernels now, before any training counts.
            self._report(force=True)
        ring.turn = (slot + 1) % RING_SLOTS
        ring.ready = self._fill(ring)  # while the candidate works on this one

    def _fill(self, ring: Ring) -> int:
        """Put the next rows into slot `turn`; returns their epoch."""
        batch, width = ring.slots.shape[1:]
        numbers, slot = self._order.take(batch), ring.slots[ring.turn]
        if width == self._rows.shape[1]:
            np.take(self._rows, numbers, axis=0, out=slot, mode="clip")  # "clip": no buffer between
        else:
            slot[:] = self._rows[numbers, :width]  # the start of each row, where a document begins
        return self._order.epoch

    def _commit(self, message: wire.Message) -> None:
        """Time-stamp and hash the weights; only bytes that can never change again count."""
        now = time.monotonic()
        try:
            if self._clock.end is not None or len(message.descriptors) != 1:
                raise wire.ProtocolError("a commit out of turn")
            (weights,) = message.descriptors
            size = os.fstat(weights).st_size
            refusal = self._refusal(weights, size, now)
            if refusal:
                facts = {"refusal": refusal.name, "seconds": self._clock.seconds(now)}
                wire.report(self._control, "refused", size=size, **facts)
                wire.send(self._guest, Op.REFUSED, refusal)
                return
            self._clock.start(now)
            self._clock.end = now
            self._report(force=True)
            wire.report(self._control, "committed", at=now)
            with contextlib.suppress(wire.PeerGone):  # weights are hashed, whoever has left
                wire.send(self._guest, Op.COMMITTED)
            # Sealed, the bytes stay what they are: hashing them may take its time beside the scoring.
            with mmap.mmap(weights, size, prot=mmap.PROT_READ) as memory:
                sha256 = hashlib.sha256(memory).hexdigest()
            wire.report(self._control, "hashed", sha256=sha256)
        finally:
            wire.close_all(message.descriptors)

    def _refusal(self, weights: int, size: int, now: float) -> Refusal | None:
        if self._clock.late(now, size):
            return Refusal.LATE
        if not 0 < size <= COMMIT_LIMIT:
            return Refusal.SIZE
        return None if wire.is_immutable(weights) else Refusal.SEAL

    def _report(self, *, force: bool = False) -> None:
        """Tell the runner where the budget stands, a few times a second at most."""
        now, clock = time.monotonic(), self._clock
        if clock.first is None or not (force or now - self._reported >= REPORT_EVERY):
            return
        self._reported = now
        wire.report(
            self._control,
            "spent",
            fraction=clock.fraction(now),
            seconds=clock.seconds(now),
            tokens=clock.tokens,
            counted=clock.tokens - clock.tokens_before,
            epoch=self._epoch,
            first=clock.first,
            start=clock.start(now),
            batches=clock.batches,
            opened=self._opened,
            waited=self._waited,
        )


def main(argv: list[str]) -> None:
    """Serve until the runner hangs up; `argv[0]` is the job as JSON."""
    process.become_trusted()
    job: dict[str, Any] = json.loads(argv[0])
    rows = np.memmap(
        Path(job["rows"]), np.uint16, mode="r", shape=(job["count"], job["length"] + 1)
    )
    with (
        socket.socket(fileno=job["guest"]) as guest,
        socket.socket(fileno=job["control"]) as control,
    ):
        try:
            Meter(rows, job["seed"], Budget(**job["budget"]), guest, control).serve()
        except wire.PeerGone:
            return  # the runner died between two messages; nobody is left to serve


if __name__ == "__main__":
    main(sys.argv[1:])
