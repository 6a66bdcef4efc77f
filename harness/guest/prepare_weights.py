"""The guest's part of a commit: the weights go out as an immutable memory file in the safetensors format.

That is data and no code. A GPU's tensors travel through a few pinned buffers, so that reading them off the device
and writing them to the file go on side by side. In a replay the weights of the training come back the same way.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import prepare_wire as wire
import torch
from prepare_wire import Line

CHUNK = 16 << 20  # bytes written at once
WRITERS = 4  # threads, each with a chunk
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
    """Send the weights. Raises ValueError when the harness does not take them, TypeError for what is no tensor."""
    tensors = _tensors(model)
    header, size = _header(tensors)
    front = struct.pack("<Q", len(header)) + header
    descriptor = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, len(front) + size)
        os.pwrite(descriptor, front, 0)
        _write(descriptor, len(front), tensors)
        # Written, never mapped: so it can be sealed against every further change.
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        line.send(wire.COMMIT, 0, 0, 0, size, descriptors=(descriptor,))
    finally:
        os.close(descriptor)
    line.receive()


def restore(line: Line, model: Any) -> None:
    """Give the model the weights that the training has committed. Raises ValueError when it is another model."""
    tensors = _tensors(model)
    line.send(wire.RESTORE)
    _, _, _, _, size, (descriptor,) = line.receive()
    memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    os.close(descriptor)
    length = struct.unpack_from("<Q", memory)[0]
    stored = json.loads(memory[8 : 8 + length])
    ours = {name: (SAFETENSORS[_kind(t)], list(t.shape)) for name, t in tensors.items()}
    theirs = {name: (facts["dtype"], facts["shape"]) for name, facts in stored.items()}
    if ours != theirs:
        odd = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
        raise ValueError(
            f"{len(odd)} tensors of the model are not those of the training, first {odd[0]!r}: build the same model "
            "whatever the budget is, and evaluate that one"
        )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch minds that the memory is read-only; it is only read
        for name, tensor in tensors.items():
            if tensor.numel():
                start = 8 + length + stored[name]["data_offsets"][0]
                flat = torch.frombuffer(
                    memory, dtype=tensor.dtype, count=tensor.numel(), offset=start
                )
                tensor.copy_(flat.view(tensor.shape))


def _tensors(model: Any) -> dict[str, torch.Tensor]:
    """The state of a model by name. Raises TypeError for what has none."""
    if not callable(getattr(model, "state_dict", None)):
        raise TypeError(
            f"evaluate_bpb wants a torch.nn.Module, not {type(model).__name__}: its weights are committed and its "
            "logits are scored"
        )
    tensors: dict[str, torch.Tensor] = model.state_dict()
    return tensors


def _kind(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _header(tensors: dict[str, torch.Tensor]) -> tuple[bytes, int]:
    """The JSON header of a safetensors file, padded to 8 bytes, and the bytes of all tensors."""
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"state_dict()[{name!r}] is no tensor; weights are tensors only")
        end = offset + tensor.numel() * tensor.element_size()
        kind = SAFETENSORS[_kind(tensor)]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    return text + b" " * (-len(text) % 8), offset


def _write(descriptor: int, offset: int, tensors: dict[str, torch.Tensor]) -> None:
    """Write all tensors one after another from byte `offset` on."""
    buffers: dict[int, torch.Tensor] = {}  # pinned, by their turn
    written: deque[Future[None]] = deque()
    with ThreadPoolExecutor(WRITERS) as pool:
        for turn, part in enumerate(_parts(tensors)):
            if len(written) == WRITERS:
                written.popleft().result()  # so the buffer of this turn is free
            copied = None
            if part.is_cuda:
                if turn % WRITERS not in buffers:
                    buffers[turn % WRITERS] = torch.empty(CHUNK, dtype=torch.uint8, pin_memory=True)
                part = buffers[turn % WRITERS][: len(part)].copy_(part, non_blocking=True)
                copied = torch.cuda.Event()
                copied.record()
            written.append(pool.submit(_put, descriptor, offset, part, copied))
            offset += len(part)
        for last in written:
            last.result()


def _parts(tensors: dict[str, torch.Tensor]) -> Iterator[torch.Tensor]:
    """All bytes in order, uint8 in pieces of CHUNK at most."""
    for tensor in tensors.values():
        if tensor.numel():
            yield from tensor.detach().reshape(-1).view(torch.uint8).split(CHUNK)


def _put(descriptor: int, offset: int, part: torch.Tensor, copied: Any) -> None:
    """Write uint8 [n] at `offset`, once it has arrived in host memory."""
    if copied is not None:
        copied.synchronize()
    data = memoryview(part.cpu().numpy())
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count
