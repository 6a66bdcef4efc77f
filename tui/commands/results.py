"""`autoresearch results`: every candidate with its score, verdict and title, as a table or JSON. Reads only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

SORTS = (
    *("id", "bpb", "corrected", "generation", "children", "operator", "category"),
    *("verdict", "lines"),
)


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `results`."""
    parser = add_command(
        commands,
        "results",
        _run,
        summary="list the candidates with scores and verdicts",
        description="List every candidate of the run; * marks what main holds. val_bpb is the mean as measured,\n"
        "corrected what is left of it without luck, give or take one standard deviation: a score that was\n"
        "picked as the best of many flatters itself. P(better) is the chance that it beats main, n the\n"
        "number of trainings; one training makes a score provisional, several make it confirmed.",
        example="autoresearch results --kept-only --sort corrected",
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
    from tui.listing import results, select
    from tui.plain import to_json

    folder = workspace(args)
    with run_in(folder) as (client, snapshot):
        run, everyone, beliefs = snapshot.run, client.candidates(), client.beliefs()
    chosen = select(
        everyone, beliefs, kept_only=args.kept_only, category=args.category, sort=args.sort
    )
    if args.json:
        rows = [asdict(c) | {"mean": c.mean, "belief": beliefs.get(c.id)} for c in chosen]
        print(to_json(rows))
        return 0
    if not chosen:
        raise NothingToDo("No candidate is like that; `autoresearch results` lists them all.")
    incumbent = run.incumbent if run else None
    print(results(chosen, beliefs, incumbent, composite=snapshot.outlook.composite))
    return 0
