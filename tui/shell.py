"""The full-screen app itself: its views, what lies on top of them, leaving, and the keys that work everywhere.

What it knows of the run, and how it asks for something, is `tui.asking`. Views that are not the first one are loaded
when they are first wanted.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.events import Resize

from tui.feed import Feed
from tui.keys import DIFF, LINEAGE, LIVE, LOG, POPULATION, TUNE
from tui.messages import Compare, Copy, Open, Reveal
from tui.screens.pages import DetailsScreen, HelpScreen, PageScreen
from tui.screens.view import HEIGHTS, WIDTHS, ViewScreen
from tui.state import ViewState, engine_alive, engine_word, only_watches, wished_size
from tui.terminal import copy, on_signals, spare_what_is_loaded
from tui.visiting import VisitingApp
from tui.widgets.ink import Ink

if TYPE_CHECKING:
    from textual.geometry import Size
    from textual.screen import Screen

# Where each view is; its module is imported when the view is first shown.
SCREENS = {
    LIVE: "tui.screens.live:LiveScreen",
    POPULATION: "tui.screens.population:PopulationScreen",
    LINEAGE: "tui.screens.lineage:LineageScreen",
    DIFF: "tui.screens.diff:DiffScreen",
    TUNE: "tui.screens.tune:TuneScreen",
    LOG: "tui.screens.log:LogScreen",
}


class AutoresearchApp(VisitingApp, inherit_bindings=False):
    """The app."""

    TITLE = "autoresearch"
    CSS_PATH = "screens/view.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "detach", "detach", show=False)]
    HORIZONTAL_BREAKPOINTS = WIDTHS
    VERTICAL_BREAKPOINTS = HEIGHTS

    def __init__(self, feed: Feed, state: ViewState, crash_log: Path | None = None) -> None:
        """`state` is painted first; `crash_log` receives the traceback of a fault of this app."""
        super().__init__(feed, state)
        self._crash_log = crash_log
        self._before = LIVE  # the view before this one
        self._told: Size | None = None  # the terminal's size, as it was told last
        for view in SCREENS:
            self.add_mode(view, partial(self._screen_of, view))

    def _screen_of(self, view: str) -> Screen[None]:
        module, _, name = SCREENS[view].partition(":")
        screen: Screen[None] = getattr(import_module(module), name)(self.state)
        return screen

    async def on_mount(self) -> None:
        """Take over the signals, open the first view, and begin to look."""
        if not self.is_headless:
            on_signals(asyncio.get_running_loop(), partial(self.exit, None))
        await self.switch_mode(LIVE)
        self.run_worker(self.follow(), name="follow", exclusive=True)
        if not self.is_headless:
            self.call_after_refresh(spare_what_is_loaded)

    @on(Resize)
    def _same_size_again(self, event: Resize) -> None:
        """Paint all of it: the terminal was smaller for a moment, or another program's, and has lost what it showed."""
        if event.size == self._told:
            self.refresh(layout=True)
        self._told = event.size

    # ---- keys that work everywhere -----------------------------------------------------------------------

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
        if only_watches(self.state) or snapshot is None or not engine_alive(snapshot.engine):
            self.ask("stop", "stop")  # says why that cannot be
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
            self._before = self.current_mode
            await self.switch_mode(name)

    async def action_previous_view(self) -> None:
        """Back to the view before this one."""
        await self.action_view(self._before)

    @on(Compare)
    async def _compare(self, message: Compare) -> None:
        self.state = replace(self.state, pair=(message.left, message.right))
        await self.action_view(DIFF)
        self.take(self.state)

    async def action_compare_marked(self) -> None:
        """Compare the two candidates that were marked last, the older mark on the left."""
        if len(self.state.marks) < 2:
            self.say("Mark two candidates with space first; D compares them.")
        else:
            self.post_message(Compare(self.state.marks[-1], self.state.marks[-2]))

    @on(Reveal)
    async def _reveal(self, message: Reveal) -> None:
        self.state = replace(self.state, wanted=(message.view, message.candidate))
        await self.action_view(message.view)

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

    def action_to_shell(self) -> None:
        """Stop the app and go back to the shell; its `fg` brings the app back as it was."""
        if os.getpgrp() == os.getsid(0):  # nobody could wake it again
            self.say("No shell waits behind this app, so it cannot be put aside; q leaves it.")
        else:
            self.action_suspend_process()

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
