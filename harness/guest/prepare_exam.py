"""The guest's part of an evaluation: the weights go out sealed, then logits go out for inputs that come in.

The targets never come here, and neither does the arithmetic of the score. Batches only group the validation
rows; their order is fixed by the other side.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
from typing import Any

import numpy as np
import prepare_wire as wire
import torch
from prepare_wire import Line

TRANSPORT = (torch.float32, torch.float16, torch.bfloat16)  # in the order of harness.wire.Dtype
CHUNK = 64 << 20  # bytes of weights written at once
SAFETENSORS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}


def commit(line: Line, model: Any) -> None:
    """Send the weights as an immutable memory file in the safetensors format, which is data and no code.

    Raises ValueError when the harness does not take them, TypeError for what is no tensor.
    """
    tensors: dict[str, torch.Tensor] = model.state_dict()
    header, size = _header(tensors)
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for tensor in tensors.values():
            for part in tensor.detach().reshape(-1).view(torch.uint8).split(CHUNK):
                file.write(part.cpu().numpy())
        file.flush()
        # Written, never mapped: so it can be sealed against every further change.
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        line.send(wire.COMMIT, 0, 0, 0, size, descriptors=(descriptor,))
    line.receive()


def _header(tensors: dict[str, torch.Tensor]) -> tuple[bytes, int]:
    """The JSON header of a safetensors file, padded to 8 bytes, and the bytes of all tensors."""
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"state_dict()[{name!r}] is no tensor; weights are tensors only")
        end = offset + tensor.numel() * tensor.element_size()
        kind = SAFETENSORS[str(tensor.dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    return text + b" " * (-len(text) % 8), offset


class Exam:
    """One evaluation: two batches of inputs and a few slots of logits are in flight at a time."""

    def __init__(self, line: Line, device: str, batch_size: int) -> None:
        """Ask the scorer for validation rows in batches of `batch_size` (fewer when there are not as many)."""
        line.send(wire.EVALUATE, batch_size)
        _, self.rows, length, vocabulary, self._slot_bytes, (inputs, logits) = line.receive()
        self._line, self._device = line, device
        self.batch = min(batch_size, self.rows)
        self.shape = (self.batch, length, vocabulary)
        memory = mmap.mmap(inputs, os.fstat(inputs).st_size, prot=mmap.PROT_READ)
        self._inputs = np.frombuffer(memory, np.uint16).reshape(2, self.batch, length)
        size = os.fstat(logits).st_size
        self._plane = torch.frombuffer(mmap.mmap(logits, size), dtype=torch.uint8)
        if device != "cpu":  # pinned, for copies at the speed of the bus
            torch.cuda.cudart().cudaHostRegister(self._plane.data_ptr(), size, 0)
        self._free = list(range(size // self._slot_bytes))
        self._arrived: list[tuple[int, int]] = []  # slots of inputs, with their rows

    def request(self) -> None:
        """Ask for the next inputs."""
        self._line.send(wire.ROWS)

    def inputs(self) -> tuple[torch.Tensor, int]:
        """The next inputs int64 [B, T], and how many of the rows count; the last batch is filled up."""
        while not self._arrived:
            self._hear()
        slot, count = self._arrived.pop()
        rows = self._inputs[slot].astype("int64")
        rows[count:] = rows[0]  # the same shape throughout: a compiled model is not compiled again
        return torch.from_numpy(rows).to(self._device), count

    def check(self, logits: torch.Tensor) -> None:
        """Refuse logits of another shape than [B, T, V]; the harness is told, and ends the experiment."""
        if tuple(logits.shape) != self.shape:
            self._line.send(wire.SHAPE, *(*logits.shape, 0, 0, 0)[:3], logits.dim())
            raise ValueError(
                f"model(x) returned logits of shape {tuple(logits.shape)}, not {self.shape}"
            )

    def give(self, logits: torch.Tensor) -> None:
        """Copy logits [rows, T, V] out, slot by slot."""
        dtype = _transport(logits.dtype, self._device)
        row = logits.shape[1] * logits.shape[2] * dtype.itemsize
        for part in logits.split(self._slot_bytes // row):
            while not self._free:
                self._hear()
            slot = self._free.pop()
            start = slot * self._slot_bytes
            target = self._plane[start : start + len(part) * row].view(dtype).view(part.shape)
            # Converted before it travels: a copy that converts on its way does so on one CPU core.
            target.copy_(part if dtype == logits.dtype else _narrow(part).to(dtype))
            self._line.send(wire.LOGITS, slot, len(part), TRANSPORT.index(dtype))

    def score(self) -> float:
        """Wait for the score."""
        while (score := self._hear()) is None:
            pass
        return score

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


def evaluate(line: Line, device: str, model: Any, batch_size: int) -> float:
    """Run the model over all validation rows and return the scorer's bits per byte."""
    exam = Exam(line, device, batch_size)
    exam.request()
    with torch.no_grad():
        for first in range(0, exam.rows, exam.batch):
            x, count = exam.inputs()
            if first + exam.batch < exam.rows:
                exam.request()  # arrives while this batch is computed
            logits = model(x)
            exam.check(logits)
            exam.give(logits[:count])
    return exam.score()


def _transport(dtype: torch.dtype, device: str) -> torch.dtype:
    """The type in which logits travel: float32 goes as it is on a CPU, and as float16 over a GPU's bus."""
    if dtype == torch.float32 and device != "cpu":
        return torch.float16
    return dtype if dtype in TRANSPORT else torch.float32


def _narrow(logits: torch.Tensor) -> torch.Tensor:
    """Logits that fit into float16: only differences matter, so the largest of each token becomes 0."""
    return (logits - logits.amax(-1, keepdim=True)).clamp_(min=-60000.0)
