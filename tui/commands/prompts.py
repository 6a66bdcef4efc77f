"""`autoresearch prompts`: the templates of the language model's prompts, their versions, and what each has come to."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.model import Template
    from evolve.trends import Trend
    from tui.commands.parsing import Parser

OPERATORS = ("mutate", "rewrite", "crossover", "tune", "repair", "scratchpad")


@dataclass(frozen=True, slots=True)
class Known:
    """One version of a template."""

    operator: str
    version: str
    in_force: bool
    text: str
    since: float | None  # unix seconds of its first use here; None = not used yet
    trend: Trend | None  # what its children have come to; None without any


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `prompts`."""
    parser = add_command(
        commands,
        "prompts",
        _run,
        summary="the prompts' templates, and what came of each",
        description="Without OPERATOR, list the templates in force and earlier ones, with what the children made from each\n"
        "version have come to. With one, print its template and the placeholders that it may use. Change it\n"
        'with `autoresearch set prompts.OPERATOR @FILE`, while the search runs if you like; "" puts the\n'
        "built-in one back.",
        example="autoresearch prompts mutate",
    )
    parser.add_argument(
        "operator", metavar="OPERATOR", nargs="?", choices=OPERATORS, help=", ".join(OPERATORS)
    )
    parser.add_argument("--version", metavar="V", help="print this version (its first digits do)")
    parser.add_argument("--json", action="store_true", help="the same data for programs")


def _run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tui.plain import to_json

    folder = workspace(args)
    own = _own(folder)
    known = [k for k in _known(folder, own) if args.operator in (None, k.operator)]
    if args.version:
        known = _of_version(known, args.version)
    if args.json:
        print(to_json([asdict(k) | {"success": k.trend and k.trend.success} for k in known]))
    elif args.version:
        _print_version(known[0])
    elif args.operator:
        _print_template(args.operator, own)
    else:
        print(_listing(known))
    return 0


def _known(folder: Path, own: dict[str, str]) -> list[Known]:
    """Every version that is or was in force, by operator, those in force first."""
    from contextlib import closing

    from evolve.client import Client
    from evolve.propose.placeholders import versions_in_force

    now = versions_in_force(own)
    with closing(Client(folder)) as client:
        kept = {(t.operator, t.version): t for t in client.templates()}
        trends = {trend.key: trend for trend in client.trends("prompt")}
    rows = [_row(kept.get((o, v)), o, v, text, trends, in_force=True) for v, o, text in now]
    current = {(operator, version) for version, operator, _ in now}
    rows += [
        _row(old, old.operator, old.version, old.text, trends, in_force=False)
        for key, old in reversed(kept.items())
        if key not in current
    ]
    order = {name: place for place, name in enumerate(OPERATORS)}
    return sorted(rows, key=lambda k: order.get(k.operator, len(order)))


def _row(
    kept: Template | None,
    operator: str,
    version: str,
    text: str,
    trends: dict[str, Trend],
    *,
    in_force: bool,
) -> Known:
    since = None if kept is None else kept.time
    return Known(operator, version, in_force, text, since, trends.get(version))


def _own(folder: Path) -> dict[str, str]:
    """A person's templates by operator: those of the live engine, else those that the files hold."""
    import tomllib

    from evolve import settings as config
    from tui.commands.live import ALIVE, current_snapshot

    snapshot = current_snapshot(folder)
    if snapshot is not None and snapshot.engine.state in ALIVE:
        return {
            key.partition(".")[2]: tomllib.loads(f"text = {value}")["text"]
            for key, value in snapshot.settings
            if key.startswith("prompts.")
        }
    return config.load(folder, gpu=False, overrides={}).prompts.model_dump()


def _of_version(known: list[Known], version: str) -> list[Known]:
    from evolve.model import UsageError

    found = [k for k in known if k.version.startswith(version.lower())]
    if not found:
        raise UsageError(
            f"There is no template of version {version[:40]} here; `autoresearch prompts` lists them."
        )
    return found[:1]


def _print_version(known: Known) -> None:
    """The bare text on stdout, what is said about it on stderr."""
    _print_bare(known.text)
    state = "in force" if known.in_force else "no longer in force"
    _say(f"\n{_name(known)}, version {known.version}: {state}.")


def _print_template(operator: str, own: dict[str, str]) -> None:
    """The template in force, bare on stdout, so that it can be edited and set again."""
    from evolve.propose.placeholders import (
        ALLOWED,
        MEANING,
        REQUIRED,
        in_force,
        prompt_version,
        variants,
    )

    template = in_force(operator, own)
    _print_bare(template)
    versions = [prompt_version(text) for text in variants(operator, template)]
    each = " (one for each intent)" if len(versions) > 1 else ""
    whose = "your own" if own.get(operator) else "the built-in one"
    _say(f"\nThis is {whose}, version {', '.join(versions)}{each}. It may use:")
    for name in sorted(ALLOWED[operator]):
        must = " (needed)" if name in REQUIRED[operator] else ""
        _say(f"  {{{name}}}: {MEANING[name]}{must}")


def _print_bare(text: str) -> None:
    from harness.process import clean

    print(clean(text).rstrip("\n"))


def _say(line: str) -> None:
    import sys

    print(line, file=sys.stderr)


def _name(known: Known) -> str:
    """`rewrite (structural)`: a rewrite has a version for each of its intents."""
    from evolve.propose.templates import INTENTS

    if known.operator != "rewrite":
        return known.operator
    intent = next((name for name, told in INTENTS.items() if told in known.text), "")
    return f"rewrite ({intent})" if intent else "rewrite"


def _listing(known: list[Known]) -> str:
    import time

    from tui.figures import percent, sigmas
    from tui.plain import table

    head = ("operator", "version", "", "first used", "tried", "kept", "promoted", "success", "gain")
    rows = [head]
    for k in known:
        since = time.strftime("%d %b %H:%M", time.localtime(k.since)) if k.since else "-"
        counts = (
            ("-", "-", "-", "-", "-")
            if k.trend is None
            else (
                str(k.trend.attempts),
                str(k.trend.kept),
                str(k.trend.promoted),
                percent(k.trend.success),
                sigmas(k.trend.gain),
            )
        )
        rows.append((_name(k), k.version, "in force" if k.in_force else "", since, *counts))
    return table(rows, right=frozenset({4, 5, 6, 7, 8}))
