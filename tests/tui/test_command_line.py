"""The `:` line, filters and their matches, help, zoom and export, as a person drives them."""

from __future__ import annotations

import json

import pytest
from textual.events import Key, Paste
from textual.keys import _character_to_key

from tests.tui.live_run import LiveRun
from tests.tui.test_app import Recording, Session, Slow, opened
from tui.cli import main
from tui.here import ORDERS, SORTS, History
from tui.keys import GROUPS, KEYS, LIVE, LOG, VIEWS, keys_of
from tui.ordering import Sort
from tui.screens.command import EVERY, usage
from tui.widgets.ink import ASCII


def line_of(session: Session) -> str:
    """What stands in the `:` line."""
    return str(session.app.screen.query_one("#order").value)


# ---- the line -------------------------------------------------------------------------------------------


async def test_an_order_is_completed_sent_and_remembered():
    async with opened(Slow()) as session:
        await session.press("colon")
        shown = session.shows()
        assert "tab completes, enter gives the order, esc leaves" in shown
        assert "let the training in the slot end, then wait" in shown
        await session.press(*"pi", "tab")
        assert line_of(session) == "pin "
        assert "pin CANDIDATE" in session.shows()
        await session.press("tab", "tab")
        assert line_of(session) == "pin 31"
        await session.press("enter")
        assert [(c.verb, c.args) for c in session.source.sent] == [("pin", {"candidate": 31})]
        assert "pending: pin #31" in session.shows()
        await session.press("colon", *"draft", "up")
        assert line_of(session) == "pin 31"
        await session.press("down")
        assert line_of(session) == "draft"
        await session.press("escape", "j")
        assert session.app.screen.selected().id == 11  # keys are the view's again


def typed_at_once(session: Session, text: str) -> None:
    """As a slow connection brings keys: all of them before the first has done anything."""
    for character in text:
        name = "enter" if character == "\r" else _character_to_key(character)
        session.app.post_message(Key(name, character))


@pytest.mark.parametrize("first", ["", "2"], ids=["in this view", "in one that is not loaded"])
async def test_what_is_typed_at_once_does_not_reach_the_view(first):
    """Of `:pin 31` the p once paused the run, the i opened an editor."""
    async with opened(Slow()) as session:
        for _ in range(2):  # the line is made when it is first wanted
            typed_at_once(session, f"{first}:pin 31\r")
            await session.settled()
            assert session.source.sent[-1].args == {"candidate": 31}
        typed_at_once(session, "Qstop\r")
        await session.settled()
        assert [command.verb for command in session.source.sent] == ["pin", "pin", "stop"]


async def test_a_pasted_order_is_given_and_any_other_text_is_no_row_of_keys():
    async with opened(Slow()) as session:
        session.app.post_message(Paste("p\nx\nQ\n"))
        await session.settled()
        assert "Pasted text goes nowhere here; press : or / first" in session.shows()
        session.app.post_message(Paste(":pin 31"))
        await session.settled()
        assert line_of(session) == "pin 31"
        assert not session.source.sent
        await session.press("escape")
        session.app.post_message(Paste(":pin 31\n"))
        await session.settled()
        assert [(c.verb, c.args) for c in session.source.sent] == [("pin", {"candidate": 31})]


async def test_a_line_that_cannot_be_read_stays_open_with_the_reason():
    async with opened(Slow()) as session:
        await session.press("colon", *"bost 12", "enter")
        assert "There is no command “bost”; did you mean “boost”?" in session.shows()
        assert line_of(session) == "bost 12"
        await session.press(*[*["backspace"] * 7], *"set population.size 0", "enter")
        assert session.source.sent[-1].args == {
            "key": "population.size",
            "value": "0",
        }  # the engine's to say


async def test_orders_of_the_app_itself_change_only_what_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def give(line: str) -> str:
        await session.press("colon", *line, "enter")
        await session.settled()
        return session.shows()

    async with opened(Slow()) as session:
        assert "log 40" in await give("view log")
        assert "filter: muon" in await give("filter muon")
        assert "candidates 35" in await give("goto 7")
        assert session.app.screen.selected().id == 7
        assert "by generation" in await give("sort gen")
        assert "candidates 6 of 35" in await give("filter muon")
        assert "candidates 35" in await give("filter")
        await give("mark 7")
        assert session.app.state.marks == (7,)
        assert "Trainings" in await give("open 7")
        await give("diff 12 9")
        assert session.app.state.pair == (9, 12)
        assert "Keys of the" in await give("help")
        await session.press("escape")
        assert "night.jsonl: the results of 35 candidates" in await give(
            "export results night.jsonl"
        )
        rows = (tmp_path / "night.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(row)["id"] for row in rows] == list(range(1, 36))
        assert "There is a file" in await give("export results night.jsonl")
        assert "the results of 35" in await give("export results --replace night.jsonl")
        assert session.source.sent == []
        await session.press("colon", *"quit", "enter")
        assert session.app.return_code == 0


def test_what_the_line_knows_is_what_there_is():
    names = [order.name for order in EVERY]
    assert len(set(names)) == len(names)
    assert not any(order.acting for order in ORDERS)
    assert [Sort.by(name).column.name for name in SORTS] == list(SORTS)
    views = next(order for order in ORDERS if order.name == "view")
    assert views.arguments[0].choices == VIEWS
    assert usage("diff 12 ") == "diff CANDIDATE [OTHER]"


def test_the_history_keeps_what_was_being_written():
    history = History()
    for line in ("pause", "resume", "resume"):
        history.add(line)
    assert history.walk(-1, "dra") == "resume"
    assert history.walk(-1, "") == "pause"
    assert history.walk(-1, "") == "pause"
    assert history.walk(2, "") == "dra"


# ---- filters --------------------------------------------------------------------------------------------


async def test_matches_of_the_last_filter_are_walked_through_once_it_is_cleared():
    async with opened(Recording("idle")) as session:
        await session.press("2", "n")
        assert "Type / to look for something" in session.shows()
        await session.press("slash", *"muon", "enter", "escape")
        await session.settled()
        assert "candidates 35" in session.shows()
        found = []
        for key in ("n", "n", "N"):
            await session.press(key)
            found.append(session.app.screen.selected())
        assert found[0].id == found[2].id != found[1].id
        assert all("Muon" in candidate.title for candidate in found)
        await session.press("6", "slash", *"kind:verdict #39", "enter")
        assert "log 1" in session.shows()
        await session.press("escape", "g", "n")
        assert session.app.screen.current().selected.id == 39


async def test_a_filter_says_what_it_cannot_read_while_it_is_typed():
    async with opened(Recording("idle")) as session:
        await session.press("2", "slash", *"is:pined")
        assert "Nobody is “pined”; did you mean “pinned”?" in session.shows()
        assert "candidates 35 of 35" in session.shows()
        await session.press("escape")
        assert "Nobody is" not in session.shows()


async def test_a_filter_may_ask_for_marks_and_beliefs():
    async with opened(Recording("idle")) as session:
        await session.press("2", "space", "j", "space", "slash", *"is:marked", "enter")
        await session.settled()
        assert "candidates 2 of 35" in session.shows()
        await session.press("space")  # its mark goes, and with it the row
        await session.settled()
        assert "candidates 1 of 35" in session.shows()
        await session.press("slash", *["backspace"] * 9, *"corrected<2.0", "enter")
        await session.settled()
        below = [n for n in range(1, 36) if 2.1 - n * 0.0031 + 0.0004 < 2.0]
        assert f"candidates {len(below)} of 35" in session.shows()


# ---- help, zoom, export -----------------------------------------------------------------------------------


@pytest.mark.parametrize("glyphs", ["unicode", "ascii"])
async def test_help_explains_every_key_of_the_view_filters_and_signs(glyphs):
    more = {"glyphs": ASCII} if glyphs == "ascii" else {}
    async with opened(Recording("idle"), size=(120, 130), **more) as session:
        await session.press("2", "question_mark")
        shown = session.shows()
        for key in keys_of("population"):
            assert " ".join(key.help.split()[:4]) in shown
        for words in ("Signs and words", "provisional", "P(better)", "op:crossover", *GROUPS):
            assert words in shown
        assert shown.isascii() == (glyphs == "ascii")
        await session.press("question_mark")
        assert "candidates 35" in session.shows()


async def test_zoom_gives_the_screen_to_the_list_with_the_keys():
    async with opened(Recording("idle")) as session:
        await session.press("z")
        assert "population 12" in session.shows()
        assert "queue 5" not in session.shows()
        await session.press("tab")
        assert "queue 5" in session.shows()
        assert "population 12" not in session.shows()
        await session.press("z")
        assert "population 12" in session.shows()
    assert "zoom" not in {key.id for key in keys_of(LOG)}
    assert "zoom" in {key.id for key in keys_of(LIVE)}


async def test_export_asks_what_and_where_and_again_before_it_replaces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with opened(Recording("idle")) as session:
        await session.press("E", "down", "down", "enter")
        await session.settled()
        path = tmp_path / "nov21-lineage.json"
        assert "nov21-lineage.json: the lineage of 35 candidates. Its path is" in session.shows()
        path.write_text("mine", encoding="utf-8")
        await session.press("E", "down", "down", "enter")
        assert "enter again" in session.shows()
        await session.press("escape")
        assert path.read_text(encoding="utf-8") == "mine"
        await session.press("E", "down", "down", "enter", "enter")
        await session.settled()
        assert len(json.loads(path.read_text(encoding="utf-8"))["nodes"]) == 35
        await session.press("E", *".xlsx", "enter")
        assert "ends with .tsv or .csv" in session.shows()


def test_the_command_writes_a_file_and_never_over_another(tmp_path, monkeypatch, capsys):
    with LiveRun(tmp_path):
        monkeypatch.chdir(tmp_path)
        assert main(["export", "results"]) == 0
        path = tmp_path / "nov21-results.tsv"
        assert capsys.readouterr().out == f"{path}: the results of 1 candidate\n"
        assert main(["export", "results"]) == 2
        assert "There is a file nov21-results.tsv already" in capsys.readouterr().err
        assert main(["export", "results", str(path), "--replace"]) == 0
        capsys.readouterr()
        assert main(["export", "lineage", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["graph"]["run"] == "nov21"
        assert main(["export", "best", "x.txt"]) == 2


def test_every_key_has_its_group_and_those_that_act_are_among_the_acts():
    assert {key.group for key in KEYS if key.acting} <= {"Act", "Leave", "Move"}


async def test_an_interrupt_throws_away_what_was_typed_ahead():
    async with opened(Slow()) as session:
        typed_at_once(session, "p" * 50)
        session.app.post_message(Key("ctrl+c", "\x03"))
        for _ in range(200):
            await session.pilot.pause(0.01)
            if session.app._exit:
                break
        assert session.app._exit
        assert len(session.source.sent) <= 3  # of fifty
