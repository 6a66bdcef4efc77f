"""`autoresearch logs`: the story of the run, one line an event, from the journal. Reads only."""

from __future__ import annotations

import argparse
import threading
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

LOOK = 0.5  # seconds between two looks at the journal
PAGE = 1000  # events read at a time


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `logs`."""
    parser = add_command(
        commands,
        "logs",
        _run,
        summary="print the events of the run",
        description="Print what happened in the run, one line an event. The engine's own output is in\n"
        ".autoresearch/engine.log, that of a training in .autoresearch/experiments/ID/run.log.",
        example="autoresearch logs -f | grep verdict",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the engine ends")


def _run(args: argparse.Namespace) -> int:
    from tui.commands.live import ALIVE, run_in
    from tui.plain import event_line

    folder = workspace(args)
    last = 0
    pause = threading.Event()  # never set: waits between looks, and Ctrl-C ends it
    with run_in(folder) as (client, snapshot):
        while True:
            while events := client.events(after=last, limit=PAGE):
                for event in events:
                    print(event_line(event), flush=args.follow)
                last = events[-1].id
            # Judged by the look before the events were read: the last ones before an end are not missed.
            if not args.follow or snapshot.engine.state not in ALIVE:
                return 0
            pause.wait(LOOK)
            snapshot = client.snapshot(curve=False)
