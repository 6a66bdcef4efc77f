"""`autoresearch trends` and `operators`: what each kind of idea has come to, and what is tried next. Read only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

KEYS = ("category", "operator", "model", "prompt")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `trends` and `operators`."""
    trends = add_command(
        commands,
        "trends",
        _trends,
        summary="what each kind of idea has come to",
        description="Count what each kind of child has come to. tried: children with a verdict; kept: entered the\n"
        "population; success: the share that was kept or promoted. gain and best are over the better parent, in\n"
        "sigmas of one training and corrected for luck. last: the latest ten, newest last (P promoted,\n"
        "k kept, . rejected, - stopped early, x failed).",
        example="autoresearch trends --by operator",
    )
    trends.add_argument(
        "--by", choices=KEYS, default="category", help="kinds of what (default: category)"
    )
    trends.add_argument("--json", action="store_true", help="the same data for programs")
    operators = add_command(
        commands,
        "operators",
        _operators,
        summary="how the next proposals are shared out, and why",
        description="List the ways of making a child with their share of the next proposals. weight: the share that\n"
        "[operators] alone gives; tried: uses so far; gained (in sigmas) for cost (in trainings): what moved\n"
        "the share from its weight, older uses counting less; rate: the gain expected for one training.",
        example="autoresearch operators",
    )
    operators.add_argument("--json", action="store_true", help="the same data for programs")


def _trends(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from evolve.model import NothingToDo
    from tui.commands.live import run_in
    from tui.listing import trends
    from tui.plain import to_json

    with run_in(workspace(args)) as (client, _):
        found = client.trends(args.by)
    if args.json:
        print(to_json([asdict(trend) | {"success": trend.success} for trend in found]))
        return 0
    if not found:
        raise NothingToDo("No child was made yet; the baseline is measured first.")
    print(trends(found, args.by))
    return 0


def _operators(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from evolve.model import NothingToDo
    from tui.commands.live import run_in
    from tui.listing import shares
    from tui.plain import to_json

    with run_in(workspace(args)) as (_, snapshot):
        found = snapshot.outlook.operators
    if args.json:
        print(to_json([asdict(share) | {"rate": share.rate} for share in found]))
        return 0
    if not found:
        raise NothingToDo("No operator has a weight in this run; see [operators].")
    print(shares(found))
    return 0
