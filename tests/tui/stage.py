"""The app on the shipped recording, standing at a fixed moment, for pictures and for snapshots of its text.

The clock never moves, the time zone is UTC, and nothing of this machine is shown, so the same sources give the same screen.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from tui.terminal import prepare

prepare(os.environ)  # before Textual is imported

from evolve.recordings import DEMO  # noqa: E402
from evolve.replay import Replay  # noqa: E402
from tui.feed import Feed  # noqa: E402
from tui.replay_app import ReplayApp  # noqa: E402
from tui.replaying import Player  # noqa: E402
from tui.screens.lineage import REST  # noqa: E402
from tui.state import ViewState, with_reading  # noqa: E402
from tui.widgets.ink import ASCII, UNICODE  # noqa: E402

MOMENT = (17, 12.0)  # a candidate, and seconds after its first training began
LOOKS = 40  # until a screen has to stand still


@dataclass
class Stage:
    """An open app that stands at one moment."""

    app: ReplayApp
    pilot: object

    async def press(self, *keys: str) -> None:
        """Type, and wait until everything that was asked for is on the screen."""
        await self.pilot.press(*keys)  # type: ignore[attr-defined]
        await self.settled()

    async def settled(self) -> None:
        """Wait until two looks in a row show the same."""
        before = ""
        for look in range(LOOKS):
            # Facts about the row under the cursor are read when it has rested there for a moment.
            await self.pilot.pause(REST * 1.5 if look == 1 else None)  # type: ignore[attr-defined]
            reading = await self.app._in_feed(lambda: self.app._feed.look(roster=True, events=True))
            self.app.take(with_reading(self.app.state, reading))
            await self.pilot.pause()  # type: ignore[attr-defined]
            shown = self.text()
            if shown == before:
                return
            before = shown
        raise AssertionError("The screen never stood still.")

    def text(self) -> str:
        """The characters on the screen, as the compositor has put them together."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in lines) + "\n"


@contextlib.contextmanager
def in_utc() -> Iterator[None]:
    """The time zone of the screen."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@contextlib.asynccontextmanager
async def stage(
    size: tuple[int, int], moment: tuple[int, float], *, ascii_only: bool = False
) -> AsyncIterator[Stage]:
    """Open the app on the recording at `moment`: a candidate, and seconds after its first training began."""
    candidate, later = moment
    with in_utc(), Replay(DEMO) as replay:
        player = Player(replay, speed=8.0, at=replay.start_of(candidate) + later, wall=lambda: 0.0)
        feed = Feed(player.open, "nobody")
        state = ViewState(read_only=True, glyphs=ASCII if ascii_only else UNICODE)
        state = with_reading(state, feed.thread.submit(feed.look).result(10))
        app = ReplayApp(feed, state, None, player)
        try:
            async with app.run_test(size=size) as pilot:
                staged = Stage(app, pilot)
                await staged.settled()
                yield staged
        finally:
            feed.thread.shutdown(wait=True)
            player.close()
