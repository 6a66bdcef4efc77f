"""`autoresearch results`: every candidate with its score, verdict and title, as a table or JSON. Reads only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

SORTS = ("id", "bpb", "generation", "children", "operator", "category", "verdict", "lines")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `results`."""
    parser = add_command(
        commands,
        "results",
        _run,
        summary="list the candidates with scores and verdicts",
        description="List every candidate of the run. The ± column is the standard error of its mean under\n"
        "the noise that the run measured; n is the number of trainings; * marks what main holds.",
        example="autoresearch results --kept-only --sort bpb",
    )
    parser.add_argument(
        "--kept-only", action="store_true", help="only those that were kept or promoted"
    )
    parser.add_argument(
        "--sort", choices=SORTS, default="id", help="order of the lines (default: id)"
    )
    parser.add_argument("--category", metavar="C", help="only this category, such as optimizer")
    parser.add_argument("--json", action="store_true", help="the same data for programs")


def _run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from evolve.model import NothingToDo
    from tui.commands.live import run_in
    from tui.plain import results, select, to_json

    folder = workspace(args)
    with run_in(folder) as (client, snapshot):
        run, everyone = snapshot.run, client.candidates()
    chosen = select(everyone, kept_only=args.kept_only, category=args.category, sort=args.sort)
    if args.json:
        print(to_json([asdict(candidate) | {"mean": candidate.mean} for candidate in chosen]))
        return 0
    if not chosen:
        raise NothingToDo("No candidate is like that; `autoresearch results` lists them all.")
    print(results(chosen, run.sigma if run else None, run.incumbent if run else None))
    return 0
