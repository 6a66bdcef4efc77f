"""Keys in the order in which they were typed, one at a time: over SSH they come in bunches.

Textual hands on a key before it knows what the one before did, so of `:pin 12` typed at once the `p` would still reach
the view and pause the run. Here a key waits until the one before has been through.
"""

from __future__ import annotations

import time
from collections import deque

from textual import on
from textual.app import App
from textual.events import Event, Key
from textual.message import Message
from textual.message_pump import MessagePump

from tui.driver import TerminalDriver

STUCK = 0.25  # seconds; what a key was sent to may close, and must not make the app deaf
INTERRUPT = "ctrl+c"  # throws away what was typed and not done yet, as terminals themselves do
ROUNDS = 2  # what the key did, then what was posted by that


class Passed(Message):
    """Goes the way that a key went, behind it, and so arrives once the key has done what it does."""


class OrderlyApp(App[int], inherit_bindings=False):
    """An app that takes one key at a time."""

    def __init__(self) -> None:
        """Nothing has been typed."""
        super().__init__(driver_class=TerminalDriver, ansi_color=None)
        self._typed: deque[Key] = deque()  # the first one is in hand
        self._rounds = 0
        self._since = 0.0  # when the one in hand was taken, monotonic seconds

    async def on_event(self, event: Event) -> None:
        """As Textual's, but a key waits for the one before."""
        if not isinstance(event, Key) or event.is_forwarded:
            await super().on_event(event)
            return
        if event.key == INTERRUPT:
            while len(self._typed) > 1:  # all but the one in hand
                self._typed.pop()
        self._typed.append(event)
        if len(self._typed) == 1:
            await self._take_key()
        elif len(self._typed) == 2:  # the first that waits; `_next_key` sees to those behind it
            self.set_timer(STUCK, self._unstick)

    async def _take_key(self) -> None:
        """Do what the first key says; what comes next waits for the second `Passed`."""
        self._since, self._rounds = time.monotonic(), 0
        event, target = self._typed[0], self._goal()
        await super().on_event(event)
        self._send_after(target if event.is_forwarded else self._goal())

    def _send_after(self, target: MessagePump) -> None:
        if not target.post_message(Passed()):  # it went with its last key
            self.post_message(Passed())

    def _goal(self) -> MessagePump:
        return self.focused or self.screen

    @on(Passed)
    async def _passed(self) -> None:
        self._rounds += 1
        if self._exit:  # it is being left, and may have no screen any more
            self._typed.clear()
        elif self._rounds < ROUNDS:
            self._send_after(self._goal())
        else:
            await self._next_key()

    async def _next_key(self) -> None:
        if self._typed:
            self._typed.popleft()
        if len(self._typed) > 1:
            self.set_timer(STUCK, self._unstick)
        if self._typed:
            await self._take_key()

    async def _unstick(self) -> None:
        if time.monotonic() - self._since >= STUCK:
            await self._next_key()

    def on_key(self, event: Key) -> None:
        """What was typed while an input was opening belongs into it.

        An input keeps what can be printed to itself, so what gets here was on its way before it had the keys.
        """
        entry = self.focused
        if (
            event.is_printable
            and entry is not None
            and entry.check_consume_key(event.key, event.character)
        ):
            event.prevent_default()
            entry.post_message(Key(event.key, event.character))
