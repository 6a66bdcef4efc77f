"""What was tried near a brief, as `novelty` asks for it: siblings, and the children of the parents' own ancestors."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from evolve.briefs import ancestors
from evolve.model import Candidate, Verdict
from evolve.propose.novelty import Change, Precedent, change, rounded
from harness.spec import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evolve.context import Context
    from evolve.lineage import Lineage

LATELY = 60  # candidates; what the parents' ancestors tried in vain before that may be tried on the parents again
_FATES = {
    Outcome.OOM: "ran out of memory",
    Outcome.CRASH: "crashed",
    Outcome.NAN: "became NaN",
    Outcome.TIMEOUT: "took too long",
    Outcome.INVALID: "broke the rules",
    Outcome.PRUNED: "was stopped early as hopeless",
}


def precedents(context: Context, parents: Sequence[int]) -> tuple[Precedent, ...]:
    """The parents' children of any age, and those of their ancestors of late; the newest first."""
    journal, roster = context.journal, context.believed().roster
    line = set().union(*(ancestors(context, parent) for parent in parents))
    late = range(max(1, len(roster) + 1 - LATELY), len(roster) + 1)
    near = {*parents, *journal.children_of(parents)}
    near |= {number for number in late if line & set(roster.parents(number))}
    return tuple(_precedent(context, c) for c in reversed(journal.candidates_of(sorted(near))))


def fate(candidate: Candidate) -> str:
    """In words, where a candidate was a dead end: it failed, could not win, or was no better; else empty."""
    if candidate.outcome in _FATES and candidate.verdict is not None:
        return _FATES[candidate.outcome]
    return "was rejected" if candidate.verdict is Verdict.REJECTED else ""


def _precedent(context: Context, candidate: Candidate) -> Precedent:
    first = candidate.parents[0] if candidate.parents else 0
    parent = context.journal.candidate(first).commit if first else ""
    form, changed = _read(context.lineage, candidate.commit, parent)
    return Precedent(candidate.id, form, changed, fate(candidate))


@lru_cache(maxsize=1024)
def _read(lineage: Lineage, commit: str, parent: str) -> tuple[str, Change | None]:
    """Commits never change, and parsing two takes some tens of milliseconds."""
    source = lineage.source(commit)
    return rounded(source), change(lineage.source(parent), source) if parent else None
