"""How a line of words may go on: orders, candidates, settings and their values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tui.arguments import Kind
from tui.orders import ORDERS, Order, words_of

MOST = 50  # completions that are offered at once


@dataclass(frozen=True, slots=True)
class Known:
    """What a line may be completed with."""

    # number to title, the likely ones first:
    candidates: Mapping[int, str] = field(default_factory=dict)
    queue: Mapping[int, str] = field(default_factory=dict)  # those of them that wait for the slot
    settings: Mapping[str, str] = field(default_factory=dict)  # live settings in force, as TOML


@dataclass(frozen=True, slots=True)
class Completion:
    """One way for a line to go on."""

    line: str  # the whole line when it is taken
    word: str  # what it puts at the end
    about: str  # a phrase: what the order does, the candidate's title, the setting's value


def complete(
    line: str, known: Known, *, acting: bool = True, orders: Sequence[Order] = ORDERS
) -> tuple[Completion, ...]:
    """How a line may go on, at most `MOST` ways; none where nothing can be said. `acting` False: read-only."""
    words = words_of(line)
    fresh = not line or line[-1].isspace()
    begun = "" if fresh or not words else words[-1].text
    before = words if fresh else words[:-1]
    head = line if fresh else line[: words[-1].start]
    if not before:
        allowed = [one for one in orders if acting or not one.acting]
        found: Iterator[tuple[str, str]] = ((one.name, one.summary) for one in allowed)
    else:
        chosen = next((one for one in orders if one.name == before[0].text), None)
        if chosen is None or (chosen.acting and not acting):
            return ()
        found = _continuations(chosen, [w.text for w in before[1:]], begun, known)
    fitting = [(word, about) for word, about in found if word.startswith(begun.removeprefix("#"))]
    return tuple(Completion(f"{head}{word}", word, about) for word, about in fitting[:MOST])


# ---- private ---------------------------------------------------------------------------------------------


def _continuations(
    chosen: Order, before: Sequence[str], begun: str, known: Known
) -> Iterator[tuple[str, str]]:
    """Words that may come next, each with what it is about."""
    options = {f"--{a.name}": a for a in chosen.arguments if a.option or a.kind is Kind.FLAG}
    if before and (asked := options.get(before[-1])) and asked.kind is not Kind.FLAG:
        return  # its text
    if begun.startswith("-"):
        yield from ((name, a.help) for name, a in options.items() if name not in before)
        return
    places = [a for a in chosen.arguments if not (a.option or a.kind is Kind.FLAG)]
    given = [word for word in before if word not in options]
    if len(given) >= len(places):
        yield from ((name, a.help) for name, a in options.items() if name not in before)
        return
    argument = places[len(given)]
    if argument.kind is Kind.CANDIDATE:
        yield from ((str(number), title) for number, title in known.candidates.items())
    elif argument.kind is Kind.CHILD:
        yield from ((str(number), title) for number, title in known.queue.items())
    elif argument.kind is Kind.KEY:
        yield from known.settings.items()
    elif argument.kind is Kind.VALUE:
        yield from _values(known.settings.get(given[-1], ""))
    elif argument.kind is Kind.PLACE:
        yield from (("first", "trains next"), ("last", "trains last"), ("up", "one earlier"), ("down", "one later"))  # fmt: skip
    elif argument.kind is Kind.CHOICE:
        yield from ((choice, argument.help) for choice in argument.choices)


def _values(now: str) -> Iterator[tuple[str, str]]:
    """Values of a setting that is `now`: either of two, or the one to be edited."""
    if now in ("true", "false"):
        yield from ((word, "as it is now" if word == now else "") for word in ("true", "false"))
    elif now:
        yield now, "as it is now"
