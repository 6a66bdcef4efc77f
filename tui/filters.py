"""Filters that a person types, compiled once into predicates: over candidates, and over the lines of the log. Pure.

A filter is terms with blanks between them, and all of them must hold; `!` turns one around. Terms that cannot be read
yet, as while a number is being typed, ask for nothing, and `fault` says what is wrong with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from evolve.beliefs import Belief
from evolve.model import Candidate, CandidateState, Event, Verdict
from tui.state import waiting


@dataclass(frozen=True, slots=True)
class Facts:
    """What a filter may ask beside the candidate itself."""

    belief: Callable[[int], Belief | None] = lambda _: None  # about a candidate, by its number
    marked: Callable[[int], bool] = lambda _: False
    now: float = 0.0  # unix seconds; ages are counted from here


Test = Callable[[Candidate, Facts], bool | None]  # None: cannot be said, turned around or not
Number = Callable[[Candidate, Facts], float | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """A compiled filter over candidates."""

    text: str
    tests: tuple[Test, ...]
    fault: str = ""  # a sentence about the first term that cannot be read
    beliefs: bool = False  # it asks what is believed
    marks: bool = False  # it asks who is marked

    def __call__(self, candidate: Candidate, facts: Facts = Facts()) -> bool:
        """Does a candidate pass?"""
        return all(test(candidate, facts) for test in self.tests)


def _corrected(candidate: Candidate, facts: Facts) -> float | None:
    belief = facts.belief(candidate.id)
    return None if belief is None else belief.mean


def _better(candidate: Candidate, facts: Facts) -> float | None:
    belief = facts.belief(candidate.id)
    return None if belief is None else belief.better


_NUMBERS: dict[str, Number] = {
    "bpb": lambda c, _: c.mean,
    "corrected": _corrected,
    "p": _better,
    "gen": lambda c, _: c.generation,
    "kids": lambda c, _: c.children,
    "runs": lambda c, _: len(c.scores),
    "lines": lambda c, _: c.lines,
    "id": lambda c, _: c.id,
    "age": lambda c, facts: facts.now - c.created,
}
_WORDS: dict[str, Callable[[Candidate], str]] = {
    "op": lambda c: c.operator,
    "cat": lambda c: c.category,
    "by": lambda c: f"{c.proposer} {c.model}",
    "became": lambda c: f"{c.verdict or ''} {c.outcome or ''} {c.verdict_reason}",
}
_IS: dict[str, Test] = {
    "alive": lambda c, _: c.alive,
    "pinned": lambda c, _: c.pinned,
    "banned": lambda c, _: c.banned,
    "boosted": lambda c, _: c.boosted > 0,
    "marked": lambda c, facts: facts.marked(c.id),
    "waiting": lambda c, _: waiting(c),
    "approved": lambda c, _: c.approved,
    "training": lambda c, _: c.state is CandidateState.TRAINING,
    "repeats": lambda c, _: c.state is CandidateState.CONTENDER,
    "failed": lambda c, _: c.verdict is Verdict.FAILED,
    "voided": lambda c, _: bool(c.voided),
    "kept": lambda c, _: c.verdict is Verdict.KEPT,
    "promoted": lambda c, _: c.verdict is Verdict.PROMOTED,
    "rejected": lambda c, _: c.verdict is Verdict.REJECTED,
    "dropped": lambda c, _: c.verdict is Verdict.DROPPED,
    "provisional": lambda c, _: len(c.scores) == 1,
    "confirmed": lambda c, _: len(c.scores) > 1,
}
_SHORT = {"g": "gen", "ch": "kids", "children": "kids", "operator": "op", "category": "cat"}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
}
_COMPARISON = re.compile(r"^([a-z]+)(<=|>=|<|>|=)(.*)$")
_FIELD = re.compile(r"^([a-z]+):(.*)$")
_VALUE = re.compile(r"^(-?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(%|[smhd])?$")
_UNITS = {None: 1.0, "%": 0.01, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

FIELDS = (
    ("word", "in the title, changes, kind, maker, category or verdict"),
    ("bpb<.98", "score as measured; also corrected, gen, kids, runs, lines, id, with < > <= >= ="),
    ("p>.9", "chance that it beats main, or p>90%"),
    ("age<2h", "made in the last two hours; s, m, h and d are units"),
    ("op:crossover", "how it was made; also cat:optimizer, by:claude, became:oom"),
    ("is:pinned", ", ".join(name for name in _IS if name != "pinned")),
    ("err", "the same as is:failed"),
    ("#12", "this candidate and its children"),
    ("!", "turns a term around: !is:alive"),
)


class _Unclear(Exception):
    """A term that cannot be read (yet)."""


def candidate_filter(text: str) -> Filter:
    """Compile a filter over candidates; see `FIELDS`."""
    tests: list[Test] = []
    fault = ""
    terms = text.lower().split()
    for term in terms:
        try:
            tests.append(_candidate_term(term))
        except _Unclear as unclear:
            fault = fault or str(unclear)
    asked = {term.lstrip("!") for term in terms}
    beliefs = any(term.startswith(("corrected", "p<", "p>", "p=")) for term in asked)
    return Filter(text, tuple(tests), fault, beliefs, "is:marked" in asked)


def _candidate_term(term: str) -> Test:
    inverse, rest = _turned(term)
    test = _candidate_test(rest)
    return (lambda candidate, facts: test(candidate, facts) is False) if inverse else test


def _turned(term: str) -> tuple[bool, str]:
    inverse = term.startswith("!") and len(term) > 1
    return inverse, term[1:] if inverse else term


def _candidate_test(term: str) -> Test:
    if match := _COMPARISON.match(term):
        return _comparison(*match.groups())
    if match := _FIELD.match(term):
        return _field(*match.groups())
    if re.fullmatch(r"#[0-9]+", term):
        number = int(term[1:])
        return lambda candidate, _: candidate.id == number or number in candidate.parents
    if term == "err":
        return _IS["failed"]
    return lambda candidate, _: term in haystack(candidate)


def _comparison(name: str, operator: str, bound: str) -> Test:
    number = _NUMBERS.get(_SHORT.get(name, name))
    if number is None:
        raise _Unclear(f"There is no number “{name}”{_nearest(name, [*_NUMBERS, *_SHORT])}")
    match = _VALUE.match(bound)
    if match is None:
        raise _Unclear(f"{name}{operator} wants a number, such as {_example(name)}.")
    compare, limit = _COMPARE[operator], float(match[1]) * _UNITS[match[2]]

    def holds(candidate: Candidate, facts: Facts) -> bool | None:
        value = number(candidate, facts)
        return None if value is None else compare(value, limit)

    return holds


def _example(name: str) -> str:
    return {"age": "2h", "p": ".9", "bpb": ".98", "corrected": ".98"}.get(name, "3")


def _field(name: str, value: str) -> Test:
    name = _SHORT.get(name, name)
    if name == "is":
        if value not in _IS:
            raise _Unclear(f"Nobody is “{value}”{_nearest(value, list(_IS))}")
        return _IS[value]
    text = _WORDS.get(name)
    if text is None:
        raise _Unclear(f"There is no field “{name}:”{_nearest(name, ['is', *_WORDS, *_SHORT])}")
    return lambda candidate, _: value in text(candidate).lower()


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean “{near[0]}”?" if near else "."


def haystack(candidate: Candidate) -> str:
    """The words of a candidate that a filter looks at, in lower case."""
    words = (
        candidate.label,
        candidate.operator,
        candidate.proposer,
        candidate.model,
        candidate.category,
        candidate.title,
        candidate.state,
        candidate.verdict or "",
        candidate.outcome or "",
        *candidate.changes,
    )
    return " ".join(words).lower()


@dataclass(frozen=True, slots=True)
class EventFilter:
    """A compiled filter over the lines of the log."""

    text: str
    tests: tuple[Callable[[Event], bool], ...]
    fault: str = ""

    def __call__(self, event: Event) -> bool:
        """Does a line pass?"""
        return all(test(event) for test in self.tests)


def event_filter(text: str) -> EventFilter:
    """Compile a filter for the log: words, `kind:verdict`, `#12`, and `!` before any of them."""
    tests: list[Callable[[Event], bool]] = []
    fault = ""
    for term in text.lower().split():
        try:
            tests.append(_event_term(term))
        except _Unclear as unclear:
            fault = fault or str(unclear)
    return EventFilter(text, tuple(tests), fault)


def _event_term(term: str) -> Callable[[Event], bool]:
    inverse, rest = _turned(term)
    test = _event_test(rest)
    return (lambda event: not test(event)) if inverse else test


def _event_test(term: str) -> Callable[[Event], bool]:
    if re.fullmatch(r"#[0-9]+", term):
        number, told = int(term[1:]), re.compile(rf"{term}(?![0-9])")
        return lambda event: event.candidate == number or bool(told.search(event.text))
    if match := _FIELD.match(term):
        name, kind = match.groups()
        if name != "kind":
            raise _Unclear(f"The log has no field “{name}:”; it has kind:verdict.")
        return lambda event: event.kind.startswith(kind)
    return lambda event: term in f"{event.kind} {event.text}".lower()
