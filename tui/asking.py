"""The app's line to the run: one look at the journal every half second, questions, and commands with their answers.

It owns the view state and the rhythm and knows no view: what a screen wants comes as a message. It writes nothing but
command rows; the engine goes on without it, and any number of apps may watch the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from textual import on
from textual.app import App

from tui.feed import Fault, Feed
from tui.keys import LOG, POPULATION
from tui.messages import Ask, Fetch, Mark, Say
from tui.screens.view import Resumed, ViewScreen
from tui.state import (
    Asked,
    ViewState,
    advice,
    engine_alive,
    with_asked,
    with_mark,
    with_notice,
    with_reading,
)
from tui.widgets.ink import Ink
from tui.widgets.tables import time_of_day

T = TypeVar("T")

TICK = 0.5  # seconds between looks at the journal


class AskingApp(App[int], inherit_bindings=False):
    """An app on a feed. `feed` reads, the screens show, this class connects them."""

    def __init__(self, feed: Feed, state: ViewState) -> None:
        """`state` is painted first."""
        super().__init__(ansi_color=None)
        self._feed = feed
        self.state = state
        self._wake = asyncio.Event()

    # ---- looking ---------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Look at the journal again and again, and show what it brought."""
        while True:
            look = partial(
                self._feed.look,
                candidates=self.current_mode == POPULATION,
                events=self.current_mode == LOG,
            )
            reading = await self._in_feed(look)
            state = with_reading(self.state, reading)
            if state is not self.state:
                self.take(state)
            # Not wait_for: before Python 3.12 it can swallow the cancellation that ends this loop.
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
            self._wake.clear()

    async def _in_feed(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._feed.thread, work)

    def take(self, state: ViewState) -> None:
        """This is the state now: show it in the view in front."""
        self.state = state
        screen = self.screen
        if isinstance(screen, ViewScreen):
            screen.show(state)

    @on(Resumed)
    def _resumed(self) -> None:
        self.take(self.state)
        self._wake.set()

    @on(Mark)
    def _mark(self, message: Mark) -> None:
        self.take(with_mark(self.state, message.candidate))

    @on(Say)
    def _say(self, message: Say) -> None:
        self.say(message.text)

    def say(self, text: str, ink: Ink = Ink.PLAIN) -> None:
        """Say something in the notice line."""
        self.take(with_notice(self.state, text, ink))

    @on(Fetch)
    def _fetch(self, message: Fetch) -> None:
        self.run_worker(self._fetched(message), group="fetch")

    async def _fetched(self, wanted: Fetch) -> None:
        found = await self._in_feed(partial(self._feed.fetch, wanted.work, wanted.about))
        if isinstance(found, Fault):
            self.say(found.sentence, Ink.WARN)
        else:
            wanted.done(found)

    # ---- asking the engine -----------------------------------------------------------------------------

    @on(Ask)
    def _ask(self, message: Ask) -> None:
        self.ask(message.verb, message.words, message.args)

    def ask(self, verb: str, words: str, args: dict[str, Any] | None = None) -> None:
        """Send a command; it is pending until the engine answers. Without an engine nothing is sent."""
        snapshot = self.state.snapshot
        if self.state.read_only:
            self.say("This app only watches (read-only).", Ink.WARN)
        elif snapshot is None or not engine_alive(snapshot.engine):
            hint = advice(self.state, time_of_day)
            self.say(hint.text if hint is not None else "No engine answers yet.", Ink.WARN)
        else:
            self.run_worker(self._send(verb, words, args or {}), group="send")

    async def _send(self, verb: str, words: str, args: dict[str, Any]) -> None:
        sent = await self._in_feed(partial(self._feed.send, verb, args))
        if isinstance(sent, str):
            self.say(sent, Ink.BAD)
            return
        asked = Asked(sent, words, str(args.get("key", "")), str(args.get("value", "")))
        self.take(with_asked(self.state, asked))
        self._wake.set()
