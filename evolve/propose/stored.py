"""Makes the child that a stored answer describes, just asked for or found after a restart.

Pure: an answer, its parent and what it was asked for give the same proposal at any time, so an answer that was paid
for is never bought again.
"""

from __future__ import annotations

from evolve.model import Operator
from evolve.propose.answers import parse_answer, realise
from evolve.propose.knobs import find_knobs
from evolve.propose.operators import Asked, Proposal

MAX_CHANGES = 12  # named in a proposal


def child_of(
    text: str, source: str, asked: Asked, *, model: str, calls: tuple[int, ...]
) -> Proposal:
    """The child that the answer `text` of `model` makes of `source`, the first parent's. Raises EditError."""
    answer = parse_answer(text)
    child = realise(source, answer)
    family = " × ".join(f"#{number}" for number in asked.parents)
    return Proposal(
        source=child,
        operator=Operator(asked.purpose),
        proposer="claude",
        parents=asked.parents,
        title=answer.title or f"{asked.purpose} of {family}",
        hypothesis=answer.hypothesis,
        category=answer.category,
        changes=_changes(source, child),
        model=model,
        prompt_version=asked.prompt_version,
        calls=calls,
        recommendation=asked.recommendation,
    )


def _changes(old: str, new: str) -> tuple[str, ...]:
    """Named constants that differ, for the history: `MATRIX_LR: 0.04 -> 0.05`."""
    try:
        before, after = ({k.name: k.text for k in find_knobs(source)} for source in (old, new))
    except SyntaxError:  # of the parent: the child has been checked
        return ()
    shared = (name for name in after if name in before and before[name] != after[name])
    return tuple(f"{name}: {before[name]} -> {after[name]}" for name in shared)[:MAX_CHANGES]
