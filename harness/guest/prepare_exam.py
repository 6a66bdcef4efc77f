"""The guest's part of an evaluation: inputs come in, logits go out.

The targets never come here, and neither does the arithmetic of the score. Batches only group the validation
rows; their order is fixed by the other side. On a GPU nothing waits for anything but the bus: while the logits of
one batch travel on a stream of their own, the next batch is computed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections import deque
from typing import Any

import numpy as np
import prepare_wire as wire
import torch
from prepare_wire import Line

TRANSPORT = (torch.float32, torch.float16, torch.bfloat16)  # in the order of harness.wire.Dtype
ELBOW_ROOM = 4 << 30  # bytes of device memory that scoring should find free


class Exam:
    """One evaluation. Made before the weights are committed, so that the scorer gets ready meanwhile."""

    def __init__(self, line: Line, device: str, batch_size: int) -> None:
        """Ask for validation rows in batches of `batch_size` (fewer when there are not as many)."""
        if device != "cpu" and torch.cuda.mem_get_info()[0] < ELBOW_ROOM:
            torch.cuda.empty_cache()  # what training has left unused is the scorer's and the logits' now
        line.send(wire.EVALUATE, batch_size)
        self._line, self._device, self._wanted = line, device, batch_size
        self._arrived: deque[tuple[int, int]] = deque()  # slots of inputs, with their rows
        # Rows whose inputs were asked for, and whose logits were sent.
        self._asked = self._announced = 0
        # Logits under way: when they have arrived, slot, rows, type, and what must live until then.
        self._under_way: deque[tuple[Any, int, int, int, torch.Tensor]] = deque()
        # The last batch, and when it is computed.
        self._held: tuple[torch.Tensor, Any] | None = None

    def run(self, model: Any) -> float:
        """Run the model over all validation rows and return the scorer's bits per byte."""
        self._open()
        self._ask()
        with torch.no_grad():
            for _ in range(0, self._rows, self._batch):
                x, count = self._inputs()
                self._ask()  # arrives while this batch is computed
                logits = model(x)
                self._check(logits)
                self._give(logits[:count])
        if self._held:
            self._ship(*self._held)
        while self._under_way:
            self._announce()
        while (score := self._hear()) is None:
            pass
        return score

    def _open(self) -> None:
        """Map the planes that the scorer has made."""
        _, self._rows, length, vocabulary, size, (inputs, logits) = self._line.receive()
        self._slot_bytes, slots = size % (1 << wire.DEVICE_SHIFT), size >> wire.DEVICE_SHIFT
        self._batch = min(self._wanted, self._rows)
        self._shape = (self._batch, length, vocabulary)
        memory = mmap.mmap(inputs, os.fstat(inputs).st_size, prot=mmap.PROT_READ)
        self._plane_in = np.frombuffer(memory, np.uint16).reshape(-1, self._batch, length)
        if self._device != "cpu":
            self._stream = torch.cuda.Stream()
        if slots and not self._borrow(logits, slots):
            self._line.send(wire.PLAIN)
            *_, (_, logits) = self._line.receive()
            slots = 0
        if not slots:
            self._plane = self._mapped(logits)
        self._free = list(range(len(self._plane) // self._slot_bytes))

    def _borrow(self, descriptor: int, slots: int) -> bool:
        """Use device memory of the scorer's, so that logits need not leave the GPU; False where that fails."""
        from prepare_device import borrow

        try:
            self._plane = borrow(descriptor, slots * self._slot_bytes)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _mapped(self, descriptor: int) -> torch.Tensor:
        """Host memory uint8; on a GPU pinned, for copies at the speed of the bus."""
        size = os.fstat(descriptor).st_size
        plane = torch.frombuffer(mmap.mmap(descriptor, size), dtype=torch.uint8)
        if self._device != "cpu":
            runtime = torch.cuda.cudart()
            done = runtime.cudaHostRegister(plane.data_ptr(), size, 0)
            if done != runtime.cudaError.success:  # the next operation reports it
                with contextlib.suppress(RuntimeError):
                    torch.zeros(1, device=self._device)
        return plane

    # ---- inputs ------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask for the next inputs, if there are more; never for a batch more than the plane holds."""
        ahead = (len(self._plane_in) - 1) * self._batch
        while self._asked - self._announced > ahead:
            self._announce()
        if self._asked < self._rows:
            self._asked += min(self._batch, self._rows - self._asked)
            self._line.send(wire.ROWS)

    def _inputs(self) -> tuple[torch.Tensor, int]:
        """The next inputs int64 [B, T], and how many of the rows count; the last batch is filled up."""
        while not self._arrived:
            self._hear()
        slot, count = self._arrived.popleft()
        rows = self._plane_in[slot].astype("int64")
        rows[count:] = rows[0]  # the same shape throughout: a compiled model is not compiled again
        x = torch.from_numpy(rows)
        if self._device != "cpu":  # pinned, or the copy would wait for all that is queued there
            x = x.pin_memory().to(self._device, non_blocking=True)
        return x, count

    # ---- logits ------------------------------------------------------------------------------------------

    def _check(self, logits: torch.Tensor) -> None:
        """Refuse logits of another shape than [B, T, V]; the harness is told, and ends the experiment."""
        if tuple(logits.shape) != self._shape:
            self._line.send(wire.SHAPE, *(*logits.shape, 0, 0, 0)[:3], logits.dim())
            raise ValueError(
                f"model(x) returned logits of shape {tuple(logits.shape)}, not {self._shape}"
            )

    def _give(self, logits: torch.Tensor) -> None:
        """Send logits [rows, T, V] out; a GPU's go when the next batch is queued behind them."""
        packed = _packed(logits)
        if not packed.is_cuda:
            self._ship(packed, None)
            return
        computed = torch.cuda.Event()
        computed.record()
        before, self._held = self._held, (packed, computed)
        if before:
            self._ship(*before)

    def _ship(self, packed: torch.Tensor, computed: Any) -> None:
        """Queue the copies of a batch into slots, as these come free."""
        row, kind = packed[0].nbytes, TRANSPORT.index(packed.dtype)
        for part in packed.split(self._slot_bytes // row):
            slot = self._slot()
            start = slot * self._slot_bytes
            target = self._plane[start : start + part.nbytes].view(part.dtype).view(part.shape)
            copied = None
            if computed is None:
                target.copy_(part)
            else:
                copied = torch.cuda.Event()
                with torch.cuda.stream(self._stream):
                    self._stream.wait_event(computed)
                    target.copy_(part, non_blocking=True)
                    copied.record()
            self._under_way.append((copied, slot, len(part), kind, part))
        self._announce_arrived()

    def _slot(self) -> int:
        """A free slot; meanwhile what has arrived in its slot is announced."""
        while True:
            self._announce_arrived()
            while self._line.has_mail():
                self._hear()
            if self._free:
                return self._free.pop()
            if self._under_way:
                self._announce()
            else:
                self._hear()

    def _announce_arrived(self) -> None:
        """Announce whatever needs no waiting."""
        while self._under_way:
            copied = self._under_way[0][0]
            if copied is not None and not copied.query():
                return
            self._announce()

    def _announce(self) -> None:
        """Tell the scorer of the oldest logits under way, once they have arrived."""
        copied, slot, count, kind, _ = self._under_way.popleft()
        if copied is not None:
            copied.synchronize()
        self._line.send(wire.LOGITS, slot, count, kind)
        self._announced += count

    def _hear(self) -> float | None:
        """Take one message; returns the score when it is that."""
        op, a, b, _, d, _ = self._line.receive()
        if op == wire.FREE:
            self._free.append(a)
        elif op == wire.INPUTS:
            self._arrived.append((a, b))
        elif op == wire.SCORE:
            return float(struct.unpack("<d", struct.pack("<Q", d))[0])
        return None


def _packed(logits: torch.Tensor) -> torch.Tensor:
    """Logits as they travel, in memory that the model does not use again."""
    if not logits.is_cuda:
        return logits if logits.dtype in TRANSPORT else logits.float()
    if logits.dtype in (torch.float16, torch.bfloat16):
        return logits.clone(memory_format=torch.contiguous_format)
    return _narrow(logits)


def _narrow(logits: torch.Tensor) -> torch.Tensor:
    """Logits as float16, half the way over the bus.

    Only differences matter to cross-entropy, so the largest of each token becomes 0: that is where float16 is
    finest, and nothing overflows.
    """
    narrow = torch.empty(logits.shape, dtype=torch.float16, device=logits.device)
    torch.sub(logits, logits.amax(-1, keepdim=True), out=narrow)
    return narrow.clamp_(min=-60000.0)
