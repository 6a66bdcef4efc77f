"""`autoresearch scratchpad`: what the search has learned, to be read and, by a person, rewritten."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from evolve.model import Note
    from tui.commands.parsing import Parser

LARGEST = 1 << 15  # bytes of a file; the engine says how many characters a scratchpad may have
BLANK = """\
# Summary

What has been tried, and what came of it.

# Insights

- what helped or hurt, by how much, in which attempts

# Recommendations

1. what to try next; at most five, one a line
"""


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `scratchpad`."""
    parser = add_command(
        commands,
        "scratchpad",
        _run,
        summary="what the search has learned; read it or write it",
        description="Show the scratchpad: summary, insights and recommendations, rewritten every few children by the\n"
        "language model, or from the figures alone without one. Every prompt holds the first two and one of\n"
        "the recommendations. Yours stands until the next rewrite, which starts from it.",
        example="autoresearch scratchpad --edit",
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--edit", action="store_true", help="open it in $VISUAL or $EDITOR")
    way.add_argument("--set", metavar="FILE", help="take it from a file")
    way.add_argument("--history", action="store_true", help="list who wrote it when")
    way.add_argument(
        "--json", action="store_true", help="every version, newest first, for programs"
    )


def _run(args: argparse.Namespace) -> int:
    from evolve.model import NothingToDo
    from tui.commands.live import ALIVE, run_in
    from tui.commands.steer import ask
    from tui.commands.texts import read_text
    from tui.plain import to_json

    folder = workspace(args)
    if args.set is not None:
        text = read_text(Path(args.set), LARGEST, "a scratchpad")
        return ask(folder, "scratchpad", {"text": text})
    with run_in(folder) as (client, snapshot):
        notes = client.scratchpads()
    if args.edit:
        if snapshot.engine.state not in ALIVE:
            raise NothingToDo(
                f"No engine works in {folder}, so nobody could take it; `autoresearch run` goes on with its run."
            )
        return _edit(folder, notes[0].text if notes else BLANK)
    if args.json:
        print(to_json(list(notes)))
        return 0
    if not notes:
        raise NothingToDo(
            "There is no scratchpad yet; it is written every `scratchpad.every` children, or by you: "
            "`autoresearch scratchpad --edit`."
        )
    print(_history(notes) if args.history else _shown(notes[0]))
    return 0


def _edit(folder: Path, before: str) -> int:
    """What was changed in the editor goes to the engine; a refused text is kept for another try."""
    from evolve.model import EvolveError
    from tui.commands.steer import ask
    from tui.editing import edited

    draft = edited(before, name="scratchpad", suffix=".md", most=LARGEST, what="a scratchpad")
    if draft is None:
        print("Nothing was changed.")
        return 0
    try:
        done = ask(folder, "scratchpad", {"text": draft.text})
    except EvolveError as error:
        raise type(error)(f"{error} Your text is in {draft.path}.") from None
    draft.discard()
    return done


def _shown(note: Note) -> str:
    from harness.process import clean
    from tui.plain import one_line

    return f"{clean(note.text).rstrip()}\n\nWritten by {one_line(note.who)} {_when(note)}."


def _history(notes: tuple[Note, ...]) -> str:
    from tui.plain import one_line, table

    rows = [("when", "by", "children", "characters")]
    rows += [(_time(n), one_line(n.who, 30), str(n.settled), str(len(n.text))) for n in notes]
    return table(rows, right=frozenset({2, 3}))


def _when(note: Note) -> str:
    children = "1 child" if note.settled == 1 else f"{note.settled} children"
    return f"on {_time(note)}, after {children}"


def _time(note: Note) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(note.time))
