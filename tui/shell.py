"""The full-screen app itself: shows a run, and passes on what a person asks for.

It owns the view state and the rhythm (one look at the journal every half second, one frame a look). It writes
nothing but command rows; the engine goes on without it, and any number of apps may watch the same run.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from textual import on
from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType

from tui.feed import Feed
from tui.keys import LIVE, LOG, POPULATION
from tui.messages import Ask, Copy, Open, Say
from tui.screens.live import LiveScreen
from tui.screens.pages import DetailsScreen, HelpScreen, PageScreen
from tui.screens.view import HEIGHTS, WIDTHS, Resumed, ViewScreen
from tui.state import (
    Asked,
    ViewState,
    advice,
    engine_alive,
    engine_word,
    wished_size,
    with_asked,
    with_notice,
    with_reading,
)
from tui.terminal import copy, on_signals
from tui.widgets.ink import Ink
from tui.widgets.tables import time_of_day

if TYPE_CHECKING:
    from textual.screen import Screen

T = TypeVar("T")

TICK = 0.5  # seconds between looks at the journal


class AutoresearchApp(App[int], inherit_bindings=False):
    """The app. `feed` reads, the screens show, this class connects them."""

    TITLE = "autoresearch"
    CSS_PATH = "screens/view.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "detach", "detach", show=False)]
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS

    def __init__(self, feed: Feed, state: ViewState, crash_log: Path | None = None) -> None:
        """`state` is painted first; `crash_log` receives the traceback of a fault of this app."""
        super().__init__(ansi_color=None)
        self._feed = feed
        self.state = state
        self._wake = asyncio.Event()
        self._crash_log = crash_log
        self.add_mode(LIVE, lambda: LiveScreen(self.state))
        self.add_mode(POPULATION, self._population)
        self.add_mode(LOG, self._story)

    # Views that are not the first one are loaded when they are first wanted.

    def _population(self) -> Screen[None]:
        from tui.screens.population import PopulationScreen

        return PopulationScreen(self.state)

    def _story(self) -> Screen[None]:
        from tui.screens.log import LogScreen

        return LogScreen(self.state)

    async def on_mount(self) -> None:
        """Take over the signals, open the first view, and begin to look."""
        if not self.is_headless:
            on_signals(asyncio.get_running_loop(), partial(self.exit, None))
        await self.switch_mode(LIVE)
        self.run_worker(self._follow(), name="follow", exclusive=True)

    # ---- looking ---------------------------------------------------------------------------------------

    async def _follow(self) -> None:
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

    @on(Say)
    def _say(self, message: Say) -> None:
        self.say(message.text)

    def say(self, text: str, ink: Ink = Ink.PLAIN) -> None:
        """Say something in the notice line."""
        self.take(with_notice(self.state, text, ink))

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

    def action_pause_or_resume(self) -> None:
        """Pause a running engine, resume a paused one."""
        if engine_word(self.state).text == "PAUSED":
            self.ask("resume", "resume")
        else:
            self.ask("pause", "pause")

    def action_resize_population(self, by: int) -> None:
        """Ask for a population that is larger or smaller by `by`."""
        size = wished_size(self.state)
        if size is None:
            self.say("The size of the population is not known yet.")
        elif size + by < 1:
            self.say("A population has at least one member.")
        else:
            value = {"key": "population.size", "value": str(size + by)}
            self.ask("set", f"population {size + by}", value)

    def action_stop_engine(self) -> None:
        """Ask for the word "stop", then stop the search."""
        snapshot = self.state.snapshot
        if snapshot is None or not engine_alive(snapshot.engine):
            self.ask("stop", "stop")  # says why there is nothing to stop
            return
        from tui.screens.confirm import TypedConfirm

        question = "Stop the search after the training in the slot? It can be resumed later."

        def decided(yes: bool | None) -> None:
            if yes:
                self.ask("stop", "stop", {"now": False})

        self.push_screen(TypedConfirm(self.state, question, "stop"), decided)

    # ---- moving between views --------------------------------------------------------------------------

    async def action_view(self, name: str) -> None:
        """Show a view; pages on top of the one in front are closed."""
        while isinstance(self.screen, PageScreen):
            await self.pop_screen()
        if name != self.current_mode:
            await self.switch_mode(name)

    def action_keys(self) -> None:
        """Explain the keys of the view in front."""
        screen = self.screen
        if isinstance(screen, ViewScreen):
            self.push_screen(HelpScreen(self.state, screen.VIEW))

    @on(Open)
    def _open(self, message: Open) -> None:
        self.run_worker(self._show_details(message), group="details", exclusive=True)

    async def _show_details(self, wanted: Open) -> None:
        details = await self._in_feed(partial(self._feed.details, wanted.candidate))
        screen = self.screen
        if isinstance(details, str):
            self.say(details, Ink.WARN)
        elif isinstance(screen, DetailsScreen):
            screen.turn_to(details)
        elif isinstance(screen, ViewScreen):
            self.push_screen(DetailsScreen(self.state, details, wanted.order))

    # ---- the terminal ----------------------------------------------------------------------------------

    @on(Copy)
    def _copy(self, message: Copy) -> None:
        driver = self._driver
        if driver is not None:
            how = copy(message.text, os.environ, driver.write)
            self.say(f"{message.what} {how}")

    def action_repair(self) -> None:
        """Set the terminal's modes again and paint everything."""
        with suppress(SuspendNotSupported), self.suspend():
            pass
        self.refresh(layout=True)

    def action_detach(self) -> None:
        """Leave; the engine goes on."""
        self.exit()

    def _fatal_error(self) -> None:
        """A fault of the app itself: the traceback goes to a file, the person gets a sentence."""
        if self._crash_log is None:
            super()._fatal_error()
            return
        with suppress(OSError), self._crash_log.open("a", encoding="utf-8") as log:
            log.write(traceback.format_exc() + "\n")
        self._close_messages_no_wait()
