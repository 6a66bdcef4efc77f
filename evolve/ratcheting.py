"""Main follows the incumbent: each move is in the journal before git is touched, and ended when git says what came of it.

Joins `lineage` to the journal. A killed engine leaves the intent, and `finish` asks git whether the branch moved, puts
a torn checkout in order, and ends it. Where main stands after a move is a person's affair: if they move it back, it
stays there until a better candidate is confirmed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.gitfaults import GitFault
from evolve.lineage import Ratchet

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate


def finish(context: Context) -> str:
    """End the move that an earlier attempt left open; returns why that cannot be done now, or `""`."""
    journal, lineage = context.journal, context.lineage
    step = journal.open_ratchet()
    if step is None:
        return ""
    try:
        moved = lineage.mend(step.tip, step.target)
    except GitFault as error:
        return f"{lineage.branch} waits: {error}"
    if moved:
        journal.end_ratchet(step.id, "moved", _moved(context, step.candidate, step.kind))
    else:
        journal.end_ratchet(step.id, "abandoned", "")
    return ""


def follow(context: Context, incumbent: Candidate, trailers: dict[str, str]) -> str:
    """Let main follow the incumbent; returns why it has to wait, or `""`."""
    journal, lineage = context.journal, context.lineage
    if waits := finish(context):
        return waits
    last = journal.last_ratchet()
    if last is not None and last.candidate == incumbent.id:
        return _stands(context, last.target, incumbent)
    aim = lineage.aim(incumbent.commit, f"#{incumbent.id} {incumbent.title}", trailers)
    if isinstance(aim, Ratchet):
        return aim.reason
    step = journal.intend_ratchet(incumbent.id, aim.tip, aim.target, aim.kind)
    try:
        ended = lineage.move(aim)
    except GitFault as error:  # the step stays open: the next attempt finds out what came of it
        return f"{lineage.branch} waits for #{incumbent.id}: {error}"
    if ended.moved:
        journal.end_ratchet(step, "moved", _moved(context, incumbent.id, aim.kind))
        return ""
    journal.end_ratchet(step, "deferred", "")
    return ended.reason


def _stands(context: Context, target: str, incumbent: Candidate) -> str:
    """Main was moved to the incumbent before: it is still there, or a person has moved it back."""
    lineage = context.lineage
    try:
        if lineage.holds(target):
            return ""
    except GitFault as error:
        return f"{lineage.branch} waits for #{incumbent.id}: {error}"
    return (
        f"{lineage.branch} was moved away from #{incumbent.id} by hand, so it stays where it is until a better one "
        f"is confirmed; `git merge {target[:12]}` brings it back."
    )


def _moved(context: Context, candidate: int, kind: str) -> str:
    return f"{context.lineage.branch} moved to #{candidate} ({kind})."
