"""Messages are 24 bytes and nothing else; memory files keep their seals."""

from __future__ import annotations

import mmap
import os
import runpy
from pathlib import Path

import pytest

from harness import wire
from harness.wire import Op


def test_a_message_arrives_as_it_was_sent_with_its_descriptors() -> None:
    ours, theirs = wire.pair()
    with ours, theirs:
        descriptor, memory = wire.make_ring("ring", 4096)
        memory[:5] = b"hello"
        wire.send(ours, Op.RING, 1, 2, 3, 2**63, descriptors=[descriptor])
        message = wire.recv(theirs)
    assert (message.op, message.a, message.b, message.c, message.d) == (Op.RING, 1, 2, 3, 2**63)
    with mmap.mmap(message.descriptors[0], 4096, prot=mmap.PROT_READ) as view:
        assert view[:5] == b"hello"
    wire.close_all([descriptor, *message.descriptors])


@pytest.mark.parametrize("junk", [b"x", b"x" * 23, b"x" * 25, b"x" * 5000])
def test_anything_but_24_bytes_is_a_protocol_error(junk: bytes) -> None:
    ours, theirs = wire.pair()
    with ours, theirs:
        ours.send(junk)
        with pytest.raises(wire.ProtocolError):
            wire.recv(theirs)


def test_the_end_of_the_conversation_is_noticed_on_both_sides() -> None:
    ours, theirs = wire.pair()
    with theirs:
        ours.close()
        with pytest.raises(wire.PeerGone):
            wire.recv(theirs)
        with pytest.raises(wire.PeerGone):
            wire.send(theirs, Op.NEXT)


def test_whoever_receives_a_ring_can_only_read_it() -> None:
    descriptor, memory = wire.make_ring("ring", 4096)
    memory[0] = 7  # we can
    with pytest.raises(PermissionError):
        mmap.mmap(descriptor, 4096)
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_a_plane_can_be_written_but_never_resized() -> None:
    descriptor, memory = wire.make_plane("plane", 4096)
    with mmap.mmap(descriptor, 4096) as theirs:
        theirs[0] = 9
    assert memory[0] == 9
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    os.close(descriptor)


def test_only_fully_sealed_bytes_are_immutable() -> None:
    descriptor, _ = wire.make_plane("plane", 4096)
    assert not wire.is_immutable(descriptor)
    os.close(descriptor)
    read, write = os.pipe()
    assert not wire.is_immutable(read)
    wire.close_all([read, write])


def test_the_guest_speaks_the_same_numbers() -> None:
    guest = Path(wire.__file__).parent / "guest" / "prepare_wire.py"
    names = runpy.run_path(str(guest))
    assert {op.name: int(op) for op in Op} == {op.name: names[op.name] for op in Op}
    assert set(names["REFUSALS"]) == set(wire.Refusal)
    assert names["MESSAGE"].format == wire.MESSAGE.format


def test_reports_are_json_and_the_runner_never_blocks_on_them() -> None:
    ours, theirs = wire.pair()
    with theirs:
        ours.setblocking(False)
        assert wire.hear(ours) is None
        wire.report(theirs, "scored", val_bpb=1.5)
        assert wire.hear(ours) == {"event": "scored", "val_bpb": 1.5}
        ours.close()
        with pytest.raises(wire.PeerGone):
            wire.report(theirs, "late")
