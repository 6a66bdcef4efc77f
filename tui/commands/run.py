"""`autoresearch run`: shows what will run, prepares the data, then starts the engine here or in the background.

The plan is printed before anything is spent. The engine itself belongs to `evolve`; this module hands it the
options and prints its events, one line each.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.commands.parsing import PROGRAM, add_command, add_look, can_show_app, look, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.model import Event
    from tui.commands.parsing import Parser

STOPPED_BY_INTERRUPT = 130


def _number(text: str) -> str:
    """A number above 0, as it was written: the settings read it."""
    try:
        right = 0 < float(text) < math.inf
    except ValueError:
        right = False
    if not right:
        raise argparse.ArgumentTypeError(f"“{text}” is no number more than 0")
    return text


def _whole(text: str) -> str:
    """A whole number above 0, as it was written."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number more than 0")
    return text


RULES = (
    ("--max", "N", _whole, "stop after N candidates"),
    ("--hours", "H", _number, "stop after H hours"),
    ("--dollars", "D", _number, "stop before the model calls cost more than D"),
    ("--target", "BPB", _number, "stop once main is confirmed at BPB or better"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for; the defaults are those of a bare `autoresearch run`."""

    overrides: tuple[tuple[str, str], ...] = ()  # dotted key and value as TOML
    name: str | None = None
    allow_weak_sandbox: bool = False
    ready_fd: int | None = None  # told once the run has begun; see evolve.launch

    def argv(self) -> list[str]:
        """The same request as arguments of `autoresearch run`."""
        words = [word for key, value in self.overrides for word in ("--set", f"{key}={value}")]
        words += ["--name", self.name] if self.name else []
        return [*words, "--allow-weak-sandbox"] if self.allow_weak_sandbox else words


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `run`."""
    parser = add_command(
        commands,
        "run",
        _run,
        summary="search: train candidates until a stop rule ends it",
        description="Start a search, or go on with the one that was stopped here. In a terminal the engine\n"
        "works in the background and the app opens; elsewhere, or with --headless, it runs in\n"
        "this process and prints one line an event.",
        example="autoresearch run --max 50 --hours 8 --set population.size=12",
    )
    parser.add_argument(
        "--headless", action="store_true", help="run in this process, without the app"
    )
    parser.add_argument("--detach", action="store_true", help="start in the background and return")
    for option, metavar, kind, meaning in RULES:
        parser.add_argument(option, metavar=metavar, type=kind, help=meaning)
    parser.add_argument("--name", metavar="NAME", help="start a new run of this name")
    parser.add_argument(
        "--allow-weak-sandbox",
        action="store_true",
        help="run candidates without a sandbox where none is to be had; recorded with every score",
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=_assignment,
        help="any setting of autoresearch.toml, for this start only; may be repeated",
    )
    add_look(parser)
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)


def options(args: argparse.Namespace) -> Options:
    """The options of a parsed `run`."""
    rules = {"candidates": args.max, "hours": args.hours, "dollars": args.dollars, "target_bpb": args.target}  # fmt: skip
    given = [(f"stop.{key}", value) for key, value in rules.items() if value is not None]
    return Options((*args.set, *given), args.name, args.allow_weak_sandbox, args.ready_fd)


def start_in_background(folder: Path, chosen: Options) -> int:
    """Show the plan, prepare the data, start the engine; returns its process id."""
    from evolve.launch import detach

    prepare_run(folder, chosen)
    return detach(folder, chosen.argv())


def headless(folder: Path, chosen: Options) -> int:
    """Run an engine in this process, one line an event on stdout; returns the exit code."""
    from evolve.credentials import own

    credentials = own()  # before the imports that take long: until here others of the same user could look inside
    from evolve.engine import serve

    prepare_run(folder, chosen)
    code = serve(
        folder,
        overrides=dict(chosen.overrides),
        name=chosen.name,
        allow_weak_sandbox=chosen.allow_weak_sandbox,
        on_event=_Printer(chosen.ready_fd),
        credentials=credentials,
    )
    if code == STOPPED_BY_INTERRUPT:
        print(f"{PROGRAM}: Stopped; `autoresearch run` goes on from here.", file=sys.stderr)
    return code


def prepare_run(folder: Path, chosen: Options) -> None:
    """Check what can be checked beforehand, print the plan, and make the data ready with a progress bar."""
    from evolve.boot import data_config
    from harness.apart import prepare_apart
    from tui.commands.bar import Bar
    from tui.commands.plan import check, plan_table

    plan = check(folder, chosen.name, dict(chosen.overrides), allow_weak=chosen.allow_weak_sandbox)
    print(plan_table(plan), flush=True)
    if plan.resumed is None:  # a run that goes on keeps its own data, which the engine looks up
        with Bar() as bar:
            prepare_apart(data_config(plan.settings), bar)


def _run(args: argparse.Namespace) -> int:
    folder, chosen = workspace(args), options(args)
    if args.headless or not (args.detach or can_show_app()):
        return headless(folder, chosen)
    pid = start_in_background(folder, chosen)
    if args.detach:
        print(f"The engine runs in the background (process {pid}).")
        print(
            "Look at it with `autoresearch` or `autoresearch status`, end it with `autoresearch stop`."
        )
        return 0
    from tui.app import run_app

    return run_app(folder, ascii_only=look(args))


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(
            f"“{text}” is no setting; write KEY=VALUE, as in --set population.size=12"
        )
    return key.strip(), value.strip()


class _Printer:
    """Prints events; an engine outlives whoever read them."""

    def __init__(self, ready_fd: int | None) -> None:
        self._ready = ready_fd
        self._heard = True
        if ready_fd is not None:
            os.set_inheritable(ready_fd, False)

    def __call__(self, event: Event) -> None:
        from tui.plain import event_line

        if self._ready is not None and event.kind == "run":
            self._tell_ready()
        if not self._heard:
            return
        try:
            print(event_line(event), flush=True)
        except BrokenPipeError:
            self._heard = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            print(
                f"{PROGRAM}: Nobody reads the events any more; the run goes on in silence "
                "(`autoresearch status` shows it, `autoresearch stop` ends it).",
                file=sys.stderr,
            )

    def _tell_ready(self) -> None:
        """Tell whoever started this engine that its run has begun; they may be gone already."""
        if self._ready is None:
            return
        with os.fdopen(self._ready, "wb", buffering=0) as pipe:
            self._ready = None
            try:
                pipe.write(b"1")
            except BrokenPipeError:
                return
