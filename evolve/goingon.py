"""An engine that goes on where another one, or itself, met a fault: what people had been granted stands.

A pause and a stop were answered with a promise. Whoever starts a run by hand takes both back; an engine that starts
anew by itself does not. Requests that nobody has answered yet are answered by the engine that goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.places import EXPERIMENTS
from harness.rundir import is_running, read_result

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.journal import Journal

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
