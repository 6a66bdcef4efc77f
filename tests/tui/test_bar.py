"""The progress bar: silent when things are quick, repainted in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Iterator

import pytest

from tui.commands.bar import Bar


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """Both ends of a pseudo terminal of 40 columns: where to read, and the stream to draw on."""
    import fcntl
    import struct
    import termios

    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def test_what_is_quick_needs_no_bar(clock: Clock) -> None:
    out = io.StringIO()
    with Bar(out, clock) as bar:
        for fraction in (0.0, 0.5, 1.0):
            clock.now += 0.3
            bar("Packing rows", fraction)
    assert out.getvalue() == ""


def test_elsewhere_a_line_every_few_seconds(clock: Clock) -> None:
    out = io.StringIO()
    with Bar(out, clock) as bar:
        for second in range(21):
            clock.now = float(second)
            bar("Packing rows", second / 20)
    lines = out.getvalue().splitlines()
    assert 4 <= len(lines) <= 5
    assert lines[1] == " 30% Packing rows, about 14 s left"
    assert "\r" not in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_in_a_terminal_one_line_is_repainted_and_wiped(
    clock: Clock, terminal: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    reader, stream = terminal
    with Bar(stream, clock) as bar:
        clock.now = 2.0
        bar("Downloading shard 3 of 11, which has a long name", 0.5)
    painted = os.read(reader, 4096).decode()
    assert "\n" not in painted
    first, last = painted.split("\r\x1b[K")[1:]
    assert first.startswith("[############............] 50%")
    assert len(first) <= 39  # a longer line would wrap, and repainting would climb down the screen
    assert last == ""


def test_a_dumb_terminal_gets_lines(
    clock: Clock, terminal: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    reader, stream = terminal
    with Bar(stream, clock) as bar:
        clock.now = 2.0
        bar("Packing rows", 0.5)
    assert os.read(reader, 4096) == b" 50% Packing rows, about 2 s left\r\n"


def test_a_message_cannot_paint_the_terminal(clock: Clock) -> None:
    out = io.StringIO()
    with Bar(out, clock) as bar:
        clock.now = 2.0
        bar("read \x1b[2Jodd.txt", 0.5)
    assert "\x1b" not in out.getvalue()
