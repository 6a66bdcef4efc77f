"""The app on a recording: the same views, with keys that play it in place of those that act on a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.events import Mount

from evolve.roster import Roster
from tui.feed import Feed
from tui.keys import REPLAY, keys_of
from tui.replaying import Player
from tui.screens.view import ViewScreen
from tui.shell import AutoresearchApp
from tui.state import Notice, ViewState


def _replay_bindings() -> list[BindingType]:
    """Those of the registry, ahead of the views' own: there the same keys act on a run."""
    return [
        Binding(name, f"replay('{entry.id}', '{name}')", entry.label, show=False, priority=True)
        for entry in REPLAY
        for name in entry.keys
    ]


class ReplayApp(AutoresearchApp, inherit_bindings=False):
    """The app with a player."""

    BINDINGS: ClassVar[list[BindingType]] = [*AutoresearchApp.BINDINGS, *_replay_bindings()]

    def __init__(
        self, feed: Feed, state: ViewState, crash_log: Path | None, player: Player
    ) -> None:
        """`feed` reads what `player` plays."""
        super().__init__(feed, state, crash_log)
        self._player = player
        self._keys = {entry.id: entry.action for entry in REPLAY}

    @on(Mount)
    def _look_for_the_end(self) -> None:
        self.set_interval(1.0, self._again)

    def _again(self) -> None:
        if self._player.over_and_again:
            self._turn(self._player.restart)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key that the view in front needs for itself, or that is being typed, plays nothing."""
        if action != "replay":
            return super().check_action(action, parameters)
        screen = self.screen
        if not isinstance(screen, ViewScreen) or self.focused is not None:
            return False
        own = (entry for entry in keys_of(screen.VIEW, read_only=True))
        return not any(parameters[1] in entry.keys for entry in own)

    async def action_replay(self, id: str, key: str) -> None:
        """A key of the registry, bound by name."""
        await self.run_action(self._keys[id])

    def action_play(self) -> None:
        """Stand still, or go on."""
        self._turn(self._player.stop_or_go_on)

    def action_speed(self, factor: float) -> None:
        """Faster or slower."""
        self._turn(partial(self._player.change_speed, factor))

    def action_jump(self, direction: int) -> None:
        """To another training."""
        self._turn(partial(self._player.jump, direction))

    def action_restart(self) -> None:
        """From the start."""
        self._turn(self._player.restart)

    def _turn(self, how: Callable[[], None]) -> None:
        self.run_worker(self._turned(how), group="turn")

    async def _turned(self, how: Callable[[], None]) -> None:
        """Turn the clock between two looks. After a step back nothing that was read before is true any more."""

        def turned() -> bool:
            before = self._player.moment
            how()
            self._player.advance()
            if back := self._player.moment < before:
                self._feed.reopen()
            return back

        back = await self._in_feed(turned)
        state = replace(self.state, notice=Notice())
        if back:
            state = replace(state, roster=Roster(), cards={}, beliefs={}, believed=None, events=())
        self.state = state
        self._wake.set()
