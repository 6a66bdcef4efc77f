"""Plays a recorded run for the app: a clock that can stand still, run fast and jump, and a source that shows its moment.

The source is the ordinary `Client` on the scratch workspace of `evolve.replay`; only its clock and its engine are made
up. Nothing here draws, and nothing can be asked of a recording.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evolve.client import Client
from evolve.lock import Holder
from evolve.model import UsageError
from evolve.replay import Replay
from evolve.snapshots import Snapshots
from evolve.view import Playback, Snapshot

WHOLE = 120.0  # seconds in which a recording plays when nobody says how fast
SLOWEST, FASTEST = 0.25, 16_384.0
JUMP = 300.0  # played seconds that a jump takes at most
AGAIN = 3.0  # seconds at the end before a recording that loops begins anew


@dataclass(frozen=True, slots=True)
class PlayClock:
    """Played time as a line through one known point; pure."""

    moment: float  # played, unix seconds, at `since`
    since: float  # of the clock on the wall, seconds
    speed: float
    playing: bool = True

    def at(self, now: float) -> float:
        """The played moment when the clock on the wall says `now`."""
        return self.moment + (now - self.since) * self.speed * self.playing

    def turned(self, now: float, **changes: Any) -> PlayClock:
        """The same clock from `now` on with other properties."""
        return replace(self, **({"moment": self.at(now), "since": now} | changes))


def usual_speed(seconds: float) -> float:
    """The power of two at which `seconds` of a recording take about two minutes, and at least 1."""
    speed = 1.0
    while seconds / speed > WHOLE * 1.5:
        speed *= 2
    return speed


class Player:
    """A replay with a clock. The keys and the reading thread may both use it."""

    def __init__(
        self,
        played: Replay,
        *,
        speed: float | None = None,
        at: float | None = None,
        loop: bool = False,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        """`speed` in played seconds a second (None: about two minutes for all of it); `at`: where it begins."""
        self.replay = played
        self._loop, self._wall = loop, wall
        self._busy = threading.Lock()
        chosen = usual_speed(played.ends - played.begins) if speed is None else speed
        self._clock = PlayClock(played.begins if at is None else at, wall(), chosen)
        self._ended: float | None = None  # when the end was reached, on the wall
        self._turns = 0  # of the clock
        self._moment = 0.0
        self.advance()

    def close(self) -> None:
        """Let go of the replay once nobody reads in it."""
        with self._busy:
            self.replay.close()

    def open(self) -> ReplaySource:
        """A source that shows the moment of now."""
        return ReplaySource(self)

    # ---- looking -------------------------------------------------------------------------------------------

    def advance(self) -> int:
        """Bring the journal to the moment of now; returns a number that changes when anything has."""
        with self._busy:
            now = self._wall()
            moment = self._within(self._clock.at(now))
            if moment >= self.replay.ends and self._clock.playing:
                self._ended = now
                self._turn(playing=False, moment=self.replay.ends)
            if moment != self._moment:
                self._moment = moment
                self.replay.at(moment)
            return self.replay.changes + self._turns

    @property
    def over_and_again(self) -> bool:
        """Has a recording that loops stood at its end for long enough?"""
        ended = self._ended
        return self._loop and ended is not None and self._wall() - ended >= AGAIN

    @property
    def moment(self) -> float:
        """The played moment of the last look, unix seconds."""
        return self._moment

    @property
    def playback(self) -> Playback:
        """How it is being played."""
        clock, replay = self._clock, self.replay
        return Playback(clock.speed, clock.playing, replay.begins, replay.ends)

    # ---- keys ----------------------------------------------------------------------------------------------

    def stop_or_go_on(self) -> None:
        """Stand still, or go on; at the end from the start."""
        with self._busy:
            if self._moment >= self.replay.ends:
                self._turn(moment=self.replay.begins, playing=True)
            else:
                self._turn(playing=not self._clock.playing)

    def change_speed(self, factor: float) -> None:
        """Play faster or slower by `factor`."""
        with self._busy:
            self._turn(speed=min(FASTEST, max(SLOWEST, self._clock.speed * factor)))

    def jump(self, direction: int) -> None:
        """To the next training, or the one before; at most five played minutes."""
        with self._busy:
            here = self._within(self._clock.at(self._wall()))
            there = self.replay.neighbour(here + min(0, direction) * self._clock.speed, direction)
            there = min(there, here + JUMP) if direction > 0 else max(there, here - JUMP)
            self._turn(moment=self._within(there))

    def restart(self) -> None:
        """Play from the start."""
        with self._busy:
            self._turn(moment=self.replay.begins, playing=True)

    # ---- private -------------------------------------------------------------------------------------------

    def _turn(self, **changes: Any) -> None:
        self._clock = self._clock.turned(self._wall(), **changes)
        self._turns += 1
        if self._clock.playing:
            self._ended = None

    def _within(self, moment: float) -> float:
        return min(self.replay.ends, max(self.replay.begins, moment))


class ReplaySource(Client):
    """A client of a recorded run at the moment of its player. Opened anew after every jump back."""

    def __init__(self, player: Player) -> None:
        """Use `Player.open`."""
        super().__init__(player.replay.workspace, read_only=True)
        self._player = player
        self._taken: tuple[tuple[float, Playback, bool], Snapshot] | None = None
        self._snapshots = Snapshots(
            self.state, self._watch, clock=lambda: player.moment, engine=self._engine
        )

    def data_version(self) -> int:
        """Brings the journal to the moment of now first."""
        return self._player.advance()

    def snapshot(self, curve: bool = True) -> Snapshot:
        """As of a client, with how it is played. While the recording stands still, it is the same one."""
        now = (self._player.moment, self._player.playback, curve)
        if self._taken is None or self._taken[0] != now:
            self._taken = (now, replace(super().snapshot(curve), playback=now[1]))
        return self._taken[1]

    def send(self, verb: str, args: Mapping[str, Any], who: str) -> int:
        """Nothing can be asked of a recording."""
        raise UsageError(f"this is a recording; `autoresearch {verb}` works on a run")

    def _engine(self) -> Holder:
        return Holder(0, 0, "", self._player.replay.begins, alive=True)
