"""Commits that git has lost, made again to the byte where the script is still known.

A commit's id is a hash of the script, the parents, the message, the author and the second. The journal knows all but
the script; that lies in the folder of a training or in a worktree, if there was one. What comes out under another id is not
taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from evolve.gitfaults import ObjectsMissing
from evolve.places import EXPERIMENTS, WORKTREES

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate
    from evolve.propose.operators import Proposal

SPEC = "spec.json"
SECONDS = (
    3  # a commit is made at most so long before the journal has it; git counts in whole seconds
)


def missing(context: Context) -> list[int]:
    """Make every commit of the run again that git lacks, and those of its files that are gone.

    Returns the candidates, parents first. Raises ObjectsMissing for the first one whose script is known nowhere.
    """
    lacking = set(context.lineage.lacking(context.journal.commits()))
    done = []
    for number in sorted(lacking):
        candidate = context.journal.candidate(number)
        if not _again(context, candidate):
            raise ObjectsMissing(
                f"git has lost the commit of {candidate.label} ({candidate.commit[:12]}), and its script is kept "
                "nowhere else; `git fsck --lost-found` may show it. Bring the repository back, or start a new run "
                "with `autoresearch run --name NAME`."
            )
        done.append(number)
    return done


def _again(context: Context, candidate: Candidate) -> bool:
    journal, lineage = context.journal, context.lineage
    parents = [journal.candidate(p).commit for p in candidate.parents]
    if not parents:
        return False  # the seed is a person's commit
    for text in _texts(context, candidate):
        if sha256(text.encode()).hexdigest() != candidate.source_sha:
            continue
        for second in range(int(candidate.created), int(candidate.created) - SECONDS, -1):
            made = lineage.commit(
                candidate.id,
                text,
                parents,
                title=candidate.title,
                body=candidate.hypothesis,
                trailers=trailers(journal.run().name, candidate.id, candidate),
                second=second,
            )
            if made == candidate.commit:
                return True
    return False


def trailers(run: str, number: int, made: Proposal | Candidate) -> dict[str, str]:
    """What stands below the message of a candidate's commit."""
    return {
        "Candidate": f"#{number}",
        "Run": run,
        "Operator": str(made.operator),
        "Proposer": made.proposer,
        "Category": made.category,
    }


def _texts(context: Context, candidate: Candidate) -> Iterator[str]:
    """Scripts that may be the candidate's."""
    places = [
        context.state / EXPERIMENTS / context.journal.directory(experiment.id) / SPEC
        for experiment in context.journal.experiments(candidate.id)
    ]
    for place in places:
        try:
            yield str(json.loads(place.read_text(encoding="utf-8"))["source"])
        except (OSError, ValueError, KeyError):
            continue
    try:
        file = context.state / WORKTREES / str(candidate.id) / context.lineage.script
        yield file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return
