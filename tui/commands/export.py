"""`autoresearch export`: a run as files for other programs. Reads the journal and writes one file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

KINDS = ("results", "lineage", "best")  # those of `evolve.exporting`


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `export`."""
    parser = add_command(
        commands,
        "export",
        _run,
        summary="write the results, the lineage or the best script to a file",
        description="Write what a run has come to as a file for other programs, all of one instant: the results as a\n"
        "table (.tsv, .csv or .jsonl, by the end of the file's name), the lineage as a node-link graph (.json),\n"
        "or the script that main holds (.py). A file that is there stays, unless --replace is given.",
        example="autoresearch export results night.csv --replace",
    )
    parser.add_argument("kind", metavar="WHAT", choices=KINDS, help="results, lineage or best")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="",
        help="where to (default: RUN-WHAT in this folder; - for stdout, in the usual form)",
    )  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="take the place of a file")


def _run(args: argparse.Namespace) -> int:
    from evolve.exporting import SUFFIXES, default_name, prepare, save
    from tui.commands.live import run_in

    with run_in(workspace(args)) as (client, snapshot):
        name = snapshot.run.name if snapshot.run is not None else ""
        path = Path(args.file or default_name(args.kind, name)).expanduser()
        to_stdout = args.file == "-"
        export = prepare(client, args.kind, SUFFIXES[args.kind][0] if to_stdout else path.suffix)
    if to_stdout:
        sys.stdout.write(export.text)
        return 0
    save(export.text, path, replace=args.replace)
    print(f"{path.absolute()}: {export.about}")
    return 0
