"""Git's side of the journal kept true: locks, a torn move of main, refs and worktrees, at the start and now and then.

The journal is the authority. A person may delete refs or worktrees, collect, repack or rename while a run goes on;
what is missing is made again and said. Nothing here ends a run: what cannot be done now is done later.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from evolve import ratcheting, recreating
from evolve.gitfaults import GitFault, ObjectsMissing

if TYPE_CHECKING:
    from evolve.context import Context

LOOK = 300.0  # seconds between two looks at the refs while the run goes on


def refs(context: Context) -> None:
    """At the start of an engine: stale locks, a move of main that was under way, refs as the journal has them.

    Raises EvolveError where the repository lacks commits that cannot be made again.
    """
    swept = context.lineage.sweep()
    if swept:
        names = ", ".join(path.name for path in swept[:3])
        words = f"{len(swept)} locks that a killed git had left are removed ({names})."
        context.journal.record_event("git", words.replace("1 locks that", "A lock that", 1))
    ratcheting.finish(context)
    _sync(context)
    _pack(context)


def look(context: Context, *, now: bool = False) -> None:
    """Between trainings: are the refs still there? Every five minutes, or `now` because git has failed."""
    if not now and time.monotonic() - context.refs_seen < LOOK:
        return
    try:
        _sync(context)
        _pack(context)
    except GitFault as error:
        say_once(context, f"The refs of this run cannot be looked after: {error}")


def worktrees(context: Context) -> None:
    """Let worktrees follow the population."""
    living = {c.id: c.commit for c in context.journal.living()}
    try:
        faults = context.lineage.sync_worktrees(living)
    except GitFault as error:
        faults = [f"The worktrees wait: {error}"]
    for fault in faults:
        say_once(context, fault)


def say_once(context: Context, words: str) -> None:
    """A line of the log, unless this engine has said it before."""
    if words not in context.said:
        context.said.add(words)
        context.journal.record_event("git", words)


def _pack(context: Context) -> None:
    """It only makes looks cheaper, so what stands in its way is not even told."""
    with contextlib.suppress(GitFault):
        context.lineage.pack()


def _sync(context: Context) -> None:
    context.refs_seen = time.monotonic()
    expected = context.journal.commits()
    try:
        wrong = context.lineage.sync(expected)
    except ObjectsMissing:
        recreating.missing(context)
        wrong = context.lineage.sync(expected)
    if wrong:
        some = "A ref" if wrong == 1 else f"{wrong} refs"
        were = "was" if wrong == 1 else "were"
        words = (
            f"{some} of this run {were} missing or wrong in git, and made again from the journal."
        )
        context.journal.record_event("git", words)
