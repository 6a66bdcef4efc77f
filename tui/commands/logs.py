"""`autoresearch logs`: the story of the run from the journal, or what its engines have printed. Reads only."""

from __future__ import annotations

import argparse
import threading
from collections import deque
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tui.commands.parsing import Parser

LOOK = 0.5  # seconds between two looks
PAGE = 1000  # events read at a time
WIDTH = 4000  # characters shown of a line of an engine's output


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `logs`."""
    parser = add_command(
        commands,
        "logs",
        _run,
        summary="print the events of the run, or the engine's output",
        description="Print what happened in the run, one line an event. With --engine what engines in the\n"
        "background have printed, deaths and restarts among it (.autoresearch/engine.log and the older\n"
        "engine.log.1 …). What a training printed shows `autoresearch show 17 --log`.",
        example="autoresearch logs -f | grep verdict",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the engine ends")
    parser.add_argument("-n", "--lines", metavar="N", type=_count, help="only the last N lines")
    parser.add_argument("--engine", action="store_true", help="the engine's output instead")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"“{text}” is no whole number")
    return int(text)


def _run(args: argparse.Namespace) -> int:
    folder = workspace(args)
    if args.engine:
        return _engine(folder, args.lines, follow=args.follow)
    return _events(folder, args.lines, follow=args.follow)


def _events(folder: Path, last_lines: int | None, *, follow: bool) -> int:
    from tui.commands.live import ALIVE, run_in
    from tui.plain import event_line

    pause = threading.Event()  # never set: waits between looks, and Ctrl-C ends it
    with run_in(folder) as (client, snapshot):
        newest = snapshot.recent[-1].id if snapshot.recent else 0
        last = 0 if last_lines is None else max(0, newest - last_lines)
        while True:
            while events := client.events(after=last, limit=PAGE):
                for event in events:
                    print(event_line(event), flush=follow)
                last = events[-1].id
            # Judged by the look before the events were read: the last ones before an end are not missed.
            if not follow or snapshot.engine.state not in ALIVE:
                return 0
            pause.wait(LOOK)
            snapshot = client.snapshot(curve=False)


def _engine(folder: Path, last_lines: int | None, *, follow: bool) -> int:
    """Print engine.log through its rotations; an engine that a person runs in a terminal writes there instead."""
    from evolve.enginelog import Tail, lines
    from evolve.model import NothingToDo
    from evolve.places import LOG, STATE
    from tui.commands.live import ALIVE, current_snapshot

    path = folder / STATE / LOG
    if not path.exists():
        raise NothingToDo(
            f"No engine has worked in the background in {folder}; `autoresearch run --detach` starts one."
        )
    if not follow:
        _show(lines(path, last_lines))
        return 0
    pause = threading.Event()  # never set
    with Tail(path) as tail:
        _show(deque(tail.more(), maxlen=last_lines), flush=True)
        while True:
            snapshot = current_snapshot(
                folder
            )  # before the lines, so that the last ones are not missed
            _show(tail.more(), flush=True)
            if snapshot is None or snapshot.engine.state not in ALIVE:
                return 0
            pause.wait(LOOK)


def _show(found: Iterable[str], *, flush: bool = False) -> None:
    """Lines that cannot hide anything in a terminal: they may quote what others wrote."""
    from harness.process import clean

    for line in found:
        print(clean(line)[:WIDTH], flush=flush)
