"""Population and Lineage as a person drives them, on recordings and on a real journal that grows."""

from __future__ import annotations

from evolve.client import Client
from evolve.model import CandidateState, Operator, Verdict
from tests.tui.live_run import LiveRun
from tests.tui.many import write
from tests.tui.recording import Recording
from tests.tui.test_app import Session, opened
from tui.messages import Reveal
from tui.screens.lineage import LineageScreen
from tui.widgets.ink import ASCII


def at_cursor(session: Session) -> int:
    """The candidate under the cursor."""
    return session.app.screen.current().selected.id


async def until(session: Session, words: str, looks: int = 15) -> None:
    """Look again and again until `words` are on the screen."""
    for _ in range(looks):
        if words in session.shows():
            return
        await session.settled()
    raise AssertionError(f"{words!r} is not on the screen:\n{session.shows()}")


async def test_the_tree_folds_and_the_cursor_jumps():
    async with opened(Recording("idle")) as session:
        await session.press("3")
        assert "lineage 35" in session.shows()
        assert "#16" not in session.shows(), "nobody lives below #8"
        await session.press("m")
        assert at_cursor(session) == 12
        await session.press("h")
        assert at_cursor(session) == 6, "#12 was folded, so the cursor goes up"
        await session.press("left")
        assert "#12 " not in session.shows().split("#6 ")[1]
        assert at_cursor(session) == 6, "a fold leaves the cursor where it is"
        await session.press("l", "l")
        assert at_cursor(session) == 12
        await session.press("L")
        assert "#25" in session.shows()
        await session.press("right_square_bracket")
        assert at_cursor(session) == 13
        await session.press("H")
        assert at_cursor(session) == 1
        await session.press("f")
        assert "#25" not in session.shows()
        await session.press("G", "k", "enter")
        assert "Trainings" in session.shows()


async def test_a_candidate_that_is_wanted_is_unfolded_and_selected():
    async with opened(Recording("idle", candidates=300)) as session:
        await session.press("3")
        assert "#250" not in session.shows()
        session.app.post_message(Reveal(250, "lineage"))
        await session.settled()
        await session.settled()
        assert at_cursor(session) == 250
        assert "#250" in session.shows()
        session.app.post_message(Reveal(77, "population"))
        await session.settled()
        await session.settled()
        assert at_cursor(session) == 77


async def test_a_filter_shows_matches_with_their_ancestors():
    async with opened(Recording("idle", candidates=300)) as session:
        await session.press("3", "slash", *"#299", "enter")
        await until(session, "lineage 1 of 300")
        assert [branch.id for branch in session.app.screen.current().rows] == [
            1, 2, 4, 9, 18, 37, 74, 149, 299,
        ]  # fmt: skip
        await session.press("escape")
        assert "filter" not in session.shows().split("\n")[2]


async def test_the_facts_beside_the_tree_follow_a_cursor_that_rests():
    async with opened(Recording("idle"), size=(140, 40)) as session:
        await session.press("3", "m")
        await session.pilot.pause(0.5)
        await until(session, "distinct and within 2")
        assert "12" in str(session.app.screen.query_one("#kin").lines[0])


async def test_narrow_and_ascii():
    async with opened(Recording("idle", candidates=200), size=(50, 24), glyphs=ASCII) as session:
        for keys in (("3",), ("L", "ctrl+d"), ("G",), ("2",), ("G",)):
            await session.press(*keys)
            assert session.shows().isascii()
        await session.press("3", "g", "f")
        assert "v = +#1 baseline" in session.shows()


async def test_columns_are_chosen_and_turned_round():
    async with opened(Recording("idle", candidates=120), size=(160, 40)) as session:
        await session.press("2")
        assert "the living first" in session.shows()
        assert "corrected▴" in session.shows()
        await session.press("j", "j")
        chosen = at_cursor(session)
        await session.press("greater_than_sign")
        assert "val_bpb▴" in session.shows()
        assert at_cursor(session) == chosen, "the cursor stays on its candidate"
        await session.press("g")
        assert at_cursor(session) == 120
        await session.press("S", "g")
        assert "val_bpb▾" in session.shows()
        assert at_cursor(session) == 1
        await session.press("less_than_sign", "less_than_sign")
        assert "became▴" in session.shows()


async def test_rows_are_read_when_they_come_on_the_screen(tmp_path):
    class Counting(Client):
        def __init__(self, workspace):
            super().__init__(workspace)
            self.asked: list[int] = []

        def candidates_of(self, numbers):
            self.asked += numbers
            return super().candidates_of(numbers)

    write(tmp_path, 2_000)
    source = Counting(tmp_path)
    async with opened(source) as session:
        await session.press("2")
        await until(session, "try ")
        assert len(set(source.asked)) < 150
        await session.press("G")
        await session.settled()
        await until(session, "2000 of 2000")
        assert "larger matrix" in session.shows(), "texts are read where the cursor has gone"
        assert len(set(source.asked)) < 300
        await session.press("3", "m")
        await until(session, "*#")
        rows = session.app.screen.current().rows
        assert len(rows) < 2_000
    source.close()


async def test_a_run_that_grows_keeps_the_cursor_and_shows_what_is_going_on(tmp_path):
    with LiveRun(tmp_path) as run:
        for number in range(2, 12):
            run.add(f"child {number}", Operator.TUNE, (1 + number % 3,) if number > 4 else (1,))
            run.train(number)
            run.finish(2.1 + number / 1000, CandidateState.JUDGED)
            verdict = Verdict.REJECTED if number % 2 else Verdict.KEPT
            run.journal.judge(number, verdict, "so it is", alive=number % 2 == 0)
        client = Client(tmp_path)
        async with opened(client) as session:
            await session.press("3")
            session.app.screen.reveal(8)
            await session.settled()
            assert at_cursor(session) == 8
            line = session.app.screen.current().selected
            number = run.add("crossed", Operator.CROSSOVER, (2, 3))
            run.train(number, fraction=0.5)
            await until(session, "training 50%")
            assert "#2×#3" in session.shows() or "×#3" in session.shows()
            assert at_cursor(session) == line.id
            session.app.screen.reveal(number)
            await session.press("o")
            assert at_cursor(session) == 3
            await session.press("o")
            assert at_cursor(session) == number
            run.finish(2.05, CandidateState.JUDGED)
            run.journal.promote(number, "better")
            await until(session, f"┃ *#{number}")
            await session.press("2")
            await until(session, "promoted")
            assert isinstance(session.app.screen, LineageScreen) is False
            assert [c.id for c in session.app.screen.current().rows[:1]] == [number]
        client.close()
