"""The key registry: what is in it works, what is shown exists, and only harmless keys remain read-only."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.tui.pty_harness import ROOT
from tui.keys import (
    DETAILS,
    DIFF,
    GROUPS,
    HELP,
    KEYS,
    LINEAGE,
    LIVE,
    LOG,
    POPULATION,
    REVIEW,
    TUNE,
    keys_of,
    markdown,
)
from tui.screens.diff import DiffScreen
from tui.screens.lineage import LineageScreen
from tui.screens.live import LiveScreen
from tui.screens.log import LogScreen
from tui.screens.pages import DetailsScreen, HelpScreen
from tui.screens.population import PopulationScreen
from tui.screens.tune import TuneScreen
from tui.screens.tune_texts import ReviewScreen
from tui.shell import AutoresearchApp

SCREENS = {
    LIVE: LiveScreen,
    POPULATION: PopulationScreen,
    LINEAGE: LineageScreen,
    DIFF: DiffScreen,
    TUNE: TuneScreen,
    REVIEW: ReviewScreen,
    LOG: LogScreen,
    DETAILS: DetailsScreen,
    HELP: HelpScreen,
}


@pytest.mark.parametrize("view", SCREENS)
def test_no_key_of_a_view_is_dead(view):
    for key in keys_of(view):
        name = key.action.partition("(")[0]
        owner = AutoresearchApp if name.startswith("app.") else SCREENS[view]
        assert hasattr(owner, f"action_{name.removeprefix('app.')}"), f"{view}: {key.id}"


@pytest.mark.parametrize("view", SCREENS)
def test_no_two_actions_share_a_key_in_a_view(view):
    used = Counter(name for key in keys_of(view) for name in key.keys)
    assert [name for name, times in used.items() if times > 1] == []


@pytest.mark.parametrize("view", SCREENS)
def test_the_bindings_of_a_view_are_those_of_the_registry(view):
    bound = {binding.key for binding in SCREENS[view].BINDINGS}
    assert bound == {name for key in keys_of(view) for name in key.keys}


def test_ids_are_unique_and_groups_are_known():
    assert len({key.id for key in KEYS}) == len(KEYS)
    assert {key.group for key in KEYS} == set(GROUPS)


def test_who_only_watches_has_no_acting_keys():
    acting = {
        "pause",
        "larger",
        "smaller",
        "pin",
        "ban",
        "drop",
        "kill",
        "sooner",
        "later",
        "stop",
        "boost",
        "remeasure",
        "inject",
        "approve",
        "approval",
        "edit",
        "more",
        "less",
        "switch",
        "restore",
        "undo",
        "send",
    }
    assert {key.id for key in KEYS if key.acting} == acting
    for view in SCREENS:
        assert not {key.id for key in keys_of(view, read_only=True)} & acting


def test_leaving_and_repairing_are_possible_everywhere():
    for view in SCREENS:
        assert {"detach", "repair"} <= {key.id for key in keys_of(view)}


def test_the_table_for_the_docs_names_every_key_and_is_of_now(tmp_path):
    table = markdown()
    for key in KEYS:
        assert key.help in table
    line = [sys.executable, "-m", "tui.keys"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == table + "\n"
    subprocess.run([*line, "--write", str(tmp_path / "keys.md")], cwd=ROOT, check=True)
    of_now = (tmp_path / "keys.md").read_text(encoding="utf-8")
    written = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert written == of_now, "run: python -m tui.keys --write docs/keys.md"
