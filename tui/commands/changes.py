"""`autoresearch changes`: who changed which setting when, and taking one's own last change back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.model import SettingChange
    from tui.commands.parsing import Parser

ALL = 1_000_000  # changes that are listed at most


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `changes`."""
    parser = add_command(
        commands,
        "changes",
        _run,
        summary="who changed which setting, and taking the last one back",
        description="List every change of a setting in this run, newest last: who made it when, and the first candidate\n"
        "that it may have shaped. --undo takes the last change that you made back, by the command line or in\n"
        "the app; again: the one before.",
        example="autoresearch changes --undo",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--undo", action="store_true", help="take your own last change back")
    way.add_argument("--json", action="store_true", help="the same data for programs")


def _run(args: argparse.Namespace) -> int:
    from evolve.model import NothingToDo
    from tui.commands.live import run_in
    from tui.plain import to_json

    folder = workspace(args)
    with run_in(folder) as (client, _):
        found = client.setting_changes(ALL)
    if args.undo:
        return _undo(folder, found)
    if args.json:
        print(to_json(list(found)))
        return 0
    if not found:
        raise NothingToDo("No setting was changed in this run; `autoresearch set KEY VALUE` does.")
    print(_listing(found))
    return 0


def _undo(folder: Path, found: tuple[SettingChange, ...]) -> int:
    from evolve.changes import to_undo
    from evolve.model import NothingToDo, UsageError
    from tui.commands.steer import put, who

    last = to_undo(found, who())
    if last is None:
        raise NothingToDo("You have changed no setting in this run that could be taken back.")
    newest = next(change for change in found if change.key == last.key)
    if newest.new != last.new:
        raise UsageError(
            f"{newest.who} has changed {last.key} since you did; set it by hand if you mean it."
        )
    return put(folder, last.key, last.old)


def _listing(found: tuple[SettingChange, ...]) -> str:
    import time

    from evolve.toml_text import text_of
    from tui.plain import one_line, table

    rows = [("when", "who", "setting", "from", "to", "counts from")]
    for change in reversed(found):
        when = time.strftime("%d %b %H:%M:%S", time.localtime(change.time))
        old, new = (one_line(text_of(value), 30) or '""' for value in (change.old, change.new))
        rows.append(
            (when, one_line(change.who, 30), change.key, old, new, f"#{change.applied_from}")
        )
    return table(rows)
