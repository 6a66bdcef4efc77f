"""Textual's driver, made quiet and sturdy: it sleeps until a byte comes, survives bytes that are no text, and knows
whether the terminal still swallows what was painted.

Textual's own input thread wakes ten times a second to see whether a lone escape has waited long enough, which is a
third of what an idle app costs; and it ends the app at the first byte that is not UTF-8, which tmux re-attaching, SSH
reconnecting and old mouse reports send. Nothing here draws.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import time
from typing import Any

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

READ = 64 * 1024  # bytes at a time; a pasted page comes in one piece
TICK = 0.05  # seconds between questions to the parser while an escape sequence may be incomplete
SETTLED = 1.0  # seconds without input after which no sequence is open any more
# A paste whose end was lost on the way would swallow every key for ever. So long a silence ends it; it is not
# shorter, because the rest of a paste over a stalled connection would then come as keys.
LOST = 5.0  # seconds
PASTE_END = "\x1b[201~"


class TerminalDriver(LinuxDriver):
    """A driver for a terminal that may be slow, far away, or send anything."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """The arguments of Textual's own driver."""
        super().__init__(*args, **options)
        self._wake: tuple[int, int] | None = (
            None  # the input thread reads one end: it is time to stop
        )

    @property
    def behind(self) -> bool:
        """True while frames wait for a terminal that does not read: a stalled connection, a held screen."""
        writer = self._writer_thread
        return writer is not None and not writer._queue.empty()

    def start_application_mode(self) -> None:
        """Take over the terminal and begin to listen."""
        self._close_wake()
        self._wake = os.pipe()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def disable_input(self) -> None:
        """Stop listening, at once."""
        if self._wake is not None:
            # The other end is never emptied, so the thread cannot miss it and go back to sleep.
            os.write(self._wake[1], b"!")
        super().disable_input()
        self._close_wake()

    def _close_wake(self) -> None:
        if self._wake is not None:
            for end in self._wake:
                os.close(end)
            self._wake = None

    def run_input_thread(self) -> None:
        """Turn bytes into events until `disable_input`."""
        if self._wake is None:
            return
        parser = XTermParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        sources = [self.fileno, self._wake[0]]
        last, asleep = time.monotonic(), False
        while not self.exit_event.is_set():
            quiet = time.monotonic() - last
            patience = None if asleep else TICK if quiet < SETTLED else LOST
            ready, _, _ = select.select(sources, [], [], patience)
            typed = ""
            if self.fileno in ready:
                last, asleep = time.monotonic(), False
                typed = decode(self._read())
            elif patience == LOST and not ready:
                typed, asleep = PASTE_END, True
            for event in (*parser.feed(typed), *parser.tick()) if typed else parser.tick():
                self.process_message(event)

    def _read(self) -> bytes:
        """What was typed. Where the terminal has gone, end as on a hang-up, which may not have been told."""
        try:
            data = os.read(self.fileno, READ)
        except OSError:
            data = b""
        if not data:
            self.exit_event.set()
            os.kill(os.getpid(), signal.SIGHUP)
        return data
