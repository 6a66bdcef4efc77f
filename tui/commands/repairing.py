"""`autoresearch doctor --repair`: a damaged journal made whole, and said in plain words what came back and what did not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.repair import Repair

# What people call the rows of a table, in the order in which they ask.
NOUNS = {
    "candidate": "candidates",
    "experiment": "trainings",
    "event": "lines of the story",
    "llm_call": "calls of a language model",
    "command": "requests",
    "setting_change": "changes of settings",
}


def repair_journal(folder: Path) -> int:
    """Repair the journal of the workspace `folder` while no engine works there; returns the exit code."""
    from evolve.backup import copies
    from evolve.lock import EngineLock
    from evolve.model import NothingToDo
    from evolve.places import JOURNAL, LOCK, STATE
    from evolve.repair import behind, finish, look, repair

    state = folder / STATE
    path = state / JOURNAL
    if not (path.exists() or copies(state)):
        raise NothingToDo(f"There is no journal in {state}, so there is nothing to repair.")
    with EngineLock(state / LOCK):
        if finish(state):
            print("A repair that was cut off has been ended.")
        before = look(path)
        ahead = behind(state)
        if before.whole and not ahead:
            print(f"{path} is whole; nothing was changed.")
            return 0
        for fault in (*before.damage, *before.oddities, *ahead):
            print(f"Wrong: {fault}")
        print("Reading what can be read …", file=sys.stderr)
        found = repair(folder, state, _script(folder))
    print("\n".join(report(found)))
    return 0


def report(found: Repair) -> list[str]:
    """What a repair came to, a line each."""
    kept = ", ".join(f"{found.kept[table]:,} {noun}" for table, noun in NOUNS.items())
    lines = [f"The journal is whole again: {kept}."]
    if found.from_copies:
        lines.append(
            f"{found.from_copies:,} of its rows come from a backup, where the file had lost them."
        )
    if found.mended.from_git or found.mended.from_folders:
        lines.append(f"Brought back besides: {found.mended}.")
    if found.mended.lost:
        lines.append(
            "Candidates that could not be brought back keep their numbers and are dropped."
        )
    if found.unfit:
        lines.append(f"{found.unfit:,} rows were readable but cannot be true, and are left out.")
    if found.after:
        lines += [f"Still odd: {oddity}" for oddity in found.after]
    lines.append(f"The damaged file is kept as {found.aside}; `autoresearch run` goes on.")
    return lines


def _script(folder: Path) -> str:
    """The file that candidates are versions of; the ancestor's name where git cannot say."""
    from evolve.lineage import Lineage
    from evolve.model import EvolveError

    try:
        return Lineage(folder, "auto", "auto", "check").script
    except EvolveError:
        return "train.py"
