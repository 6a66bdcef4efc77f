"""Lends the terminal to another program, such as an editor or a shell, while the app stands aside.

The app has to be suspended around this. What the other program does to the terminal's modes, and ctrl+c typed into
it, does not reach the app.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from tui.terminal import TerminalGuard

_DEFERRED = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def lent() -> Iterator[None]:
    """Inside, the terminal belongs to whatever is started; afterwards it is ours, with the modes of before."""
    if sys.__stdin__ is None or sys.__stderr__ is None or not sys.__stdin__.isatty():
        yield  # a test without a terminal
        return
    guard = TerminalGuard(sys.__stdin__, sys.__stderr__)
    try:
        with _signals_deferred():
            yield
    finally:
        _take_back(sys.__stdin__.fileno())
        guard.restore()


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """ctrl+c is for the other program alone; what asks the app to leave is heard when it is back."""
    caught: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        caught.append(number)

    wake = signal.set_wakeup_fd(-1)  # else the event loop would find the ctrl+c there and leave
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, *_DEFERRED)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for last in [number for number in caught if number in _DEFERRED][-1:]:
            os.kill(os.getpid(), last)


def _take_back(terminal: int) -> None:
    """Be in the foreground again: a shell that was killed has not given the terminal back."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with suppress(OSError):
            os.tcsetpgrp(terminal, os.getpgrp())
    finally:
        signal.signal(signal.SIGTTOU, before)
