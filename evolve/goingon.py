"""An engine that goes on where another one, or itself, met a fault: what people had been granted stands.

A pause and a stop were answered with a promise. Whoever starts a run by hand takes both back; an engine that starts
anew by itself does not. Requests that nobody has answered yet are answered by the engine that goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from evolve import settings as config
from evolve.places import EXPERIMENTS
from harness.crashpoints import reached
from harness.rundir import is_running, read_result

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.context import Context
    from evolve.journal import Journal, Reader
    from evolve.settings import Settings

_OVERRIDES = "overrides of {}"  # journal key of a run's command-line settings
_UNSAVED = "settings of {} that live.toml lacks"  # journal key, JSON: dotted key to value
_BEGAN = "requests before {}"  # journal key of a run: how many requests there were when a person started it


def begin(journal: Journal, run: str) -> None:
    """A person starts the run: what was asked before that counts no more."""
    journal.set_meta(_BEGAN.format(run), str(journal.last_command()))


def take_up(context: Context) -> bool:
    """Let the pause or the stop stand that was granted since a person started the run; True when it is paused."""
    journal = context.journal
    run = journal.run()
    since = int(journal.meta(_BEGAN.format(run.name)) or 0)
    granted = journal.last_granted(("stop", "resume"), since)
    if granted is not None and granted.verb == "stop":
        context.stop(f"Stopped by {granted.who}.")
    asked = journal.last_granted(("pause", "resume"), since)
    context.paused = asked is not None and asked.verb == "pause"
    return context.paused


def begun_again(context: Context) -> str:
    """What becomes of the training that a dead engine has left, as the end of a sentence."""
    journal = context.journal
    experiment = journal.running_experiment()
    if experiment is None:
        return "it has been started again."
    directory = context.state / EXPERIMENTS / journal.directory(experiment.id)
    if is_running(directory):
        return "it has been started again, and the training in the slot goes on."
    if read_result(directory) is not None:
        return "it has been started again, and the training in the slot had ended meanwhile."
    return "it has been started again, and the training in the slot is repeated."


# ---- settings ----------------------------------------------------------------------------------------------


def start_with(journal: Journal, run: str, overrides: Mapping[str, str]) -> None:
    """The run is started with these settings of the command line (dotted key to value)."""
    journal.set_meta(_OVERRIDES.format(run), json.dumps(dict(overrides)))


def started_with(reader: Reader, run: str) -> dict[str, str]:
    """What a run was started with and nobody has set anew since, and what was set and is not in live.toml yet."""
    given: dict[str, str] = json.loads(reader.meta(_OVERRIDES.format(run)) or "{}")
    return given | _unsaved(reader, run)


def set_live(context: Context, changed: Settings, key: str, value: str) -> None:
    """A person has set `key`: that counts more than what the run was started with, at its next start, too.

    A part of the transaction that grants it. live.toml follows once that is durable, or at the next start.
    """
    journal = context.journal
    run = journal.run().name
    start_with(journal, run, changed.origin.overrides)
    journal.set_meta(_UNSAVED.format(run), json.dumps(_unsaved(journal, run) | {key: value}))
    journal.afterwards(partial(save_live, context.workspace, journal, run))


def save_live(workspace: Path, journal: Journal, run: str) -> None:
    """Bring live.toml to what was set. Raises UsageError where a person has broken that file."""
    if unsaved := _unsaved(journal, run):
        reached("settings.before-save")
        config.save_live(workspace, unsaved)
        reached("settings.saved")
        journal.set_meta(_UNSAVED.format(run), "")


def _unsaved(reader: Reader, run: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(reader.meta(_UNSAVED.format(run)) or "{}")
    return found
