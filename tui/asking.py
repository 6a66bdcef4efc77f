"""The app's line to the run: one look at the journal every half second, questions, and commands with their answers.

It owns the view state and the rhythm and knows no view: what a screen wants comes as a message. It writes nothing but
command rows; the engine goes on without it, and any number of apps may watch the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from textual import on

from evolve.changes import to_undo
from evolve.model import SettingChange
from evolve.toml_text import text_of
from tui.driver import TerminalDriver
from tui.feed import Fault, Feed, Source
from tui.keys import LINEAGE, LOG, POPULATION
from tui.messages import Ask, Fetch, Mark, Say, Shown
from tui.screens.view import Resumed, ViewScreen
from tui.state import (
    Asked,
    ViewState,
    advice,
    engine_alive,
    moment_of,
    only_watches,
    unbelieved,
    unread,
    with_asked,
    with_beliefs,
    with_cards,
    with_mark,
    with_notice,
    with_reading,
)
from tui.stylesheet import KeptStylesheet
from tui.typeahead import OrderlyApp
from tui.widgets.ink import Ink
from tui.widgets.tables import time_of_day

T = TypeVar("T")

UNDO_REACH = 1000  # changes among which one's own are looked for
TICK = 0.5  # seconds between looks at the journal
ROSTERS = (POPULATION, LINEAGE)  # views that show every candidate


class AskingApp(OrderlyApp, inherit_bindings=False):
    """An app on a feed. `feed` reads, the screens show, this class connects them."""

    def __init__(self, feed: Feed, state: ViewState) -> None:
        """`state` is painted first."""
        super().__init__()
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self._feed = feed
        self.state = replace(state, who=feed.who)
        self._wake = asyncio.Event()
        self._unpainted = False  # the newest state is not on the screen yet

    # ---- looking ---------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Look at the journal again and again, and show what it brought."""
        while True:
            look = partial(
                self._feed.look,
                roster=self.current_mode in ROSTERS,
                events=self.current_mode == LOG,
            )
            reading = await self._in_feed(look)
            state = with_reading(self.state, reading)
            self._unpainted |= state is not self.state
            self.state = state
            if self._unpainted and not self._terminal_is_behind():
                self.take(state)
            if reading.roster is not None and not reading.roster.complete:
                continue  # the rest of a long list
            # Not wait_for: before Python 3.12 it can swallow the cancellation that ends this loop.
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._wake.wait()
            self._wake.clear()

    async def _in_feed(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._feed.thread, work)

    def _terminal_is_behind(self) -> bool:
        """True while a slow terminal still has frames to swallow; more of them would only come later still."""
        return isinstance(self._driver, TerminalDriver) and self._driver.behind

    def take(self, state: ViewState) -> None:
        """This is the state now: show it in the view in front."""
        self.state, self._unpainted = state, False
        screen = self.screen
        if isinstance(screen, ViewScreen):
            screen.show(state)

    @on(Resumed)
    def _resumed(self) -> None:
        if isinstance(self.screen, ViewScreen):
            self.screen.opened()
        self.take(self.state)
        self._wake.set()

    @on(Shown)
    def _shown(self, message: Shown) -> None:
        self.run_worker(self._read(message.numbers), group="read", exclusive=True)

    async def _read(self, shown: tuple[int, ...]) -> None:
        """The texts first, because what is believed of a candidate takes longer to say."""
        if numbers := unread(self.state, shown):
            cards = await self._ask_source(lambda source: source.candidates_of(numbers), "The list")
            if cards is not None:
                self.take(with_cards(self.state, cards))
        if doubted := unbelieved(self.state, shown):
            moment = moment_of(self.state)
            found = await self._ask_source(
                lambda source: source.beliefs(doubted), "Corrected scores"
            )
            if found is not None:
                self.take(with_beliefs(self.state, moment, doubted, found))

    async def _ask_source(self, work: Callable[[Source], T], about: str) -> T | None:
        """What the source answers, or None after saying why there is no answer."""
        found = await self._in_feed(partial(self._feed.fetch, work, about))
        if isinstance(found, Fault):
            self.say(found.sentence, Ink.WARN)
            return None
        return found

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
        if not isinstance(found, Fault):
            wanted.done(found)
        elif wanted.failed is not None:
            wanted.failed(found.sentence)
        else:
            self.say(found.sentence, Ink.WARN)

    # ---- asking the engine -----------------------------------------------------------------------------

    @on(Ask)
    def _ask(self, message: Ask) -> None:
        self.ask(message.verb, message.words, message.args, message.kept)

    def ask(
        self, verb: str, words: str, args: dict[str, Any] | None = None, kept: Path | None = None
    ) -> None:
        """Send a command; it is pending until the engine answers. Without an engine nothing is sent.

        `kept` holds what a person wrote for it; where that does not arrive, its place is told.
        """
        snapshot = self.state.snapshot
        where = f"Your text is in {kept}. " if kept else ""  # first, as a long line is cut
        if why_not := only_watches(self.state):
            self.say(f"{where}{why_not}", Ink.WARN)
        elif snapshot is None or not engine_alive(snapshot.engine):
            hint = advice(self.state, time_of_day)
            why_not = hint.text if hint is not None else "No engine answers yet."
            self.say(f"{where}{why_not}", Ink.WARN)
        else:
            self.run_worker(self._send(verb, words, args or {}, kept), group="send")

    def action_undo(self) -> None:
        """Ask for the former value of the last setting that this person changed."""
        self.post_message(
            Fetch(lambda source: source.setting_changes(UNDO_REACH), self._undo, "Your changes")
        )

    def _undo(self, changes: Sequence[SettingChange]) -> None:
        last = to_undo(changes, self.state.who)
        if last is None:
            self.say("You have changed no setting here that could be taken back.")
            return
        newer = next(change for change in changes if change.key == last.key)
        if newer.new != last.new:
            self.say(f"{newer.who} has changed {last.key} since you did; set it by hand.", Ink.WARN)
        elif any(asked.key == last.key for asked in self.state.asked):
            self.say(f"{last.key} waits for the engine; undo once it has answered.")
        else:
            what = "its text" if last.key.startswith("prompts.") else text_of(last.old) or '""'
            self.ask("set", f"{last.key} back to {what}", {"key": last.key, "value": last.old})

    async def _send(
        self, verb: str, words: str, args: dict[str, Any], kept: Path | None = None
    ) -> None:
        sent = await self._in_feed(partial(self._feed.send, verb, args, kept))
        if isinstance(sent, str):
            self.say(sent, Ink.BAD)
            return
        asked = Asked(sent, words, str(args.get("key", "")), str(args.get("value", "")))
        self.take(with_asked(self.state, asked))
        self._wake.set()
