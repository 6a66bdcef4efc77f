"""Transport between trusted and untrusted processes: fixed 24-byte messages, bulk data in sealed memory files.

Owns the message layout and the seals; a message never carries text, and nothing that a candidate sends is
ever parsed beyond these five integers. Trusted processes report to the runner in JSON, on sockets that no
candidate holds.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

MESSAGE = struct.Struct("<IIIIQ")
REPORT_LIMIT = 1 << 16  # bytes of one trusted report
MAX_DESCRIPTORS = 2  # in one message
# What the runner tells the scorer; behind the second one, where time counts, stands the training's tokens a second.
PREPARE, BEGIN = b"prepare", b"begin"
WORD_LIMIT = 32  # bytes of such a word
DEVICE_SHIFT = 48  # where in PLANES' d the number of slots in device memory stands
F_SEAL_FUTURE_WRITE = 0x10  # Linux 5.1; Python 3.11 has no name for it

# Nobody can change the size (a shrunk file would end the trusted reader with SIGBUS).
_FIXED_SIZE = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
IMMUTABLE = _FIXED_SIZE | fcntl.F_SEAL_WRITE


class Op(IntEnum):
    """What a message is about. The guest's `prepare` repeats these numbers; a test compares them."""

    OPEN = 1  # to the meter: a=B b=T; answered by RING
    RING = 2  # a=ring b=slots; descriptor: rows uint16[slots, B, T+1]
    NEXT = (
        3  # a=ring b=1 own clock, +2 its warm-up goes on, +4 it is over; answered by BATCH or END
    )
    BATCH = 4  # a=slot b=epoch c=fraction of the budget in 1e-9 d=batches of data served, 0: this one is of the warm-up
    END = 5  # the budget is spent, or no validation rows are left
    COMMIT = 6  # d=bytes; descriptor: an immutable memory file; answered by COMMITTED
    COMMITTED = 7
    REFUSED = 8  # a=Refusal
    EVALUATE = 9  # to the scorer: a=rows a batch; answered by PLANES
    # a=rows b=T c=V d=bytes of a slot, and in its highest 16 bits how many slots lie in device memory, 0 for host
    # memory; descriptors: inputs uint16[4, B, T], logits[slots]
    PLANES = 10
    ROWS = 11  # ask for the next inputs; answered by INPUTS or END
    INPUTS = 12  # a=slot b=rows d=index of the first row
    LOGITS = 13  # a=slot b=rows c=Dtype
    FREE = 14  # a=slot: the scorer has taken its copy
    SCORE = 15  # d=bits of the float64 val_bpb
    SHAPE = 16  # the model's logits have the wrong shape: a=B b=T c=V d=dimensions
    RESTORE = 17  # to the meter of a replay, instead of COMMIT; answered by WEIGHTS
    WEIGHTS = 18  # d=bytes; descriptor: the committed weights, immutable
    PLAIN = 19  # device memory cannot be mapped here; answered by PLANES in host memory


class Refusal(IntEnum):
    """Why the trusted side says no."""

    LATE = 1  # weights committed after the budget and its overrun
    SHAPE = 2  # a batch shape that no data set row can fill
    SIZE = 3  # more memory than a candidate may ask of a trusted process
    SEAL = 4  # a commit whose bytes could still change


class Dtype(IntEnum):
    """Types in which logits may come."""

    FLOAT32 = 0
    FLOAT16 = 1
    BFLOAT16 = 2


class PeerGone(Exception):
    """The other side has closed its end."""


class ProtocolError(Exception):
    """The other side sent something that is no message, or out of turn."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; the meaning of a…d is written down in `Op`."""

    op: int
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    descriptors: tuple[int, ...] = ()


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected pair that keeps message boundaries."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    sock: socket.socket,
    op: Op,
    a: int = 0,
    b: int = 0,
    c: int = 0,
    d: int = 0,
    descriptors: Sequence[int] = (),
) -> None:
    """Send one message. Raises PeerGone when nobody is there to read it."""
    data = MESSAGE.pack(op, a, b, c, d)
    try:
        if descriptors:
            socket.send_fds(sock, [data], list(descriptors))
        else:
            sock.send(data)
    except (BrokenPipeError, ConnectionResetError) as fault:
        raise PeerGone from fault


def recv(sock: socket.socket) -> Message:
    """Receive one message; the caller owns (and closes) its descriptors.

    Raises PeerGone at the end of the conversation and ProtocolError for anything that is not 24 bytes.
    """
    try:
        data, descriptors, flags, _ = socket.recv_fds(sock, MESSAGE.size + 1, MAX_DESCRIPTORS)
    except ConnectionResetError as fault:
        raise PeerGone from fault
    if not data:
        raise PeerGone
    if len(data) != MESSAGE.size or flags & socket.MSG_TRUNC:
        close_all(descriptors)
        raise ProtocolError(f"a message of {len(data)} bytes")
    op, a, b, c, d = MESSAGE.unpack(data)
    return Message(op, a, b, c, d, tuple(descriptors))


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that came unasked."""
    for descriptor in descriptors:
        os.close(descriptor)


def report(sock: socket.socket, event: str, descriptors: Sequence[int] = (), **facts: Any) -> None:
    """Tell the runner something; trusted ends only. Raises PeerGone when the runner has gone."""
    try:
        socket.send_fds(sock, [json.dumps({"event": event, **facts}).encode()], list(descriptors))
    except (BrokenPipeError, ConnectionResetError) as fault:
        raise PeerGone from fault


def hear(sock: socket.socket) -> dict[str, Any] | None:
    """Read one report, or None when nothing waits on a non-blocking socket. Raises PeerGone at the end.

    Descriptors that came along stand under "descriptors", and are the caller's to close.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(sock, REPORT_LIMIT, MAX_DESCRIPTORS)
    except BlockingIOError:
        return None
    except ConnectionResetError as fault:
        raise PeerGone from fault
    if not data:
        raise PeerGone
    message: dict[str, Any] = json.loads(data)
    if descriptors:
        message["descriptors"] = descriptors
    return message


def make_ring(name: str, size: int) -> tuple[int, mmap.mmap]:
    """A memory file of `size` bytes that we can write and every later holder can only read."""
    descriptor, memory = _memory_file(name, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _FIXED_SIZE | F_SEAL_FUTURE_WRITE)
    return descriptor, memory


def make_plane(name: str, size: int) -> tuple[int, mmap.mmap]:
    """A memory file of `size` bytes that its holders may write but never resize."""
    descriptor, memory = _memory_file(name, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _FIXED_SIZE)
    return descriptor, memory


def _memory_file(name: str, size: int) -> tuple[int, mmap.mmap]:
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    return descriptor, mmap.mmap(descriptor, size)


def make_store(name: str) -> int:
    """An empty memory file for trusted processes; the caller owns the descriptor."""
    return os.memfd_create(name, os.MFD_CLOEXEC)


def seal(descriptor: int) -> None:
    """Make the bytes of a memory file immutable, for every holder; none may have it mapped for writing."""
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, IMMUTABLE)


def write_all(descriptor: int, data: bytes) -> None:
    """Fill a store with `data`, from its beginning."""
    view, offset = memoryview(data), 0
    while offset < len(view):  # one call writes 2 GiB at most
        offset += os.pwrite(descriptor, view[offset:], offset)


def is_immutable(descriptor: int) -> bool:
    """Whether the bytes behind a descriptor can never change again; False for what is no memory file."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & IMMUTABLE == IMMUTABLE
    except OSError:
        return False


def float_bits(value: float) -> int:
    """A float64 as the integer that a message can carry."""
    bits: int = struct.unpack("<Q", struct.pack("<d", value))[0]
    return bits
