"""The parser behind every command: errors in one sentence, with the nearest name; and where the workspace is.

Imported by every command before it runs, so it must stay light: argparse and pathlib, nothing else.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

PROGRAM = "autoresearch"
EXIT_CODES = (
    "exit codes: 0 done, 1 failed, 2 wrong usage, 3 no run or nothing to do, 130 interrupted"
)
# Faults of the system that a person can mend, told in a sentence.
MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
# As Textual names them. The app itself uses sixteen colours at most.
COLORS = {"auto": "auto", "none": "", "16": "standard", "256": "256", "truecolor": "truecolor"}
Command = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one sentence and names the nearest right word."""

    def error(self, message: str) -> NoReturn:
        """Print one sentence and leave with code 2."""
        wrong = re.search(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if wrong:
            message = f"There is no command “{wrong[1]}”{self.suggest(wrong[1], self.commands())}"
        end = "" if message.endswith("?") else "."
        fail(f"{message[:1].upper()}{message[1:]}{end} See `{self.prog} --help`.")

    def commands(self) -> list[str]:
        """The names of the commands below this parser."""
        return [
            name
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
            for name in action.choices
        ]

    def reject(self, unknown: list[str]) -> NoReturn:
        """Report the first argument that nobody understood."""
        word = unknown[0].split("=")[0]
        if not word.startswith("-"):
            self.error(f"“{word}” is one argument too many")
        options = [name for action in self._actions for name in action.option_strings]
        self.error(f"There is no option {word}{self.suggest(word, options)}")

    @staticmethod
    def suggest(word: str, known: Iterable[str]) -> str:
        """`; did you mean “status”?`, or nothing when no name is near."""
        import difflib

        near = difflib.get_close_matches(word, list(known), n=1)
        return f"; did you mean “{near[0]}”?" if near else ""


def fail(sentence: str) -> NoReturn:
    """Leave with code 2 and a sentence on stderr."""
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def add_command(
    commands: argparse._SubParsersAction[Parser],
    name: str,
    run: Command,
    *,
    summary: str | None,
    description: str,
    example: str,
) -> Parser:
    """Add one command; `summary` None keeps it out of the list of commands."""
    # argparse lists a command as soon as `help` is given, even when it is None.
    listed: dict[str, Any] = {} if summary is None else {"help": summary}
    parser = commands.add_parser(
        name,
        description=description,
        epilog=f"example:\n  {example}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        **listed,
    )
    add_workspace(parser, default=argparse.SUPPRESS)
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_workspace(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The global option -C, accepted before and after the command."""
    parser.add_argument(
        "-C",
        "--workspace",
        metavar="DIR",
        default=default,
        help="the workspace: a git repository with a train.py (default: the one around here)",
    )


def add_look(parser: argparse.ArgumentParser, *, nested: bool = True) -> None:
    """How the app is painted, for every command that opens it; `nested`: below the command line's own parser."""
    parser.add_argument(
        "--ascii",
        action="store_true",
        default=argparse.SUPPRESS if nested else False,
        help="paint with ASCII characters only, where lines and curves come out as garbage",
    )
    parser.add_argument(
        "--color",
        choices=tuple(COLORS),
        default=argparse.SUPPRESS if nested else "auto",
        help="how many colours the terminal has (default: auto, which heeds NO_COLOR)",
    )


def look(args: argparse.Namespace) -> bool:
    """Make --color hold for the app, which reads the environment once; returns whether it paints in ASCII only."""
    if args.color == "none":
        os.environ["NO_COLOR"] = "1"
    elif args.color != "auto":
        os.environ.pop("NO_COLOR", None)
        os.environ["TEXTUAL_COLOR_SYSTEM"] = COLORS[args.color]
    return bool(args.ascii)


def workspace(args: argparse.Namespace) -> Path:
    """The folder to work in: -C, else the nearest folder upwards with a run or a repository, else here."""
    if args.workspace is not None:
        folder = Path(args.workspace).expanduser()
        if not folder.is_dir():
            fail(f"There is no folder {folder}; name an existing one with -C.")
        return folder.resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".autoresearch").is_dir() or (folder / ".git").exists():
            return folder
    return here


def can_show_app() -> bool:
    """True when the app can open on this terminal."""
    from tui.terminal import refusal

    return refusal(os.environ, (sys.stdin, sys.stdout, sys.stderr)) is None


def can_repaint() -> bool:
    """True when stdout is a terminal that can place its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
