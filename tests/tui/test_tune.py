"""The Tune view: what it lists and says, values that are turned and typed, texts that are edited, and who did it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evolve import settings as config
from evolve.changes import to_undo
from evolve.client import Client
from evolve.model import Command, CommandState, EvolveError, SettingChange
from evolve.promptbook import prompts as together
from evolve.promptbook import versions
from evolve.propose.placeholders import BUILT_IN, versions_in_force
from evolve.propose.scratchpad import parse
from evolve.stop import Pace, StopRules, StopState, standings
from tests.tui.live_run import LiveRun
from tests.tui.pty_harness import ATTACH, Terminal
from tests.tui.recording import snapshot
from tests.tui.test_app import Slow, opened
from tests.tui.tuned import OLD, PAD, prompts, tuning
from tui.keys import TUNE, keys_of
from tui.state import Asked, ViewState, with_changes_of_others
from tui.stepping import step
from tui.tuning import Kind, Row, Told, rows_of
from tui.widgets.ink import ASCII, UNICODE, line_width, text_of
from tui.widgets.tune import list_row
from tui.widgets.tunepages import page

SIZES = (36, 79, 100, 140)
TOLD = Told(tuning({"population.size": "12"}), {"population.size": "12"}, prompts())


def obey(run: LiveRun) -> None:
    """Answer what waits as the engine does: by its rules for settings and scratchpads."""
    journal = run.journal
    for command in journal.pending_commands():
        try:
            answer = _obeyed(run, command)
        except EvolveError as error:
            journal.answer_command(command.id, CommandState.REFUSED, str(error))
        else:
            journal.answer_command(command.id, CommandState.DONE, answer)


def _obeyed(run: LiveRun, command: Command) -> str:
    journal, args = run.journal, command.args
    if command.verb == "scratchpad":
        text = str(parse(args["text"]))
        journal.write_scratchpad(text, source="human", who=command.who, settled=1)
        return "The scratchpad is yours now."
    before = config.rebuilt(journal.settings_in_force())
    changed = config.change(before, args["key"], args["value"])
    old, new = config.flatten(before), config.flatten(changed)
    for key in (key for key in new if new[key] != old[key]):
        journal.change_setting(key, old[key], new[key], command.who)
    journal.keep_templates(versions_in_force(changed.prompts.model_dump()))
    return f"{args['key']} is set, from the next proposal on."


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def row(told: Told, name: str) -> Row:
    return next(r for r in rows_of(told) if r.name == name)


# ---- what is listed, and what is said about it ---------------------------------------------------------------


def test_every_live_setting_is_in_the_list_once() -> None:
    live = {d.key for d in TOLD.tuning.described if d.live}
    listed = [r.key for r in rows_of(TOLD) if r.group != "fixed" and r.setting is not None]
    assert sorted(listed) == sorted(k for k in live if not k.startswith("prompts."))
    templates = {r.key for r in rows_of(TOLD) if r.kind is Kind.PROMPT}
    assert templates == {k for k in live if k.startswith("prompts.")}
    fixed = {r.key for r in rows_of(TOLD) if r.group == "fixed" and r.setting is not None}
    assert fixed == {d.key for d in TOLD.tuning.described if not d.live}
    assert len({r.id for r in rows_of(TOLD)}) == len(rows_of(TOLD))


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("columns", SIZES)
def test_rows_and_pages_fit_and_keep_to_the_character_set(columns: int, glyphs) -> None:
    asked = (Asked(1, "x", "population.size", "14"), Asked(2, "y", "llm.model", "münchen\x1b[31m"))
    state = ViewState(snapshot(), glyphs=glyphs, asked=asked, who="bob")
    for each in rows_of(TOLD):
        line = list_row(state, TOLD, each, columns)
        lines = [line, *page(state, TOLD, each, columns)]
        shown = text_of(lines)
        assert line_width(line) <= columns
        assert "\x1b" not in shown
        assert glyphs is UNICODE or shown.isascii(), shown


def test_a_row_tells_value_change_shares_and_what_is_used() -> None:
    standing = standings(
        StopRules(candidates=50, dollars=20),
        StopState(12, 2.0, 1.42, 0.97, 3),
        Pace(10.0, 12.0, 0.5),
    )
    state = ViewState(snapshot(standings=standing), who="ann on gpu-a")

    def shown(name: str) -> str:
        return text_of([list_row(state, TOLD, row(TOLD, name), 100)])

    assert " * size            12 " in shown("population.size")
    assert "   buffer          2 " in shown("population.buffer")
    assert "██████████ 100 %" in shown("operators.tune")
    assert "12 of 50, about 4 h left at this rate" in shown("stop.candidates")
    assert "$1.42 of $20, about 37 h left" in shown("stop.dollars")
    assert "4 of 12" not in shown("prompts.mutate ")
    assert "3 of 12 kept, +0.4 sigma" in shown(f"prompts.mutate {prompts()[1].version}")
    assert "by claude" in shown("pad 1")
    assert "population.size: 6 → 12, ann on gpu-a, from #9 on" in shown("change 2")
    assert "refused: budget.tokens is frozen" in shown("request 7")
    pending = replace(state, asked=(Asked(1, "", "population.size", "14"),))
    assert "12 → 14 pending" in text_of(
        [list_row(pending, TOLD, row(TOLD, "population.size"), 100)]
    )


def test_the_page_of_a_template_says_what_it_may_use_and_how_an_older_one_differs() -> None:
    state = ViewState(snapshot())
    shown = text_of(page(state, TOLD, row(TOLD, "prompts.repair "), 100))
    assert "{traceback}       needed: what the crashed version left behind, quoted" in shown
    assert "{ancestor}" not in shown
    older = text_of(page(state, TOLD, row(TOLD, f"prompts.mutate {prompts()[1].version}"), 100))
    assert "12 children: 2 kept, 1 promoted" in older or "12 children: 3 kept" in older
    assert "+Be bold on {budget}." in older
    assert "your own, not in force" in older


def test_a_rewrite_s_versions_are_one_template_and_the_built_in_one_never_goes() -> None:
    mine = "{parents} {intent}\n"
    found = together({"rewrite": mine}, versions({"rewrite": mine}, (), ()))
    rewrites = [p for p in found if p.operator == "rewrite"]
    assert [(p.text, p.in_force, len(p.versions)) for p in rewrites] == [
        (mine, True, 5),
        (BUILT_IN["rewrite"], False, 5),
    ]


@pytest.mark.parametrize(
    ("key", "value", "by", "then"),
    [
        ("population.size", "12", 1, "13"),
        ("population.size", "1", -1, None),
        ("population.size", "995", 1, "1000"),
        ("llm.max_tokens", "32000", -1, "31000"),
        ("operators.mutate", "4.0", 1, "4.1"),
        ("pruning.chance", "0.02", 1, "0.021"),
        ("stop.hours", "0.0", 1, "1"),
        ("llm.effort", '"max"', 1, "low"),
        ("llm.cache", "true", 1, "false"),
        ("llm.model", '"x"', 1, None),
        ("population.size", "many", 1, None),
    ],
)
def test_steps(key: str, value: str, by: int, then: str | None) -> None:
    setting = next(row for row in TOLD.tuning.described if row.key == key)
    assert step(setting, value, by) == then


def test_a_step_from_any_default_is_a_value_that_the_engine_takes() -> None:
    for described in TOLD.tuning.described:
        for by in (1, -1):
            turned = step(described, TOLD.value(described.key), by) if described.live else None
            if turned is not None:
                config.change(config.Settings(), described.key, turned)


# ---- undoing -------------------------------------------------------------------------------------------------


def changes(*made: tuple[str, str, str, str]) -> Sequence[SettingChange]:
    """Newest first, as the journal gives them; told oldest first."""
    told = [SettingChange(n, float(n), *row, 1) for n, row in enumerate(made, 1)]
    return tuple(reversed(told))


def test_undo_goes_back_one_s_own_changes_one_by_one() -> None:
    made = [("ann on a", "x.a", "1", "2"), ("bob", "x.a", "2", "9"), ("ann", "x.b", "5", "6")]
    assert to_undo(changes(*made), "ann on b").key == "x.b"
    made.append(("ann", "x.b", "6", "5"))
    assert to_undo(changes(*made), "ann").key == "x.a"
    assert to_undo(changes(*made), "carl") is None


def test_a_change_that_this_app_did_not_ask_for_is_said() -> None:
    data = {"who": "ann", "key": "population.size"}
    told = replace(snapshot().recent[0], id=99, kind="setting", text="size: 6 → 7 (ann)", data=data)
    state = ViewState(snapshot(recent=(told,)), who="ann")
    assert with_changes_of_others(state, 98).notice.text == "size: 6 → 7 (ann)"
    assert with_changes_of_others(state, 99) is state
    asked = (Asked(1, "size", "population.size", "7"),)
    assert with_changes_of_others(replace(state, asked=asked), 98).notice.text == ""
    assert with_changes_of_others(replace(state, asked=asked, who="bob"), 98).notice.text


# ---- on a real journal ---------------------------------------------------------------------------------------


async def test_a_value_is_typed_checked_pending_and_echoed(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        async with opened(Client(tmp_path), size=(140, 40)) as session:
            await session.press("5", "j", "enter", "backspace", "0")
            assert (
                "population.size must be a whole number from 1 to 1000, not 0." in session.shows()
            )
            await session.press("enter")
            assert run.journal.pending_commands() == ()
            await session.press("backspace", "9", "up")
            assert "population.size = 10" in session.shows()
            await session.press("enter")
            assert "8 → 10 pending" in session.shows()
            assert "the engine has not answered yet" in session.shows()
            obey(run)
            await session.settled()
            assert "pending" not in session.shows()
            assert " * size            10           from the next proposal on" in session.shows()
            assert "population.size is set, from the next proposal on." in session.shows()
            assert "set by     tester at" in session.shows()
            await session.press("plus", "right", "minus")
            obey(run)
            await session.settled()
            assert run.journal.live_settings()["population.size"] == "11"
            await session.press("u")
            assert "population.size back to 10" in session.shows()


async def test_refused_stays_at_the_row_and_others_are_named(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        async with opened(Client(tmp_path), size=(140, 40)) as session:
            await session.press("5", "j", "plus")
            (asked,) = run.journal.pending_commands()
            run.journal.answer_command(asked.id, CommandState.REFUSED, "Not during a drift.")
            await session.settled()
            assert " * size            8            refused: Not during" in session.shows()
            assert "refused    Not during a drift." in session.shows()
            await session.press("escape")
            assert "refused" not in session.shows()
            run.journal.change_setting("stop.hours", "0.5", "2.0", "bob on a-laptop")
            await session.settled()
            assert "stop.hours: 0.5 → 2.0 (bob on a-laptop), from #2 on." in session.shows()
            await session.press("u")
            assert "You have changed no setting here" in session.shows()
            await session.press("slash", *"hours", "enter", "o")
            assert run.journal.pending_commands()[0].args == {"key": "stop.hours", "value": "0.0"}


async def test_a_template_is_checked_kept_reviewed_and_sent(tmp_path: Path, monkeypatch) -> None:
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LiveRun(tmp_path) as run:
        async with opened(Client(tmp_path), size=(120, 40)) as session:
            await session.press("5", "slash", *"prompts.mutate", "enter", "e")
            assert session.app.screen.query_one("#text").text == BUILT_IN["mutate"]
            session.app.screen.query_one("#text").text = "{parents}\n\n{parnets}\n"
            await session.press("ctrl+s")
            said = session.shows()
            assert (
                "has, in line 3, an unknown placeholder {parnets}; did you mean {parents}?" in said
            )
            (kept,) = [path for path in files(tmp_path) if path.suffix == ".txt"]
            assert kept.read_text() == "{parents}\n\n{parnets}\n"
            await session.press("e")
            assert session.app.screen.query_one("#text").text == kept.read_text()
            session.app.screen.query_one("#text").text = OLD
            await session.press("ctrl+s")
            assert "Send the template of mutate?" in session.shows()
            assert "+Be bold on {budget}." in session.shows()
            await session.press("escape")
            assert run.journal.pending_commands() == ()
            await session.press("e", "ctrl+s", "y")
            (asked,) = run.journal.pending_commands()
            assert asked.args == {"key": "prompts.mutate", "value": OLD}
            obey(run)
            await session.settled()
            assert "own, not used yet" in session.shows()
            await session.press("j", "o", "y")  # the built-in one is below, no longer in force
            assert run.journal.pending_commands()[0].args == {"key": "prompts.mutate", "value": ""}


async def test_who_only_watches_sees_everything_and_changes_nothing(tmp_path: Path) -> None:
    with LiveRun(tmp_path) as run:
        run.journal.write_scratchpad(PAD, source="model", who="claude", settled=3)
        async with opened(Client(tmp_path), size=(79, 30), read_only=True) as session:
            await session.press("5", "j", "plus", "e", "o", "space", "u")
            assert run.journal.commands() == ()
            assert session.app.screen.entering is None
            await session.press("slash", *"learned", "enter", "enter")
            assert "up is good (#2)" in session.shows()
    acting = {"edit", "more", "less", "switch", "restore", "undo"}
    assert acting <= {key.id for key in keys_of(TUNE)}
    assert not acting & {key.id for key in keys_of(TUNE, read_only=True)}


async def test_keys_typed_ahead_of_an_input_go_into_it() -> None:
    """Over SSH keys come in bunches: what follows `/` must not act."""
    async with opened(Slow()) as session:
        await session.press("5")
        for key in "/pou":
            session.app.post_message(_key(key))
        await session.pilot.pause()
        await session.settled()
        assert session.source.sent == []
        assert session.app.screen.filter_text == "pou"


def _key(character: str):
    from textual.events import Key
    from textual.keys import _character_to_key

    return Key(_character_to_key(character), character)


# ---- in a real terminal --------------------------------------------------------------------------------------


def test_an_editor_of_one_s_own_edits_the_scratchpad_and_gives_the_terminal_back(
    tmp_path: Path,
) -> None:
    script = tmp_path / "my editor"
    script.write_text(
        '#!/bin/sh\necho "in the editor" > /dev/tty\nsed -i "s/go on/go further/" "$1"\n'
    )
    script.chmod(0o755)
    workspace = tmp_path / "w"
    workspace.mkdir()
    with LiveRun(workspace) as run:
        run.journal.write_scratchpad(PAD, source="model", who="claude", settled=3)
        environ = {"EDITOR": f"'{script}'", "VISUAL": "", "TMPDIR": str(tmp_path)}
        argv = (*ATTACH, str(workspace))
        with Terminal(argv, columns=100, rows=30, env=environ) as terminal:
            terminal.expect(b"q detach")
            terminal.type(b"5")
            terminal.expect(b"Who lives.")
            terminal.type(b"/learned\r")
            terminal.expect(b"Rates matter")
            start = terminal.type(b"e")
            terminal.expect(b"in the editor", start=start)
            terminal.expect(b"go further", start=start)
            terminal.type(b"y")
            deadline = time.monotonic() + 15
            while not run.journal.pending_commands() and time.monotonic() < deadline:
                terminal.pump(0.1)
            (asked,) = run.journal.pending_commands()
            assert asked.verb == "scratchpad"
            assert parse(asked.args["text"]).recommendations == ("go further",)
            terminal.type(b"q")
            assert terminal.wait() == 0
            assert terminal.modes() == terminal.modes_before


def test_the_editor_in_the_app_writes_only_what_changed(tmp_path: Path) -> None:
    with LiveRun(tmp_path):
        argv = (*ATTACH, str(tmp_path))
        with Terminal(argv, columns=120, rows=40, env={"EDITOR": "", "VISUAL": ""}) as terminal:
            terminal.expect(b"q detach")
            terminal.type(b"5")
            terminal.expect(b"Who lives.")
            terminal.type(b"/prompts.mutate\r")
            terminal.expect(b"It may use")
            terminal.type(b"e")
            terminal.expect(b"ctrl+s done")
            terminal.type(b"x")
            terminal.pump(1.0)
            start = terminal.type(b"abcdefgh\x1b[C\x1b[D")
            terminal.pump(1.5)
            assert 10 <= len(terminal.written) - start < 10 * 300
            terminal.type(b"\x1b")
            terminal.expect(b"Nothing was changed.")
            terminal.type(b"q")
            assert terminal.wait() == 0
