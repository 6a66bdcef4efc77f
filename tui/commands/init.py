"""`autoresearch init`: a fresh workspace. What belongs into one is the engine's knowledge."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command

if TYPE_CHECKING:
    from tui.commands.parsing import Parser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `init`."""
    parser = add_command(
        commands,
        "init",
        _run,
        summary="make a fresh workspace",
        description="Make DIR a git repository with trainer/train.py, program.md (the research directions) and\n"
        "autoresearch.toml (the settings), committed. DIR must be empty or not exist yet.",
        example="autoresearch init ~/my-search",
    )
    parser.add_argument("directory", metavar="DIR", help="an empty or new folder")


def _run(args: argparse.Namespace) -> int:
    from evolve.workspace import create

    folder = Path(args.directory).expanduser()
    create(folder)
    print(f"{folder} is ready: trainer/train.py, program.md, autoresearch.toml, committed on main.")
    print(f"Next: cd {shlex.quote(str(folder))} && autoresearch run")
    return 0
