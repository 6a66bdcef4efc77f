"""`autoresearch status`: the run at this instant, once or for as long as it lasts, as text or JSON.

Reads the journal only. It must start at once, so it imports neither settings nor git, and it repaints only
where the terminal can place its cursor.
"""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, can_repaint, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.client import Client
    from tui.commands.parsing import Parser

LOOK = 0.5  # seconds between two looks at the journal
CLEAR = "\x1b[H\x1b[2J"


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `status`."""
    parser = add_command(
        commands,
        "status",
        _run,
        summary="show the run: best, training, queue, population, costs",
        description="Show the run of the workspace in plain text. With --watch again and again, until the\n"
        "engine ends: in place in a terminal, as new text elsewhere (pipes, TERM=dumb, screen readers).",
        example="autoresearch status --watch",
    )
    parser.add_argument(
        "--watch", action="store_true", help="show every change until the engine ends"
    )
    parser.add_argument("--json", action="store_true", help="the same data for programs")


def _run(args: argparse.Namespace) -> int:
    folder = workspace(args)
    from tui.commands.live import run_in
    from tui.plain import status, to_json

    if args.watch:
        return watch(folder, as_json=args.json)
    with run_in(folder) as (_, snapshot):
        pass
    print(to_json(snapshot) if args.json else status(snapshot))
    return 0


def watch(folder: Path, *, as_json: bool = False) -> int:
    """Print on change until no engine works here; Ctrl-C ends the watching, never the engine."""
    from tui.commands.live import run_in

    with run_in(folder) as (client, _):
        return _watch(client, folder, as_json=as_json)


def _watch(client: Client, folder: Path, *, as_json: bool) -> int:
    from tui.commands.live import ALIVE, look
    from tui.plain import status, to_json, watch_key

    repaint = can_repaint() and not as_json
    shown: object = None
    pause = threading.Event()  # never set: waits between looks, and Ctrl-C ends it
    while True:
        snapshot = look(client, folder)
        text = to_json(snapshot) if as_json else status(snapshot)
        key = text if repaint else watch_key(snapshot)
        if key != shown:
            shown = key
            before = CLEAR if repaint else ""
            sys.stdout.write(f"{before}{text}\n{'' if repaint or as_json else chr(10)}")
            sys.stdout.flush()
        if snapshot.engine.state not in ALIVE:
            return 0
        pause.wait(LOOK)
