"""`autoresearch` without a command: the app where there is a terminal, a headless run where there is none.

Where there is no run yet it offers to start one, after showing what that means. The app owns the screen; this
module only decides what to open.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tui.commands import run
from tui.commands.parsing import add_command, can_show_app, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from tui.commands.parsing import Parser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `attach`, which is not listed: it is what `autoresearch` does anyway."""
    parser = add_command(
        commands,
        "attach",
        _attach,
        summary=None,
        description="Open the app on the run in the workspace, like `autoresearch` alone.",
        example="autoresearch attach --read-only",
    )
    parser.add_argument("--read-only", action="store_true", help="look, without the keys that act")


def open_or_run(args: argparse.Namespace) -> int:
    """What `autoresearch` does without a command."""
    folder = workspace(args)
    if not sys.stdout.isatty():
        return run.headless(folder, run.Options())
    return _open(folder, read_only=False)


def _attach(args: argparse.Namespace) -> int:
    return _open(workspace(args), read_only=args.read_only)


def _open(folder: Path, *, read_only: bool) -> int:
    from evolve.model import NothingToDo, UsageError
    from tui.commands.live import current_snapshot

    if not can_show_app():
        raise UsageError(
            "This terminal cannot show the app; follow a run with `autoresearch status --watch`, "
            "start one with `autoresearch run --headless`."
        )
    if current_snapshot(folder) is None:
        if read_only or not _offer(folder):
            raise NothingToDo(
                f"There is no run in {folder} yet; start one with `autoresearch run`."
            )
        run.start_in_background(folder, run.Options())
    from tui.app import run_app

    return run_app(folder, read_only)


def _offer(folder: Path) -> bool:
    """Ask whether to start a run; a bare Enter means yes."""
    print(f"There is no run in {folder} yet.")
    try:
        answer = input("Start one? It shows its plan first and stops by itself. [Y/n] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("", "y", "yes")
