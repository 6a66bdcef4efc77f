"""Every key that acts, on a real journal: what is sent, that it is pending until it is answered, and what then shows."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evolve.client import Client
from evolve.model import CandidateState, CommandState, Purpose, Verdict
from tests.tui.live_run import LiveRun
from tests.tui.test_app import Session, Slow, opened
from tui.keys import CANDIDATES, DETAILS, DIFF, KEYS, LINEAGE, LIVE, MAIN, POPULATION


@dataclass
class Acted:
    """A run with #1 (main), #2 (kept) and #3, #4 that wait, and an app on it."""

    run: LiveRun
    session: Session

    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """The command rows that nobody has answered."""
        return [(row.verb, row.args) for row in self.run.journal.pending_commands()]

    async def asks(self, *keys: str) -> list[tuple[str, dict[str, Any]]]:
        """What pressing these keys asks for; it is pending, then done."""
        await self.session.press(*keys)
        await self.session.settled()
        sent = self.sent()
        assert ("pending" in self.session.shows()) == bool(sent)
        self.run.answer()
        await self.session.settled()
        assert "pending" not in self.session.shows()
        return sent


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LiveRun]:
    with LiveRun(tmp_path) as live:
        child = live.add("larger matrix learning rate")
        live.train(child, Purpose.SCREEN, 1.0)
        live.finish(2.19, CandidateState.JUDGED)
        live.journal.judge(child, Verdict.KEPT, "within 2 sigma of main", alive=True)
        live.add("longer warmdown")
        live.add("wider")
        yield live


@contextlib.asynccontextmanager
async def acting(run: LiveRun, **state: Any) -> AsyncIterator[Acted]:
    client = Client(run.state.parent)
    async with opened(client, **state) as session:
        yield Acted(run, session)
    client.close()


async def test_a_living_candidate_is_pinned_boosted_measured_again_and_banned(run):
    async with acting(run) as app:
        await app.session.press("2", "j")
        who = {"candidate": app.session.app.screen.selected().id}
        assert await app.asks("P") == [("pin", who)]
        assert "pinned: " in app.session.shows()
        assert await app.asks("P") == [("unpin", who)]
        assert await app.asks("b") == [("boost", who | {"times": 3})]
        assert "boosted 3: " in app.session.shows()
        assert await app.asks("b") == [("boost", who | {"times": 0})]
        assert await app.asks("r") == [("remeasure", who | {"times": 1})]
        assert "measured again 1: " in app.session.shows()
        assert await app.asks("r") == [("remeasure", who | {"times": 0})]
        assert await app.asks("B", "n") == []
        assert await app.asks("B", "y") == [("ban", who)]
        assert "banned: " in app.session.shows()
        assert await app.asks("B") == [
            ("unban", who)
        ]  # nothing is lost by that, so it does not ask


async def test_the_queue_is_moved_approved_and_dropped_in_the_first_view(run):
    async with acting(run) as app:
        assert await app.asks("J") == []
        assert "does not wait in the queue" in app.session.shows()
        await app.session.press("tab")
        assert await app.asks("J") == [("move", {"candidate": 3, "by": 1})]
        assert [c.id for c in run.journal.queue()] == [4, 3]
        assert await app.asks("K") == [("move", {"candidate": 3, "by": -1})]
        assert await app.asks("A") == [("set", {"key": "approval.required", "value": "true"})]
        assert await app.asks("a") == [("approve", {"candidate": 3})]
        assert "approved" in app.session.shows()
        assert await app.asks("A") == [("set", {"key": "approval.required", "value": "false"})]
        assert await app.asks("x", "y") == [("drop", {"candidate": 3})]
        assert [c.id for c in run.journal.queue()] == [4]


async def test_a_training_is_killed_after_a_question(run):
    async with acting(run) as app:
        assert await app.asks("X") == []
        assert "No training is running." in app.session.shows()
        run.train(3, Purpose.SCREEN, 0.5)
        await app.session.settled()
        assert await app.asks("X", "escape") == []
        assert await app.asks("X", "y") == [("kill", {})]


async def test_pause_and_population_and_stop(run):
    async with acting(run) as app:
        assert await app.asks("p") == [("pause", {})]
        assert await app.asks("p") == [("resume", {})]
        assert await app.asks("plus") == [("set", {"key": "population.size", "value": "9"})]
        assert await app.asks("minus") == [("set", {"key": "population.size", "value": "8"})]
        assert await app.asks("Q", *"stop", "enter") == [("stop", {"now": False})]


@pytest.mark.parametrize("view", ["1", "2", "3"])
async def test_keys_act_in_every_view_with_a_candidate(run, view):
    async with acting(run) as app:
        await app.session.press(view)
        who = {"candidate": app.session.app.screen.selected().id}
        assert await app.asks("P") == [("pin", who)]
        await app.session.press("enter" if view != "3" else "t")
        await app.session.press("space")
        assert app.session.app.state.marks == (who["candidate"],)


async def test_the_details_page_acts_on_its_candidate(run):
    async with acting(run) as app:
        await app.session.press("2", "enter", "right_square_bracket")
        assert app.session.app.screen.VIEW == DETAILS
        who = {"candidate": app.session.app.screen.selected().id}
        assert await app.asks("P") == [("pin", who)]
        await app.session.press("t")
        assert app.session.app.screen.VIEW == LINEAGE
        assert app.session.app.screen.selected().id == who["candidate"]


def test_keys_for_candidates_are_bound_where_there_is_one():
    for key in KEYS:
        if key.id in {"mark", "pin", "ban", "boost", "remeasure", "drop", "inject", "approve", "compare"}:  # fmt: skip
            assert key.views == CANDIDATES >= {LIVE, POPULATION, LINEAGE, DIFF, DETAILS}
        if key.id in {"pause", "kill", "approval", "command", "export"}:
            assert key.views == MAIN


async def test_who_only_watches_is_told_so_and_sends_nothing(run):
    async with acting(run, read_only=True) as app:
        for key in ("P", "b", "r", "x", "X", "a", "A", "i", "K", "p", "plus"):
            assert await app.asks("1", "tab", key) == []
            assert "This app only watches (read-only)." in app.session.shows()
        await app.session.press("colon", *"pin 2", "enter")
        assert "only watches" in app.session.shows()
        assert app.sent() == []


# ---- a candidate written by hand -----------------------------------------------------------------------


class Scripts(Slow):
    """A recording that has scripts."""

    def source(self, number: int) -> str:
        return f"# {number}\nDEPTH = 4\n"


def editor(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that runs `line` on the file."""
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(path))


async def test_a_copy_is_edited_and_sent_and_kept_where_it_is_refused(tmp_path, monkeypatch):
    editor(tmp_path, 'sed -i s/4/5/ "$1"', monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with opened(Scripts()) as session:
        await session.press("i")
        await session.settled()
        (sent,) = session.source.sent
        assert sent.verb == "inject"
        assert sent.args == {"source": "# 12\nDEPTH = 5\n", "title": "#12, edited by hand"}
        words = "That file cannot be trained: no loss."
        session.source.sent[-1] = replace(sent, state=CommandState.REFUSED, answer=words)
        session.source.answers += 1
        await session.settled()
        shown = session.app.state.notice.text
        assert shown.startswith("Refused: Your text is in ")
        (kept,) = tmp_path.glob("candidate-12-*.py")
        assert shown.endswith(f" in {kept}. That file cannot be trained: no loss.")
        assert kept.read_text(encoding="utf-8") == "# 12\nDEPTH = 5\n"


async def test_an_unchanged_copy_is_not_sent_and_one_that_was_taken_is_thrown_away(tmp_path, monkeypatch):  # fmt: skip
    folder = tmp_path / "drafts"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    async with opened(Scripts()) as session:
        editor(tmp_path, "true", monkeypatch)
        await session.press("i")
        await session.settled()
        assert session.source.sent == []
        assert "Nothing was changed" in session.shows()
        editor(tmp_path, 'echo "# more" >> "$1"', monkeypatch)
        await session.press("i")
        await session.settled()
        assert len(list(folder.iterdir())) == 1
        session.source.answer(answer="Queued as #36.")
        await session.settled()
        assert "Queued as #36." in session.shows()
        assert list(folder.iterdir()) == []
