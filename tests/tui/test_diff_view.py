"""View 4, Diff, as a person drives it: on a recording and on a real repository."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.model import EvolveError
from evolve.provenance import LogText
from tests.evolve.family import KEY, Family
from tests.tui.recording import START, Recording, candidate, snapshot
from tests.tui.test_app import opened
from tui.screens.papers import newest
from tui.state import ViewState
from tui.widgets.ink import ASCII


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    made = Family(tmp_path / "work")
    yield made
    made.close()


# ---- the view ------------------------------------------------------------------------------------------


async def test_on_a_real_run_every_pane_can_be_read(family):
    client = Client(family.folder)
    async with opened(client, size=(150, 40)) as session:
        await session.press("4")
        await session.settled()
        assert "#3 ← #1  +1 −1 in 1 place  longer warmdown" in session.shows()
        assert "64 + WARMDOWN = 0.6" in session.shows()  # side by side on a wide screen
        await session.press("s")
        assert "  64     - WARMDOWN = 0.75" in session.shows()
        await session.press("f", "g")
        assert '   1   1   """One GPT' in session.shows()
    client.close()


async def test_the_panes_of_a_candidate_that_a_model_wrote(family):
    client = Client(family.folder)
    async with opened(client, size=(120, 40), pair=(None, 2)) as session:
        await session.press("4")
        await session.settled()
        seen = {}
        for pane in ("diff", "facts", "prompt", "answer", "log", "source"):
            await session.settled()
            assert f"[{pane}]" in session.shows()
            seen[pane] = session.shows()
            await session.press("tab")
        assert "+ " in seen["diff"]
        assert "F.silu(hidden) * hidden" in seen["diff"]
        assert "A larger step early on should pay." in seen["facts"]
        assert "You improve train.py." in seen["prompt"]
        assert "1 call, $0.031" in seen["prompt"]
        assert "<<<<<<< SEARCH" in seen["answer"]
        assert "step 1 loss 8.0" in seen["log"]
        assert "from its training" in seen["log"]
        assert '   1 """One GPT' in seen["source"]
        assert not any(KEY[:12] in shown for shown in seen.values())
        assert "[diff]" in session.shows()  # once round
    client.close()


async def test_walking_up_and_down_the_family_and_the_other_way_round():
    async with opened(Recording("idle"), pair=(None, 12)) as session:
        await session.press("4")
        await session.settled()
        assert "#12 ← #6" in session.shows()
        await session.press("left_square_bracket", "left_square_bracket")
        await session.settled()
        assert "#3 ← #1" in session.shows()
        await session.press("left_square_bracket")
        await session.settled()
        assert "#1  no parent" in session.shows()
        assert "1 import torch" in session.shows()
        await session.press("left_square_bracket")
        assert "the run began with it" in session.shows()
        for expected in ("#3 ← #1", "#6 ← #3", "#12 ← #6"):
            await session.press("right_square_bracket")
            await session.settled()
            assert expected in session.shows()
        await session.press("right_square_bracket")
        assert "The way began here" in session.shows()
        await session.press("o")
        await session.settled()
        assert "#6 ← #12" in session.shows()
        await session.press("o", "d")
        await session.settled()
        assert "#12 ← #6" in session.shows()
        assert "#6 is its only parent" in session.shows()
        await session.press("n")
        assert "3 + MATRIX_LR = 0.052" in session.shows()
        assert ", at 1" in session.shows()
        await session.press("n")
        assert "That was the last one." in session.shows()
        await session.press("tab", "s")
        assert "That is for a diff of two" in session.shows()


async def test_d_compares_with_the_parent_and_two_marks_are_compared_by_the_other_d():
    async with opened(Recording("idle")) as session:
        await session.press("2", "D")
        assert "Mark two candidates" in session.shows()
        await session.press("space", "j", "space", "D")
        await session.settled()
        assert "#11 ← #12" in session.shows()  # the older mark on the left
        await session.press("enter")
        assert "Trainings" in session.shows()
        assert "d shows them in the script" in session.shows()
        await session.press("d")
        await session.settled()
        assert "[diff]" in session.shows()
        await session.press("escape")
        assert "candidates 35" in session.shows()


async def test_what_cannot_be_read_is_a_sentence_in_its_pane():
    class Gone(Recording):
        def source(self, number):
            raise EvolveError("git has no commit here; bring the repository back.")

    async with opened(Gone("idle"), size=(80, 24), glyphs=ASCII, pair=(None, 12)) as session:
        await session.press("4")
        await session.settled()
        shown = " ".join(session.shows().split())
        assert (
            "The diff of #12 cannot be shown: git has no commit here; bring the repository back."
            in shown
        )
        await session.press("tab")
        await session.settled()
        assert "Hypothesis" in session.shows()
        assert session.shows().isascii()


async def test_a_crossover_is_compared_with_each_parent_in_turn(family):
    client = Client(family.folder)
    async with opened(client, pair=(None, 4)) as session:
        await session.press("4")
        for expected in ("#4 ← #2", "#4 ← #3", "#4 ← #2"):
            await session.settled()
            assert expected in session.shows()
            await session.press("d")
        await session.press("y")
        assert "the diff of #4" in session.shows()
    client.close()


async def test_the_log_of_the_running_candidate_is_followed_to_its_end():
    class Growing(Recording):
        lines = 100
        moment = START + 600.0

        def data_version(self):
            return int(self.moment)

        def snapshot(self):
            return snapshot(time=self.moment)

        def log_of(self, number):
            text = "\n".join(f"step {n} loss 2.0" for n in range(self.lines))
            return LogText(text, Path("/run.log"), len(text), "training", cut=False)

    source = Growing("idle")
    async with opened(source, pair=(None, 30)) as session:
        await session.press("4", "tab", "tab", "tab", "tab")
        await session.settled()
        assert "step 99 loss" in session.shows()
        source.lines, source.moment = 120, source.moment + 3
        await session.settled()
        await session.settled()
        assert "step 119 loss" in session.shows()
        await session.press("g")  # who reads further up is left there
        source.lines, source.moment = 140, source.moment + 3
        await session.settled()
        await session.settled()
        assert "step 0 loss" in session.shows()
        assert "of 141" in session.shows()


def test_without_a_choice_the_newest_candidate_is_compared():
    running = ViewState(snapshot=snapshot())
    assert newest(running) == (None, 30)
    assert newest(ViewState(snapshot=snapshot(None))) == (None, 39)  # of the last verdict
    assert newest(ViewState()) is None
    seed = running.snapshot.running
    again = replace(
        seed, candidate=candidate(1)
    )  # main is measured again: it has nothing to differ from
    assert newest(ViewState(snapshot=snapshot(running=again))) == (None, 39)
    empty = snapshot(None, recent=(), incumbent=None)
    assert newest(ViewState(snapshot=empty)) is None
