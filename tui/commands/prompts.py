"""`autoresearch prompts`: the templates of the language model's prompts, their versions, and what each has come to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.promptbook import Version
    from tui.commands.parsing import Parser

OPERATORS = ("mutate", "rewrite", "crossover", "tune", "repair", "scratchpad")


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
    parser.add_argument(
        "--edit",
        action="store_true",
        help="open OPERATOR's template, or the VERSION, in $VISUAL or $EDITOR; what you save is set",
    )
    parser.add_argument("--json", action="store_true", help="the same data for programs")


def _run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tui.plain import to_json

    folder = workspace(args)
    own = _own(folder)
    known: Sequence[Version] = _known(folder, own)
    known = [k for k in known if args.operator in (None, k.operator)]
    if args.version:
        known = _of_version(known, args.version)
    if args.edit:
        return _edit(folder, known[0] if args.version else None, args.operator, own)
    if args.json:
        print(to_json([asdict(k) | {"success": k.trend and k.trend.success} for k in known]))
    elif args.version:
        _print_version(known[0])
    elif args.operator:
        _print_template(args.operator, own)
    else:
        print(_listing(known))
    return 0


def _known(folder: Path, own: dict[str, str]) -> tuple[Version, ...]:
    """Every version that is or was in force, by operator, those in force first."""
    from contextlib import closing

    from evolve.client import Client
    from evolve.promptbook import versions

    with closing(Client(folder)) as client:
        return versions(own, client.templates(), client.trends("prompt"))


def _own(folder: Path) -> dict[str, str]:
    """A person's templates by operator: those of the live engine, else those that the files hold."""
    from evolve import settings as config
    from evolve.toml_text import texts
    from tui.commands.live import ALIVE, current_snapshot

    snapshot = current_snapshot(folder)
    if snapshot is not None and snapshot.engine.state in ALIVE:
        return texts(dict(snapshot.settings), "prompts.")
    return config.load(folder, gpu=False, overrides={}).prompts.model_dump()


def _of_version(known: Sequence[Version], version: str) -> Sequence[Version]:
    from evolve.model import UsageError

    found = [k for k in known if k.version.startswith(version.lower())]
    if not found:
        raise UsageError(
            f"There is no template of version {version[:40]} here; `autoresearch prompts` lists them."
        )
    return found[:1]


def _print_version(known: Version) -> None:
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


def _edit(folder: Path, known: Version | None, operator: str | None, own: dict[str, str]) -> int:
    """What was changed in the editor is set; a text that does not fit is kept for another try."""
    from evolve.model import EvolveError, UsageError
    from evolve.promptbook import as_written
    from evolve.propose.placeholders import in_force, validate_template
    from tui.commands.steer import put
    from tui.commands.texts import PROMPTS, TEMPLATE
    from tui.editing import edited, keep

    operator = known.operator if known is not None else operator
    if operator is None:
        raise UsageError(
            f"Which template? `autoresearch prompts OPERATOR --edit`; there are {', '.join(OPERATORS)}."
        )
    current = in_force(operator, own)
    text = current if known is None else as_written(known)
    draft = edited(text, name=operator, suffix=".txt", most=TEMPLATE, what="a template")
    if draft is None and text == current:
        print("Nothing was changed.")
        return 0
    draft = draft or keep(text, operator, ".txt")
    try:
        validate_template(operator, draft.text)
        done = put(folder, f"{PROMPTS}{operator}", draft.text)
    except EvolveError as error:
        raise type(error)(f"{error} Your text is in {draft.path}.") from None
    draft.discard()
    return done


def _print_bare(text: str) -> None:
    from harness.process import clean

    print(clean(text).rstrip("\n"))


def _say(line: str) -> None:
    import sys

    print(line, file=sys.stderr)


def _name(known: Version) -> str:
    """`rewrite (structural)`: a rewrite has a version for each of its intents."""
    return f"{known.operator} ({known.intent})" if known.intent else known.operator


def _listing(known: Sequence[Version]) -> str:
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
