"""Makes the child that a stored answer describes, just asked for or found after a restart, and its prompt once more.

Pure: an answer, its parent and what it was asked for give the same proposal at any time, so an answer that was paid
for is never bought again.
"""

from __future__ import annotations

import json
from typing import Any

from evolve.model import Operator
from evolve.propose.answers import parse_answer, realise
from evolve.propose.knobs import find_knobs
from evolve.propose.operators import Asked, Proposal
from evolve.propose.prompts import Block, Message, Prompt

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


def prompt_of(request: str, asked: Asked) -> Prompt:
    """The prompt of which `messages` made the stored `request`, so that the conversation can go on.

    Raises ValueError for JSON of another form.
    """
    try:
        body = json.loads(request)
        return Prompt(
            system=_blocks(body["system"]),
            messages=tuple(
                Message(turn["role"], _blocks(turn["content"])) for turn in body["messages"]
            ),
            version=asked.prompt_version,
            recommendation=asked.recommendation,
        )
    except (LookupError, TypeError) as error:
        raise ValueError(f"The stored request has another form: {error}.") from error


def _blocks(content: str | list[dict[str, Any]]) -> tuple[Block, ...]:
    if isinstance(content, str):
        return (Block(content),)
    return tuple(Block(part["text"], cached="cache_control" in part) for part in content)


def _changes(old: str, new: str) -> tuple[str, ...]:
    """Named constants that differ, for the history: `MATRIX_LR: 0.04 -> 0.05`."""
    try:
        before, after = ({k.name: k.text for k in find_knobs(source)} for source in (old, new))
    except SyntaxError:  # of the parent: the child has been checked
        return ()
    shared = (name for name in after if name in before and before[name] != after[name])
    return tuple(f"{name}: {before[name]} -> {after[name]}" for name in shared)[:MAX_CHANGES]
