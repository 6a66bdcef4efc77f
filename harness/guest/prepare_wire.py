"""The guest's end of its two lines to the trusted side: fixed 24-byte messages, and descriptors now and then.

The message numbers are those of `harness.wire`, repeated because nothing of the harness but this folder is
visible to a candidate; a test compares them. No message means anything but these integers.
"""

from __future__ import annotations

import os
import select
import socket
import struct

MESSAGE = struct.Struct("<IIIIQ")
OPEN, RING, NEXT, BATCH, END, COMMIT, COMMITTED, REFUSED = range(1, 9)
EVALUATE, PLANES, ROWS, INPUTS, LOGITS, FREE, SCORE, SHAPE = range(9, 17)
RESTORE, WEIGHTS, PLAIN = range(17, 20)
DEVICE_SHIFT = 48
REFUSALS = {
    1: "the weights come too late: the time budget and its overrun are spent",
    2: "no row of the data set is that long, or the batch is empty",
    3: "that is more memory than the harness lends to one experiment",
    4: "the weights could still change",
}


class Line:
    """A connection to a trusted process."""

    def __init__(self, variable: str) -> None:
        """`variable` of the environment holds the number of the socket."""
        descriptor = int(os.environ[variable])
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)

    def send(self, op: int, *numbers: int, descriptors: tuple[int, ...] = ()) -> None:
        """Send one message of up to four numbers."""
        a, b, c, d = (*numbers, 0, 0, 0, 0)[:4]
        data = MESSAGE.pack(op, a, b, c, d)
        if descriptors:
            socket.send_fds(self._socket, [data], list(descriptors))
        else:
            self._socket.send(data)

    def receive(self) -> tuple[int, int, int, int, int, list[int]]:
        """The next message. Raises ValueError when the harness refuses, ConnectionError when it is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, MESSAGE.size, 2)
        if not data:
            raise ConnectionError("the harness has ended this experiment")
        op, a, b, c, d = MESSAGE.unpack(data)
        if op == REFUSED:
            raise ValueError(REFUSALS[a])
        return op, a, b, c, d, descriptors

    def has_mail(self) -> bool:
        """Whether a message waits."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def say_goodbye(self) -> None:
        """Nothing more will be said."""
        self._socket.shutdown(socket.SHUT_WR)
