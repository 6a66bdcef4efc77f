"""What a list shows, and in which order: filters that a person types, and the orders of the population. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from evolve.beliefs import Belief
from evolve.model import Candidate, Event

SORTS = ("living", "score", "newest")

_TERM = re.compile(r"^(!?)(bpb|gen|g|ch|children|runs|id)(<=|>=|<|>|=)(-?[0-9]*\.?[0-9]+)$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}
_NUMBERS: dict[str, Callable[[Candidate], float | None]] = {
    "bpb": lambda c: c.mean,
    "gen": lambda c: c.generation,
    "g": lambda c: c.generation,
    "ch": lambda c: c.children,
    "children": lambda c: c.children,
    "runs": lambda c: len(c.scores),
    "id": lambda c: c.id,
}


def candidate_filter(text: str) -> Callable[[Candidate], bool]:
    """Compile a filter: every term must hold. `word`, `!word`, `bpb<0.98`, `gen>3`, `runs>=2`, `#17`."""
    terms = [_candidate_term(term) for term in text.lower().split()]
    return lambda candidate: all(term(candidate) for term in terms)


def _candidate_term(term: str) -> Callable[[Candidate], bool]:
    match = _TERM.match(term)
    if match is None:
        return lambda candidate: _has_word(haystack(candidate), term)
    inverse, name, operator, bound = match.groups()
    number, compare, limit = _NUMBERS[name], _COMPARE[operator], float(bound)

    def holds(candidate: Candidate) -> bool:
        value = number(candidate)
        return value is not None and compare(value, limit) is not bool(inverse)

    return holds


def _has_word(text: str, term: str) -> bool:
    if term.startswith("!") and len(term) > 1:
        return term[1:] not in text
    return term in text


def haystack(candidate: Candidate) -> str:
    """The words of a candidate that a filter looks at, in lower case."""
    words = (
        candidate.label,
        candidate.operator,
        candidate.proposer,
        candidate.category,
        candidate.title,
        candidate.state,
        candidate.verdict or "",
        candidate.outcome or "",
        "alive" if candidate.alive else "",
        "pinned" if candidate.pinned else "",
        "voided" if candidate.voided else "",
        *candidate.changes,
    )
    return " ".join(words).lower()


def event_filter(text: str) -> Callable[[Event], bool]:
    """Compile a filter for the log: every word must occur, `!word` must not."""
    terms = text.lower().split()
    return lambda event: all(_has_word(f"{event.kind} {event.text}".lower(), t) for t in terms)


def arrange(
    candidates: Sequence[Candidate], beliefs: Mapping[int, Belief], sort: str, text: str
) -> tuple[Candidate, ...]:
    """Filter and sort: `living` (the population first), `score` (without luck), or `newest`."""
    keep = candidate_filter(text)
    chosen = [candidate for candidate in candidates if keep(candidate)]
    if sort == "newest":
        return tuple(sorted(chosen, key=lambda c: -c.id))
    living_first = sort == "living"

    def place(candidate: Candidate) -> tuple[bool, bool, float, int]:
        belief = beliefs.get(candidate.id)
        mean = candidate.mean_fitness if belief is None else belief.mean
        return (
            living_first and not candidate.alive,
            mean is None,
            mean if mean is not None else 0.0,
            -candidate.id,
        )

    return tuple(sorted(chosen, key=place))
