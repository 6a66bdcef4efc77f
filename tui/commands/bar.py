"""A progress bar on stderr for anything longer than two seconds: repainted in a terminal, lines elsewhere.

It only draws what it is told, at most ten times a second, and never touches stdout.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from tui.plain import duration, one_line

_WIDTH = 24  # cells of the bar
_QUIET = 1.0  # seconds before the first sign: what is faster needs none
_REPAINT = 0.1  # seconds between repaints in a terminal
_LINE = 5.0  # seconds between lines elsewhere


class Bar:
    """`with Bar() as bar: bar("Downloading shard 3 of 11", 0.27)`."""

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Draw on `stream` (default: stderr as it is now); `clock` counts seconds."""
        self._stream = stream or sys.stderr
        self._clock = clock
        self._repaints = self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._started = clock()
        self._drawn = -math.inf
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._repaints and self._last:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __call__(self, message: str, fraction: float) -> None:
        """Show `message` and how much is done, 0…1, with the time that is left."""
        now = self._clock()
        if now - self._started < _QUIET:
            return
        done = min(1.0, max(0.0, fraction))
        if now - self._drawn < (_REPAINT if self._repaints else _LINE):
            return
        self._drawn = now
        self._draw(one_line(message), done, now - self._started)

    def line(self, text: str) -> None:
        """Show a line of the caller's own instead of a bar, at the same pace."""
        now = self._clock()
        if now - self._drawn >= (_REPAINT if self._repaints else _LINE):
            self._drawn = now
            self._write(text)

    def _draw(self, message: str, done: float, elapsed: float) -> None:
        left = f", about {duration(elapsed / done - elapsed)} left" if done > 0.05 else ""
        full = round(done * _WIDTH)
        bar = f"[{'#' * full}{'.' * (_WIDTH - full)}] " if self._repaints else ""
        self._write(f"{bar}{done:4.0%} {message}{left}")

    def _write(self, text: str) -> None:
        if text == self._last:
            return
        self._last = text
        if self._repaints:
            # A terminal that does not tell its width says 0.
            room = (os.get_terminal_size(self._stream.fileno()).columns or 80) - 1
            self._stream.write(f"\r\x1b[K{one_line(text, room)}")
        else:
            self._stream.write(f"{text}\n")
        self._stream.flush()
