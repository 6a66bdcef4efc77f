"""A recorded run in the app: the clock, the source, the keys, and the command."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from evolve.model import EvolveError, UsageError
from evolve.recordings import DEMO
from evolve.replay import Replay
from tests.tui.stage import Stage
from tui.commands.replay import moment
from tui.feed import Feed
from tui.keys import REPLAY, keys_of, page
from tui.replay_app import ReplayApp
from tui.replaying import AGAIN, JUMP, PlayClock, Player, usual_speed
from tui.state import ViewState, with_reading


class Wall:
    """A clock on the wall that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def replay() -> Iterator[Replay]:
    with Replay(DEMO) as opened:
        yield opened


# ---- the clock ---------------------------------------------------------------------------------------------


def test_a_clock_stands_still_and_changes_its_speed_without_a_jump() -> None:
    clock = PlayClock(100.0, 0.0, 60.0)
    assert clock.at(2.0) == 220.0
    still = clock.turned(2.0, playing=False)
    assert still.at(50.0) == 220.0
    faster = still.turned(50.0, playing=True).turned(51.0, speed=120.0)
    assert faster.at(51.0) == 280.0
    assert faster.at(52.0) == 400.0


@pytest.mark.parametrize(("hours", "speed"), [(0.01, 1), (0.1, 2), (1, 32), (8, 256), (24, 512)])
def test_a_recording_takes_about_two_minutes(hours: float, speed: float) -> None:
    assert usual_speed(hours * 3600) == speed
    assert hours * 3600 / speed <= 180


def test_a_player_plays_stops_jumps_and_ends(replay: Replay) -> None:
    wall = Wall()
    player = Player(replay, speed=10.0, loop=True, wall=wall)
    source = player.open()
    assert source.snapshot().time == replay.begins
    before = source.data_version()
    wall.now = 6.0
    assert source.data_version() != before
    assert player.moment == replay.begins + 60
    player.stop_or_go_on()
    wall.now = 9.0
    still = source.data_version()
    assert source.data_version() == still
    assert player.moment == replay.begins + 60
    player.jump(1)
    source.data_version()
    assert replay.begins + 60 < player.moment <= replay.begins + 60 + JUMP
    running = source.snapshot().running
    assert running is not None
    assert running.experiment.started == pytest.approx(player.moment, abs=0.1)
    player.jump(-1)
    source.data_version()
    assert player.moment <= replay.begins + 60
    for _ in range(40):
        player.change_speed(2)
    player.stop_or_go_on()
    wall.now = 20.0
    source.data_version()
    assert source.snapshot().playback is not None
    assert source.snapshot().time == replay.ends
    assert not player.playback.playing
    assert not player.over_and_again
    wall.now = 20.0 + AGAIN
    assert player.over_and_again
    player.stop_or_go_on()
    source.close()
    source = player.open()
    source.data_version()
    assert source.snapshot().time == replay.begins
    assert player.playback.playing
    with pytest.raises(UsageError, match="this is a recording"):
        source.send("pause", {}, "me")
    source.close()


def test_what_is_shown_never_comes_before_its_time(replay: Replay) -> None:
    """At fifty moments, forward: counts never fall, and nothing is later than the moment."""
    wall = Wall()
    player = Player(replay, speed=(replay.ends - replay.begins) / 50, wall=wall)
    source = player.open()
    counts: tuple[int, ...] = (0,) * 6
    for second in range(51):
        wall.now = float(second)
        source.data_version()
        seen = source.snapshot()
        assert all(event.time <= seen.time for event in seen.recent)
        assert all(candidate.created <= seen.time for candidate in source.candidates())
        now = (
            *(seen.candidates, seen.experiments, seen.promotions),
            *(seen.crossovers, seen.llm_calls, len(source.events())),
        )
        assert all(one >= other for one, other in zip(now, counts, strict=True)), (now, counts)
        counts = now
    assert counts[0] > 20
    assert counts[2] >= 1
    source.close()


def test_moments_that_a_person_may_name(replay: Replay) -> None:
    begins = datetime.fromtimestamp(replay.begins).astimezone()
    middle = datetime.fromtimestamp((replay.begins + replay.ends) / 2).astimezone()
    assert moment(replay, "#3") == moment(replay, "3") == replay.start_of(3)
    assert abs(moment(replay, f"{middle:%H:%M:%S}") - middle.timestamp()) < 1
    assert abs(moment(replay, middle.isoformat()) - middle.timestamp()) < 1
    for wrong, words in (
        ("soon", "is no moment"),
        (f"{begins.year + 1}-01-01", "is not in the recording"),
        ("999", "There is no candidate #999"),
    ):
        with pytest.raises(UsageError, match=words):
            moment(replay, wrong)


# ---- the app -----------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def playing(at: int, wall: Wall) -> AsyncIterator[Stage]:
    with Replay(DEMO) as recording:
        player = Player(recording, speed=8.0, at=recording.start_of(at), wall=wall)
        feed = Feed(player.open, "nobody")
        state = with_reading(ViewState(read_only=True), feed.thread.submit(feed.look).result(10))
        app = ReplayApp(feed, state, None, player)
        try:
            async with app.run_test(size=(120, 40)) as pilot:
                staged = Stage(app, pilot)
                await staged.settled()
                yield staged
        finally:
            feed.thread.shutdown(wait=True)
            player.close()


async def test_the_keys_of_a_replay_play_and_never_act() -> None:
    wall = Wall()
    async with playing(12, wall) as staged:
        assert "REPLAY" in staged.text()
        assert "replay ×8" in staged.text()
        assert "#12" in staged.text()
        await staged.press("p", "plus")
        assert "stopped ×16" in staged.text()
        await staged.press("x", "X", "P")
        assert "This is a recording, so nothing in it can be changed." in staged.text()
        await staged.press("6")
        assert "#12 trains" in staged.text()
        await staged.press("left")
        assert "#12 trains" not in staged.text()
        await staged.press("right")
        assert "#12 trains" in staged.text()
        await staged.press("2", "slash", "p", "0")
        assert "p0" in staged.text()
        assert "stopped ×16" in staged.text()
        await staged.press("escape", "0")
        assert "0 trained" in staged.text()
        wall.now = 1e6
        await staged.settled()
        assert "end of the recording" in staged.text()
        assert "The recording ends here; p plays it again." in staged.text()
        await staged.press("question_mark")
        assert "Twice as fast" in staged.text()
        assert "Population one larger" not in staged.text()


def test_every_key_of_a_replay_does_something_and_is_in_the_docs() -> None:
    table = page()
    names = [name for entry in REPLAY for name in entry.keys]
    assert len(set(names)) == len(names)
    for entry in REPLAY:
        assert hasattr(ReplayApp, f"action_{entry.action.partition('(')[0].removeprefix('app.')}")
        assert entry.help in table
        assert entry in keys_of("live", replay=True)
        assert entry not in keys_of("live")
    assert not [entry.id for entry in keys_of("live", replay=True) if entry.acting]


def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EvolveError, match="has no journal; name"):
        Replay(tmp_path)
