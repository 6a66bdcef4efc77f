"""`autoresearch run`: shows what will run, prepares the data, then starts the engine here or in the background.

Either way this process keeps an engine (`evolve.keeper`), which is a child of its own: the same command with --kept,
which nobody types. The plan is printed before anything is spent. The engine itself belongs to `evolve`; this module
hands it the options and prints its events, one line each.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.commands.parsing import (
    MENDABLE,
    PROGRAM,
    add_command,
    add_look,
    can_show_app,
    look,
    workspace,
)

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.keeper import Line
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


def _count(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


RULES = (
    ("--max", "N", _whole, "stop after N candidates"),
    ("--hours", "H", _number, "stop after H hours"),
    ("--dollars", "D", _number, "stop before the model calls cost more than D"),
    ("--target", "BPB", _number, "stop once main is confirmed at BPB or better"),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a keeper tells the engine that it starts."""

    line: int  # descriptor on which the engine tells how it fares
    after: (
        str  # how the engine before it died, the beginning of a sentence; empty for the first one
    )
    bury: (
        str  # only write down, with this sentence, why no other one is started; empty for an engine
    )


@dataclass(frozen=True, slots=True)
class Options:
    """What a person asked for; the defaults are those of a bare `autoresearch run`."""

    overrides: tuple[tuple[str, str], ...] = ()  # dotted key and value as TOML
    name: str | None = None
    allow_weak_sandbox: bool = False
    restarts: int | None = None  # fresh engines within an hour; None = as many as is usual
    ready_fd: int | None = None  # told once the run has begun; see evolve.launch
    kept: Kept | None = None  # this process is an engine

    def argv(self) -> list[str]:
        """The same request as arguments of `autoresearch run`."""
        words = [word for key, value in self.overrides for word in ("--set", f"{key}={value}")]
        words += ["--name", self.name] if self.name else []
        words += [] if self.restarts is None else ["--restarts", str(self.restarts)]
        return [*words, "--allow-weak-sandbox"] if self.allow_weak_sandbox else words


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `run`."""
    parser = add_command(
        commands,
        "run",
        _run,
        summary="search: train candidates until a stop rule ends it",
        description="Start a search, or go on with the one that was stopped here. In a terminal the engine\n"
        "works in the background and the app opens; elsewhere, or with --headless, it prints one\n"
        "line an event here. An engine that is killed is started again; `autoresearch stop` ends it.",
        example="autoresearch run --max 50 --hours 8 --set population.size=12",
    )
    parser.add_argument("--headless", action="store_true", help="run here, without the app")
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
    parser.add_argument(
        "--restarts",
        metavar="N",
        type=_count,
        help="start a killed engine again at most N times within an hour (default: 5; 0: never)",
    )
    add_look(parser)
    for hidden in ("--ready-fd", "--kept"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    for hidden in ("--after", "--bury"):
        parser.add_argument(hidden, default="", help=argparse.SUPPRESS)


def options(args: argparse.Namespace) -> Options:
    """The options of a parsed `run`."""
    rules = {"candidates": args.max, "hours": args.hours, "dollars": args.dollars, "target_bpb": args.target}  # fmt: skip
    given = [(f"stop.{key}", value) for key, value in rules.items() if value is not None]
    kept = None if args.kept is None else Kept(args.kept, args.after, args.bury)
    return Options(
        overrides=(*args.set, *given),
        name=args.name,
        allow_weak_sandbox=args.allow_weak_sandbox,
        restarts=args.restarts,
        ready_fd=args.ready_fd,
        kept=kept,
    )


def start_in_background(folder: Path, chosen: Options) -> int:
    """Show the plan, prepare the data, start the engine; returns its process id."""
    from evolve.launch import detach

    prepare_run(folder, chosen)
    return detach(folder, chosen.argv())


def headless(folder: Path, chosen: Options) -> int:
    """Keep an engine that prints one line an event on our stdout; returns the exit code."""
    from evolve.enginelog import EngineLog
    from evolve.keeper import RESTARTS, Keeper, spawner
    from evolve.places import LOG, STATE
    from harness.process import become_trusted

    become_trusted()  # a fresh engine gets the keys from our environment, which nobody else may read
    limit = RESTARTS if chosen.restarts is None else chosen.restarts
    log = EngineLog(folder / STATE / LOG)

    def say(sentence: str) -> None:
        log.tend()
        with contextlib.suppress(
            OSError
        ):  # nobody reads on, or the disk is full: the engine is what matters
            print(f"{PROGRAM}: {sentence}", file=sys.stderr, flush=True)

    return Keeper(folder, spawner(folder, chosen.argv(), chosen.ready_fd), say, limit).keep()


def engine(folder: Path, chosen: Options, kept: Kept) -> int:
    """Be the engine, one line an event on stdout; returns the exit code.

    The one place where an exception that nobody expected ends: it is told, and the keeper starts a fresh engine.
    """
    from evolve.keeper import FAULT, Line
    from evolve.model import EvolveError
    from harness.spec import HarnessError

    line = Line(kept.line)
    try:
        return _serve(folder, chosen, kept, line)
    except (EvolveError, HarnessError, BrokenPipeError):
        raise
    except Exception as fault:
        if isinstance(fault, OSError) and fault.errno in MENDABLE:
            raise
        line.fault(fault)
        sys.excepthook(type(fault), fault, fault.__traceback__)
        return FAULT


def _serve(folder: Path, chosen: Options, kept: Kept, line: Line) -> int:
    """Run an engine to its end."""
    from evolve.credentials import own

    credentials = (
        own()
    )  # before the imports that take long: until here others of the same user could look inside
    if kept.bury:
        from evolve.weather import bury

        bury(folder, kept.bury)
        return 0
    from evolve.serving import serve

    if not kept.after:
        prepare_run(folder, chosen)
    code = serve(
        folder,
        overrides=dict(chosen.overrides),
        name=chosen.name,
        allow_weak_sandbox=chosen.allow_weak_sandbox,
        on_event=_Printer(folder, line, chosen.ready_fd),
        credentials=credentials,
        after=kept.after,
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
    if chosen.kept is not None:
        return engine(folder, chosen, chosen.kept)
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

    def __init__(self, folder: Path, line: Line, ready_fd: int | None) -> None:
        from evolve.enginelog import EngineLog
        from evolve.places import LOG, STATE

        self._ready = ready_fd
        self._line = line
        self._heard = True
        self._day = ""
        self._log = EngineLog(folder / STATE / LOG)
        if ready_fd is not None:
            os.set_inheritable(ready_fd, False)

    def __call__(self, event: Event) -> None:
        from tui.plain import event_line

        if event.kind == "run":
            self._line.begun()
            self._tell_ready()
        if not self._heard:
            return
        self._log.tend()
        try:
            if (
                self._log.ours
                and (day := time.strftime("%Y-%m-%d", time.localtime(event.time))) != self._day
            ):
                self._day = day
                print(f"{day}, engine of process {os.getpid()}:")
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
