"""A shell where a candidate's train.py is: in the worktree of a living one, else in a folder of copies.

The app stands aside meanwhile and paints itself anew afterwards. The shell gets the environment that the app was
started with and nothing more. An app that only watches never leads into a worktree, which belongs to the engine.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on

from tui.carrying import CarryingApp
from tui.messages import Fetch, Visit
from tui.state import only_watches
from tui.terminal import given_environment
from tui.widgets.ink import Ink, plain

if TYPE_CHECKING:
    from evolve.model import Candidate
    from tui.feed import Source

SCRIPT = "train.py"
HERE = (
    "A worktree of the engine: look and try things out. What you change is moved aside when {label} leaves the\n"
    "population, and is never trained."
)
COPIES = "Copies of {label} and of its parents, in a folder that goes away unless you change something in it."


@dataclass(frozen=True, slots=True)
class Script:
    """One script to copy."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Visited:
    """A candidate that somebody wants to see in a shell."""

    candidate: Candidate
    worktree: Path | None
    scripts: tuple[Script, ...]  # its own and its parents', where there is no worktree to go to


def visited(source: Source, number: int, *, copies: bool) -> Visited:
    """Where the candidate's script is; `copies`: not in a worktree. Runs in the feed's thread."""
    candidate = source.candidate(number)
    folder = None if copies else source.worktree(number)
    wanted = () if folder is not None else (number, *candidate.parents)
    return Visited(candidate, folder, tuple(Script(n, source.source(n)) for n in wanted))


def copies_of(visit: Visited) -> Path:
    """A new private folder with the candidate's train.py and its parents' beside it. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=f"autoresearch-{visit.candidate.id}-"))
    for script in visit.scripts:
        own = script.number == visit.candidate.id
        name = SCRIPT if own else f"parent-{script.number}.py"
        (folder / name).write_text(script.text, encoding="utf-8")
    return folder


def untouched(folder: Path, visit: Visited) -> bool:
    """True while the folder holds the copies and nothing else."""
    expected = {
        (SCRIPT if s.number == visit.candidate.id else f"parent-{s.number}.py"): s.text
        for s in visit.scripts
    }
    found = {path.name: path for path in folder.iterdir()}
    return found.keys() == expected.keys() and all(
        path.is_file() and path.read_bytes() == expected[name].encode()
        for name, path in found.items()
    )


def shell_of(environ: Mapping[str, str]) -> str:
    """The person's shell."""
    return environ.get("SHELL") or "/bin/sh"


def injection(attach: str, here: Path) -> str:
    """How to make a candidate of a file, from a folder that is not the workspace: a sentence.

    `attach` is the command that opens the app, `here` where the app was started.
    """
    command = attach if " -C " in attach else f"{attach} -C {shlex.quote(str(here))}"
    return f"`{command} inject FILE` makes a candidate of a file of yours."


def run_shell(folder: Path, environ: Mapping[str, str], greeting: str) -> None:
    """Say where one is, and run the person's shell until it ends. The terminal has to be free. Raises OSError."""
    if sys.__stdout__ is not None:
        sys.__stdout__.write(f"\n{greeting}\n")
        sys.__stdout__.flush()
    subprocess.run([shell_of(environ)], cwd=folder, env=given_environment(environ), check=False)


class VisitingApp(CarryingApp, inherit_bindings=False):
    """An app from which one can step into a shell."""

    @on(Visit)
    def _visit(self, message: Visit) -> None:
        copies = bool(only_watches(self.state))
        work = partial(visited, number=message.candidate, copies=copies)
        self.post_message(Fetch(work, self._found, f"The script of #{message.candidate}"))

    def _found(self, visit: Visited) -> None:
        label = visit.candidate.label
        if visit.worktree is not None:
            self._step_into(visit, visit.worktree, HERE.format(label=label))
            return
        from tui.screens.confirm import Confirm

        others = "" if visit.candidate.alive else "; only the living population has them"
        alone = f"{label} has no worktree{others}."
        why = only_watches(self.state) or alone

        def decided(yes: bool | None) -> None:
            if yes:
                self._into_copies(visit)

        question = f"{why} Open a shell in a folder with a copy of its train.py?"
        self.push_screen(Confirm(self.state, question), decided)

    def _into_copies(self, visit: Visited) -> None:
        try:
            folder = copies_of(visit)
        except OSError as error:
            self.say(f"There is no room for a copy: {error.strerror or error}.", Ink.WARN)
            return
        self._step_into(visit, folder, COPIES.format(label=visit.candidate.label))
        if untouched(folder, visit):
            shutil.rmtree(folder)
        else:
            self.say(f"What you changed is in {folder}.")

    def _step_into(self, visit: Visited, folder: Path, words: str) -> None:
        title = plain(f"{visit.candidate.label} {visit.candidate.title}")
        if not only_watches(self.state):
            words = f"{words}\n{injection(self.state.attach, Path.cwd())}"
        greeting = f"{title}\n{folder}\n{words}\n`exit` or ctrl+d brings you back to the app."
        try:
            with self.aside():
                run_shell(folder, os.environ, greeting)
        except OSError as error:
            self.say(
                f"{shell_of(os.environ)} cannot be started ({error.strerror or error}); set SHELL to one.",
                Ink.WARN,
            )
