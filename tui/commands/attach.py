"""`autoresearch` without a command: the app where there is a terminal that can show it, plain text where there is none.

A pipe or a dumb terminal follows the run that goes on here as `status --watch` does; without one, a pipe starts a
headless run.

Where there is no run yet it offers to start one, after showing what that means. The app owns the screen; this
module only decides what to open.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tui.commands import run, status
from tui.commands.parsing import add_command, add_look, can_show_app, look, workspace

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
    add_look(parser)


def open_or_run(args: argparse.Namespace) -> int:
    """What `autoresearch` does without a command."""
    folder = workspace(args)
    if not sys.stdout.isatty() and not _engine_works(folder):
        return run.headless(folder, run.Options())
    return _open(folder, read_only=False, ascii_only=look(args))


def _engine_works(folder: Path) -> bool:
    from tui.commands.live import ALIVE, current_snapshot

    snapshot = current_snapshot(folder)
    return snapshot is not None and snapshot.engine.state in ALIVE


def _attach(args: argparse.Namespace) -> int:
    return _open(workspace(args), read_only=args.read_only, ascii_only=look(args))


def _open(folder: Path, *, read_only: bool, ascii_only: bool) -> int:
    from evolve.model import NothingToDo, UsageError
    from tui.commands.live import current_snapshot

    found = current_snapshot(folder)
    if not can_show_app():
        if found is None:
            raise UsageError(
                "This terminal cannot show the app, and there is no run to be told of in plain text; "
                "start one with `autoresearch run --headless`."
            )
        print("This terminal cannot show the app; this is `status --watch`.", file=sys.stderr)
        return status.watch(folder)
    if found is None:
        if read_only or not _offer(folder):
            raise NothingToDo(
                f"There is no run in {folder} yet; start one with `autoresearch run`."
            )
        run.start_in_background(folder, run.Options())
    from tui.app import run_app

    return run_app(folder, read_only, ascii_only=ascii_only)


def _offer(folder: Path) -> bool:
    """Ask whether to start a run; a bare Enter means yes."""
    print(f"There is no run in {folder} yet.")
    try:
        answer = input("Start one? It shows its plan first and stops by itself. [Y/n] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("", "y", "yes")
