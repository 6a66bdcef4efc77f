"""The app as a person drives it: views, lists, filters, questions, and commands that wait for an answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from evolve.client import Client
from evolve.model import Command, CommandState, EvolveError, Operator
from evolve.view import EngineView
from tests.tui.live_run import LiveRun
from tests.tui.recording import Recording, snapshot
from tui.app import _attach_command
from tui.feed import Feed, Source
from tui.shell import AutoresearchApp
from tui.state import Reading, ViewState, with_reading
from tui.widgets.canvas import Pane
from tui.widgets.ink import ASCII, text_of


class Slow(Recording):
    """A recording whose engine answers only when it is told to."""

    def __init__(self, mode: str = "idle", **options: Any) -> None:
        super().__init__(mode, **options)
        self.answers = 0
        self._paused = False

    def data_version(self) -> int:
        return len(self.sent) + self.answers

    def send(self, verb: str, args: dict[str, Any], who: str) -> int:
        number = super().send(verb, args, who)
        self.sent[-1] = replace(self.sent[-1], state=CommandState.PENDING)
        return number

    def answer(self, **changes: Any) -> None:
        self.sent[-1] = replace(self.sent[-1], state=CommandState.DONE, **changes)
        self.answers += 1


@dataclass
class Session:
    """An open app with its recorded source."""

    app: AutoresearchApp
    source: Any
    pilot: Any

    def shows(self) -> str:
        """The text on the screen."""
        panes = [p for p in self.app.screen.query(Pane) if p.display and p.visible and p.size]
        return "\n".join(text_of(pane.lines) for pane in panes)

    async def press(self, *keys: str) -> None:
        """Type, and let the feed and the messages settle."""
        await self.pilot.press(*keys)
        await self.settled()

    async def settled(self) -> None:
        """Wait for a look of the feed that began after everything so far, and for its frame."""
        for _ in range(2):
            reading = await self.app._in_feed(lambda: self.app._feed.look(roster=True, events=True))
            self.app.take(with_reading(self.app.state, reading))
            await self.pilot.pause()


@contextlib.asynccontextmanager
async def opened(
    source: Source | None = None, size: tuple[int, int] = (120, 40), **state: Any
) -> AsyncIterator[Session]:
    playing = source or Recording("idle")
    feed = Feed(lambda: playing, "tester")
    first = with_reading(ViewState(**state), feed.thread.submit(feed.look).result(5))
    app = AutoresearchApp(feed, first)
    try:
        async with app.run_test(size=size) as pilot:
            session = Session(app, playing, pilot)
            await session.settled()
            yield session
    finally:
        feed.close()


async def test_the_first_view_shows_what_matters():
    async with opened(Slow()) as session:
        shown = session.shows()
    for words in ("RUNNING", "main 2.0632", "#30", "tokens/s", "queue 5", "population 12",
                  "Gated units", "12 candidates or 20 minutes", "live", "p pause"):  # fmt: skip
        assert words in shown


async def test_views_lists_details_and_back():
    async with opened() as session:
        await session.press("2")
        assert "candidates 35" in session.shows()
        await session.press("j", "j", "enter")
        assert "#10 softcap of the logits" in session.shows()
        assert "Trainings" in session.shows()
        await session.press("right_square_bracket")
        assert "#9 Muon momentum" in session.shows()
        await session.press("left_square_bracket", "escape", "6")
        assert "following" in session.shows()
        await session.press("k", "enter")
        assert "#39" in session.shows()
        await session.press("1")
        assert "queue 5" in session.shows()


async def test_a_filter_narrows_the_list_and_esc_clears_it():
    async with opened() as session:
        await session.press("2", "slash", *"muon")
        assert "candidates 6 of 35" in session.shows()
        await session.press("enter", "j")
        assert "filter: muon" in session.shows()
        await session.press("slash", *"!x", "escape")
        assert "candidates 35" in session.shows()
        await session.press("s")
        assert "by score" in session.shows()


async def test_a_command_is_pending_until_the_engine_answers():
    async with opened(Slow()) as session:
        await session.press("p")
        assert [command.verb for command in session.source.sent] == ["pause"]
        assert "1 pending" in session.shows()
        session.source.answer(answer="Paused; the training goes on to its end.")
        await session.settled()
        assert "pending" not in session.shows()
        assert "Paused; the training goes on" in session.shows()


async def test_plus_and_minus_count_from_what_was_asked():
    async with opened(Slow()) as session:
        await session.press("plus", "plus", "minus")
        asked = [command.args for command in session.source.sent]
        assert [args["value"] for args in asked] == ["13", "14", "13"]
        assert {args["key"] for args in asked} == {"population.size"}
        assert all(command.who == "tester" for command in session.source.sent)


async def test_dropping_asks_first_and_only_what_waits_can_be_dropped():
    async with opened(Slow()) as session:
        await session.press("x")
        assert "only a waiting one can be dropped" in session.shows()
        await session.press("tab", "j", "x")
        assert "Drop #32 from the queue?" in session.shows()
        await session.press("n")
        assert session.source.sent == []
        await session.press("x", "y")
        assert [(c.verb, c.args) for c in session.source.sent] == [("drop", {"candidate": 32})]


async def test_stopping_needs_the_word():
    async with opened(Slow()) as session:
        await session.press("Q", *"no", "enter")
        assert session.source.sent == []
        await session.press("Q", *"stop", "enter")
        assert [c.verb for c in session.source.sent] == ["stop"]


async def test_who_only_watches_changes_nothing():
    async with opened(Slow(), read_only=True) as session:
        await session.press("p", "plus", "tab", "x")
        assert "Drop" not in session.shows()
        assert session.source.sent == []
        assert "read-only" in session.shows()


async def test_without_an_engine_nothing_is_sent_and_the_way_on_is_told():
    class Gone(Recording):
        def snapshot(self):
            return snapshot(None, engine=EngineView("dead", 4242, 300.0, ""))

    async with opened(Gone(), attach="autoresearch -C /w") as session:
        assert "The engine is dead since" in session.shows()
        await session.press("p")
        assert session.source.sent == []
        assert "autoresearch -C /w run" in session.shows()


async def test_small_terminals_keep_what_matters():
    async with opened(Slow(), size=(60, 20)) as session:
        assert " left  loss 2." in session.shows()
        assert "queue 5" not in session.shows()
        await session.press("tab")
        assert "queue 5" in session.shows()
        await session.pilot.resize_terminal(30, 8)
        await session.settled()
        assert session.shows().strip().startswith("RUNNING 2.0628 #12")
        assert len(session.shows().strip().splitlines()) == 1


async def test_a_long_run_in_ascii():
    async with opened(Recording("idle", candidates=3000), glyphs=ASCII) as session:
        await session.press("2", "G")
        assert "3000 of 3000" in session.shows()
        assert session.shows().isascii()


async def test_on_a_real_journal_it_shows_and_steers_a_run(tmp_path):
    with LiveRun(tmp_path) as run:
        run.train(run.add("larger matrix learning rate"), fraction=0.5)
        run.add("longer warmdown", Operator.CROSSOVER, (1, 2))
        client = Client(tmp_path)
        async with opened(client) as session:
            shown = session.shows()
            for words in ("REHEARSAL", "nov21", "RUNNING", "main 2.2000", "12 candidates",
                          "larger matrix learning rate", "elapsed    0:10", "training", "50%",
                          "#1×#2", "writes a child of #1", "of 8", "bubblewrap"):  # fmt: skip
                assert words in shown
            await session.press("p")
            assert "1 pending" in session.shows()
            run.answer("Paused; the training in the slot goes on to its end.")
            await session.settled()
            assert "PAUSED" in session.shows()
            assert "Paused; the training in the slot" in session.shows()
            await session.press("2", "enter")
            assert "What children have to beat." in session.shows()
            assert "step 0 loss 9.0" in session.shows()
            await session.press("6")
            assert "tester asked to pause" in session.shows()
        client.close()


# ---- the feed, without a screen ------------------------------------------------------------------------


def test_a_journal_that_fails_is_a_sentence_and_is_tried_again():
    class Flaky(Recording):
        broken = True

        def snapshot(self):
            if self.broken:
                raise EvolveError("the disk does not answer")
            return super().snapshot()

    source = Flaky("idle")
    feed = Feed(lambda: source, "me")
    reading = feed.look()
    assert reading.error == "The journal cannot be read: the disk does not answer. Trying again."
    source.broken = False
    assert feed.look().snapshot is not None
    feed.close()


def test_an_idle_journal_is_not_read_again():
    class Counting(Recording):
        looks = 0

        def snapshot(self):
            self.looks += 1
            return super().snapshot()

    source = Counting("idle")
    feed = Feed(lambda: source, "me")
    readings = [feed.look() for _ in range(5)]
    assert source.looks == 1
    assert readings[1:] == [Reading()] * 4
    feed.close()


def test_events_are_read_once_and_only_for_the_log():
    source = Recording("idle")
    feed = Feed(lambda: source, "me")
    assert feed.look().events == ()
    assert [e.id for e in feed.look(events=True).events] == list(range(1, 41))
    source.sent.append(Command(1, 0.0, "x", "pause", {}))
    assert feed.look(events=True).events == ()
    feed.close()


def test_the_command_that_attaches_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert _attach_command(tmp_path) == "autoresearch"
    assert _attach_command(tmp_path / "a b") == f"autoresearch -C '{tmp_path}/a b'"
