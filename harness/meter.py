"""The data loader is the meter: a trusted process that serves packed rows, counts them and owns the clock.

It alone decides what a candidate has spent. It must never import torch, never trust a number that a candidate
sends, never show a row before it is counted, and never hold more memory for a candidate than `RING_LIMIT`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import process, wire
from harness.clock import WARMUP_BATCHES, BudgetClock
from harness.crashpoints import reached
from harness.roworder import Rows
from harness.spec import Budget
from harness.wire import Op, Refusal

COMMIT_LIMIT = 16 << 30  # bytes of weights
RING_SLOTS = 3  # one with the candidate, two to spare
RING_LIMIT = 1 << 30  # bytes, over all rings of a candidate
RINGS = 64  # batch shapes a candidate may open
OWN_CLOCK, WARMING, WARM = 1, 2, 4  # what a script says of itself when it asks for a batch
SAID = {OWN_CLOCK | WARMING: True, OWN_CLOCK | WARM: False}  # whether its warm-up goes on
REPORT_EVERY = 0.025  # seconds between two reports of a busy meter
IDLE_TICK = 0.25  # seconds between two reports of a waiting one


@dataclass(slots=True)
class Ring:
    """One batch shape: the slots that the candidate reads, and the batch that lies ready on our side."""

    descriptor: int
    slots: npt.NDArray[np.uint16]  # [RING_SLOTS, B, T+1]
    ahead: npt.NDArray[np.uint16]  # [B, T+1]; a slot would show it before it is counted
    turn: int = 0
    ready: int = 0  # epoch of the batch in `ahead`; 0 = there is none


@dataclass(frozen=True, slots=True)
class Replay:
    """The weights that a replay gets back instead of committing its own."""

    weights: int  # descriptor of a memory file that can never change again
    sha256: str


class Meter:
    """Serves one candidate over `guest`, reports to the runner over `control`.

    In a replay, which a blind audit asks for, the budget is nothing: no row is shown, and the script gets the
    weights of the training that is audited. In a smoke run every batch is of the warm-up, and no clock ever starts.
    """

    def __init__(
        self,
        rows: Rows,
        budget: Budget,
        guest: socket.socket,
        control: socket.socket,
        replay: Replay | None = None,
        *,
        smoke: bool = False,
    ) -> None:
        """`rows` of the training; with `replay` or in a `smoke` run, none of them is served."""
        self._rows, self._replay, self._smoke = rows, replay, smoke
        # The clock of these two never starts.
        idle = smoke or replay is not None
        self._clock = BudgetClock(replace(budget, setup_limit=math.inf) if idle else budget)
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
        if message.op == Op.COMMIT and self._replay is None:
            self._commit(message)
            return
        wire.close_all(message.descriptors)
        if message.op == Op.NEXT and message.a < len(self._rings):
            self._next(self._rings[message.a], asked, message.b)
        elif message.op == Op.OPEN:
            self._open(message.a, message.b)
        elif message.op == Op.RESTORE and self._replay and self._clock.end is None:
            self._restore(self._replay)
        else:
            raise wire.ProtocolError(f"message {message.op} out of turn")

    def _open(self, batch: int, length: int) -> None:
        if not (batch and length) or length > self._rows.length:
            wire.send(self._guest, Op.REFUSED, Refusal.SHAPE)
            return
        size = RING_SLOTS * batch * (length + 1) * 2
        held = sum(ring.slots.nbytes + ring.ahead.nbytes for ring in self._rings)
        if held + size + size // RING_SLOTS > RING_LIMIT or len(self._rings) == RINGS:
            wire.send(self._guest, Op.REFUSED, Refusal.SIZE)
            return
        descriptor, memory = wire.make_ring("rows", size)
        slots = np.frombuffer(memory, np.uint16).reshape(RING_SLOTS, batch, length + 1)
        self._rings.append(Ring(descriptor, slots, np.empty_like(slots[0])))
        wire.send(self._guest, Op.RING, len(self._rings) - 1, RING_SLOTS, descriptors=(descriptor,))

    def _next(self, ring: Ring, asked: float, said: int) -> None:
        """Serve a batch, or say that there is none; the budget counts from now, whenever rows were got ready."""
        clock, now = self._clock, time.monotonic()
        own_clock = bool(said & OWN_CLOCK)
        tokens = ring.slots[0, :, 1:].size
        if self._replay:
            over, warm = clock.end is not None or not own_clock, True
        elif self._smoke:  # the script's own side counts its steps, and a wall limit all the rest
            over, warm = clock.end is not None, True
        else:
            over = clock.spent(now, tokens, overtime=own_clock)
            warm = clock.warming(now, SAID.get(said))
        if over:
            wire.send(self._guest, Op.END)
            return
        first_data = not warm and clock.batches == clock.warm
        self._epoch = self._fill(ring, warm=warm)
        clock.served(now, tokens, warm=warm)
        fraction, data = round(1e9 * clock.fraction(now)), clock.batches - clock.warm
        wire.send(self._guest, Op.BATCH, ring.turn, self._epoch, fraction, data)
        self._busy_since = time.monotonic()
        self._waited += self._busy_since - asked
        if first_data or clock.batches == WARMUP_BATCHES + 1:
            # The runner takes the compiled kernels now, before any training counts.
            self._report(force=True)
        ring.turn = (ring.turn + 1) % RING_SLOTS
        if not warm:
            ring.ready = self._rows.next_into(ring.ahead)  # while the candidate works on this one

    def _fill(self, ring: Ring, *, warm: bool) -> int:
        """Put a batch into slot `turn`; returns its epoch."""
        slot = ring.slots[ring.turn]
        if warm:
            return self._rows.random_into(slot)
        if not ring.ready:
            return self._rows.next_into(slot)
        slot[:], epoch, ring.ready = ring.ahead, ring.ready, 0
        return epoch

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
                facts: dict[str, Any] = {
                    "refusal": refusal.name,
                    "seconds": self._clock.seconds(now),
                }
                wire.report(self._control, "refused", size=size, **facts)
                wire.send(self._guest, Op.REFUSED, refusal)
                return
            self._clock.start(now)
            self._clock.end = now
            self._report(force=True)
            # The runner keeps them: an audit starts from them again.
            wire.report(self._control, "committed", (weights,), at=now)
            reached("meter.after-commit")
            with contextlib.suppress(wire.PeerGone):  # weights are hashed, whoever has left
                wire.send(self._guest, Op.COMMITTED)
            # Sealed, the bytes stay what they are: hashing them may take its time beside the scoring.
            with mmap.mmap(weights, size, prot=mmap.PROT_READ) as memory:
                sha256 = hashlib.sha256(memory).hexdigest()
            wire.report(self._control, "hashed", sha256=sha256)
        finally:
            wire.close_all(message.descriptors)

    def _restore(self, replay: Replay) -> None:
        """Hand out the weights under audit, read-only; to the runner it is as if they had been committed."""
        self._clock.end = time.monotonic()
        self._report(force=True)
        wire.report(self._control, "committed", at=self._clock.end)
        size = os.fstat(replay.weights).st_size
        weights = os.open(f"/proc/self/fd/{replay.weights}", os.O_RDONLY | os.O_CLOEXEC)
        with contextlib.suppress(wire.PeerGone):
            wire.send(self._guest, Op.WEIGHTS, d=size, descriptors=(weights,))
        os.close(weights)
        wire.report(self._control, "hashed", sha256=replay.sha256)

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
    shape = (job["count"], job["length"] + 1)
    path = Path(job["rows"])
    stored = np.memmap(path, np.uint16, mode="r", shape=shape)
    rows = Rows(stored, job["seed"])
    replay = Replay(**job["replay"]) if job["replay"] else None
    with (
        socket.socket(fileno=job["guest"]) as guest,
        socket.socket(fileno=job["control"]) as control,
    ):
        try:
            budget = Budget(**job["budget"])
            Meter(rows, budget, guest, control, replay, smoke=job["smoke"]).serve()
        except wire.PeerGone:
            return  # the runner died between two messages; nobody is left to serve


if __name__ == "__main__":
    main(sys.argv[1:])
