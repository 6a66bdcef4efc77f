"""`autoresearch export`: a run as files for other programs and for people. Reads the journal, writes files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.export.registry import KINDS, default_name, kind_of
from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from evolve.export.selection import Selection
    from tui.commands.parsing import Parser


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `export`."""
    parser = add_command(
        commands,
        "export",
        _run,
        summary="write results, lineage, the best script, all data or a report to files",
        description="Write what a run has come to, all of one instant, also while it goes on. The end of FILE's name says\n"
        "in which form:\n\n" + listing() + "\n\nWhat is there stays, unless --replace is given.",
        example="autoresearch export results night.csv --since 2h --kept-only",
    )
    parser.add_argument(
        "kind",
        metavar="WHAT",
        choices=tuple(kind.name for kind in KINDS),
        help="one of those above",
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="",
        help="where to (default: RUN-WHAT in this folder; - for stdout, in the usual form)",
    )  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="take the place of what is there")
    tables = ", ".join(kind.name for kind in KINDS if kind.selects)
    some = parser.add_argument_group(f"only some candidates (for {tables})")
    some.add_argument(
        "--since", metavar="WHEN", default="",
        help="made since then: how long ago (2h, 30m), a time (2026-11-21 22:00) or a candidate (#17)",
    )  # fmt: skip
    some.add_argument("--kept-only", action="store_true", help="kept, promoted, or the baseline")
    some.add_argument("--category", metavar="C", default="", help="of this one, such as optimizer")


def listing() -> str:
    """Every kind with its forms, a line each, for the help."""
    lines = []
    for kind in KINDS:
        lines.append(f"  {kind.name:<11} {kind.about}")
        lines += [f"    {form.suffix or 'a folder':<9} {form.about}" for form in kind.forms]
    return "\n".join(lines)


def _run(args: argparse.Namespace) -> int:
    from evolve.export.writing import export, stream
    from tui.commands.live import run_in

    selection = _selection(args)
    with run_in(workspace(args)) as (client, snapshot):
        if args.file == "-":
            stream(client, args.kind, kind_of(args.kind).forms[0].suffix, sys.stdout.buffer, selection)  # fmt: skip
            sys.stdout.buffer.flush()
            return 0
        name = snapshot.run.name if snapshot.run is not None else ""
        path = Path(args.file or default_name(args.kind, name)).expanduser()
        about = export(client, args.kind, path, replace=args.replace, selection=selection)
    print(f"{path.absolute()}: {about}")
    return 0


def _selection(args: argparse.Namespace) -> Selection:
    from evolve.export.selection import Selection, since

    moment, number = since(args.since) if args.since else (None, 1)
    return Selection(moment, number, args.kept_only, args.category)
