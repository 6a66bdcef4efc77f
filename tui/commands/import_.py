"""`autoresearch import`: a run that was exported, or the ancestor's, as a finished run to look at. Writes one journal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command

if TYPE_CHECKING:
    from tui.commands.parsing import Parser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `import`."""
    parser = add_command(
        commands,
        "import",
        _run,
        summary="bring in an exported run, or the ancestor's results.tsv, to look at",
        description="Make a finished run of what was exported: a folder of `autoresearch export data` or `export all`,\n"
        "a .jsonl file of `export data`, or the ancestor's results.tsv with its branch. Then the app, status,\n"
        "replay and every export work on it. It is never gone on with, and a run that is there stays.",
        example="autoresearch import results.tsv --branch autoresearch/mar8",
    )
    parser.add_argument("source", metavar="SOURCE", help="what was exported, or a results.tsv")
    parser.add_argument(
        "into", metavar="DIR", nargs="?", default="",
        help="the workspace that gets the run; made where there is none (default: the one around here)",
    )  # fmt: skip
    parser.add_argument(
        "--branch", metavar="B", default="",
        help="of a results.tsv: the branch that it tells of (default: the one checked out)",
    )  # fmt: skip
    parser.add_argument("--name", metavar="NAME", default="", help="of a results.tsv: what the run is to be called")  # fmt: skip


def _run(args: argparse.Namespace) -> int:
    from evolve.importing import bring_in
    from evolve.importing_rows import rows_of
    from evolve.model import UsageError
    from tui.commands.parsing import workspace

    source = Path(args.source).expanduser()
    ancestor = source.suffix == ".tsv"
    if (args.branch or args.name) and not ancestor:
        raise UsageError("--branch and --name are for a results.tsv; an export knows its own.")
    folder = Path(args.into).expanduser() if args.into else workspace(args)
    if ancestor:
        from evolve.importing_ancestor import rows_of_table

        rows = rows_of_table(source, folder, args.branch, args.name)
    else:
        rows = rows_of(source)
    folder.mkdir(parents=True, exist_ok=True)
    found = bring_in(rows, folder, str(source))
    trainings = "1 training" if found.trainings == 1 else f"{found.trainings} trainings"
    print(f"{folder.absolute()}: run “{found.run}”, {found.candidates} candidates, {trainings}.")
    if not found.scripts:
        print("Its scripts are not in git here: scores and texts can be looked at, scripts and diffs cannot.")  # fmt: skip
    return 0
