"""The commit: every tensor's bytes in the safetensors format, in a file that can never change again."""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

import harness
from harness import wire


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(Path(harness.__file__).parent / "guest"))
    yield importlib.import_module("prepare_weights")
    for name in ("prepare_weights", "prepare_wire"):
        sys.modules.pop(name, None)


class Model:
    def __init__(self, **tensors: object) -> None:
        self._tensors = tensors

    def state_dict(self) -> dict[str, object]:
        return self._tensors


def committed(weights: ModuleType, monkeypatch: pytest.MonkeyPatch, model: Model) -> bytes:
    """What the other end of the line receives."""
    ours, theirs = wire.pair()
    monkeypatch.setenv("LINE", str(theirs.detach()))
    line = weights.Line("LINE")
    with ours:
        ours.settimeout(10)
        script = threading.Thread(target=weights.commit, args=(line, model))
        script.start()
        message = wire.recv(ours)
        wire.send(ours, wire.Op.COMMITTED)
        script.join(10)
    line._socket.close()
    assert message.op == wire.Op.COMMIT
    (descriptor,) = message.descriptors
    assert wire.is_immutable(descriptor)
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def test_every_tensor_arrives_bit_by_bit(
    weights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "CHUNK", 1000)  # so that the large one needs many, on all threads
    tensors = {
        "large": torch.randn(100, 77),
        "turned": torch.randn(5, 3).T,
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "none": torch.empty(0, 4),
        "half": torch.randn(9).bfloat16(),
        "flags": torch.tensor([True, False]),
    }
    data = committed(weights, monkeypatch, Model(**tensors))
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    assert size % 8 == 0
    assert list(header) == list(tensors)
    for name, tensor in tensors.items():
        start, end = header[name]["data_offsets"]
        expected = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        assert body[start:end] == expected, name
        assert header[name]["shape"] == list(tensor.shape)
    assert end == len(body)


def test_what_is_no_tensor_is_no_weight(
    weights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="'config'"):
        weights.commit(None, Model(config={"lr": 1}))
