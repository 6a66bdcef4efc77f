"""Everything that a person can ask for in words, written down once: for the shell's command line and the app's `:` line.

`parse` turns a line into a `Wish`; how one may go on is `tui.completing`. Which wishes a run grants is the engine's to
say (`evolve.steering`); orders that do not act only move something in the app. Pure and light: `autoresearch --help`
starts through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.arguments import CANDIDATES, REST, Argument, Kind, nearest, read, wrong

_WIDTH = 60  # columns of a wish in words
WHO = Argument("candidate", Kind.CANDIDATE, "its number, such as 12")
_CHILD = Argument("candidate", Kind.CHILD, "its number, such as 12")


def _times(help: str) -> Argument:
    return Argument("times", Kind.WHOLE, help, optional=True)


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that can be asked for."""

    name: str
    verb: str  # of the engine's command, or what the app does
    arguments: tuple[Argument, ...]
    summary: str  # a phrase for lists
    help: str  # sentences
    example: str  # without `autoresearch`
    acting: bool = True  # it is the engine that answers

    @property
    def usage(self) -> str:
        """`move CANDIDATE PLACE`."""
        return " ".join([self.name, *(argument.usage for argument in self.arguments)])


ORDERS: tuple[Order, ...] = (
    Order(
        "pause", "pause", (), "let the training in the slot end, then wait",
        "Pause the search after the training that runs now. The engine stays; nothing is lost.",
        "pause",
    ),
    Order(
        "resume", "resume", (), "go on after a pause",
        "Go on after `pause`, or take a `stop` back that waits for the training. A run whose engine has\n"
        "ended goes on with `autoresearch run`.",
        "resume",
    ),
    Order(
        "stop", "stop",
        (Argument("now", Kind.FLAG, "do not wait for the end of the training", optional=True),),
        "end the engine; `run` goes on later",
        "End the engine after the training that runs now, or at once with --now (that training\n"
        "is then repeated). `autoresearch run` goes on from there.",
        "stop --now",
    ),
    Order(
        "set", "set",
        (
            Argument("key", Kind.KEY, "section and name, such as population.size"),
            Argument("value", Kind.VALUE, "the new value; @FILE for a prompt's template"),
        ),
        "change a setting while the search runs",
        "Change a setting of a live section from the next proposal on: population, vetting, approval, pruning,\n"
        "operators, bandit, prompts, scratchpad, llm or stop. Budget, data and scoring are frozen in a run:\n"
        "scores would not compare. A template of a prompt may come from a file: `set prompts.mutate @FILE`;\n"
        '"" puts the built-in one back.',
        "set population.size 12",
    ),
    Order(
        "inject", "inject",
        (
            Argument("source", Kind.FILE, "a complete train.py"),
            Argument("title", Kind.TEXT, "one line that says what is new", optional=True, option=True),
        ),
        "let the engine train a script of yours",
        "Put your own variant of train.py into the queue. It is vetted, committed, trained and\n"
        "judged like any other candidate.",
        'inject my_train.py --title "wider MLP"',
    ),
    Order(
        "drop", "drop", (_CHILD,), "take a child out of the queue",
        "Take a child out of the queue before it trains. It stays in git and in the results, without a score.",
        "drop 12",
    ),
    Order(
        "pin", "pin", (WHO,), "let a candidate live whatever comes",
        "Keep a candidate in the population whatever comes; a child that waits keeps its place in the queue.",
        "pin 12",
    ),
    Order("unpin", "unpin", (WHO,), "take a pin back", "Take a pin back; the candidate lives as long as it deserves to.", "unpin 12"),
    Order(
        "ban", "ban", (WHO,), "let a candidate have no more children",
        "Take a candidate out of the population; it has no more children. What main holds stays.",
        "ban 12",
    ),
    Order(
        "unban", "unban", (WHO,), "take a ban back",
        "Take a ban back. A candidate that had lived before lives again, until somebody better needs its place.",
        "unban 12",
    ),
    Order(
        "boost", "boost", (WHO, _times("children that it is to have; 3, and 0 takes it back")),
        "let the next children have this parent",
        "Let the next children have a member of the population as a parent, wherever an operator allows it.",
        "boost 12 5",
    ),
    Order(
        "remeasure", "remeasure", (WHO, _times("further trainings; 1, and 0 takes it back")),
        "train a candidate again, with fresh seeds",
        "Train a candidate again with fresh seeds, as soon as nothing more urgent waits for the slot. The scores\n"
        "join the others, and what is believed of it changes: it may live again, or become a contender for main.",
        "remeasure 12",
    ),
    Order(
        "approve", "approve", (_CHILD,), "let a child train that waits for you",
        "Let a child train that waits for approval (`set approval.required true`). The others go on waiting.",
        "approve 12",
    ),
    Order(
        "reject", "reject",
        (_CHILD, Argument("reason", Kind.TEXT, "why, for whoever makes the next child", optional=True)),
        "turn a child down before it trains",
        "Take a child out of the queue, with a reason that whoever makes the next child of its parent is told.",
        "reject 12 too slow on this GPU",
    ),
    Order(
        "move", "move",
        (_CHILD, Argument("place", Kind.PLACE, "first, last, up, down, a number, or how far: +2, -1")),
        "change a child's place in the queue",
        "Let a child that waits train earlier or later.",
        "move 12 first",
    ),
    Order(
        "kill", "kill",
        (Argument("again", Kind.FLAG, "train the same candidate again", optional=True),),
        "end the training in the slot",
        "End what runs in the slot now. It has no score, and that is nobody's failure: a child that was in its\n"
        "first training is dropped, a contender is turned away, what main holds stays. With --again the same\n"
        "candidate trains again.",
        "kill --again",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for, ready to be sent."""

    name: str  # of the order
    verb: str
    words: str  # `pin #12`, one short line for people
    args: dict[str, Any]
    acting: bool = True


def names(orders: Sequence[Order] = ORDERS, *, acting: bool = True) -> list[str]:
    """The names of all orders; without `acting`, of those that only move something in the app."""
    return [order.name for order in orders if acting or not order.acting]


def order(name: str, orders: Sequence[Order] = ORDERS) -> Order:
    """The order of this name. Raises UsageError with the nearest one."""
    for one in orders:
        if one.name == name:
            return one
    raise wrong(f"There is no command “{name}”{nearest(name, names(orders))}")


def parse(line: str | Sequence[str], orders: Sequence[Order] = ORDERS) -> Wish:
    """What a line, or the words of one, asks for. Raises UsageError with a sentence.

    The app knows more `orders` than those that a run is asked for. Text and values of settings go to the end of the
    line; `"two words"` are one word.
    """
    words = words_of(line)
    if not words:
        raise wrong("Say what is to be done, such as: pause.")
    chosen = order(words[0].text, orders)
    return wish(chosen, dict(_given(chosen, words[1:], line)))


def wish(chosen: Order, given: Mapping[str, str]) -> Wish:
    """The wish for an order and what was written for its arguments, by their names. Raises UsageError."""
    args: dict[str, Any] = {}
    shown = [chosen.name]
    for argument in chosen.arguments:
        text = given.get(argument.name)
        if text is None:
            if not argument.optional:
                raise wrong(
                    f"`{chosen.name}` wants {argument.metavar}: {argument.help}. For example: {chosen.example}"
                )
            if argument.kind is Kind.FLAG:
                args[argument.name] = False
            continue
        args |= read(argument, text)
        shown.append(_shown(argument, text))
    words = " ".join(" ".join(shown).split())
    words = words if len(words) <= _WIDTH else f"{words[: _WIDTH - 1]}…"
    return Wish(chosen.name, chosen.verb, words, args, chosen.acting)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a line."""

    text: str  # without the quotes around it
    start: int  # in the line, or its place among the words


def words_of(line: str | Sequence[str]) -> list[Word]:
    """The words of a line; `"two words"` are one."""
    if not isinstance(line, str):
        return [Word(word, place) for place, word in enumerate(line)]
    found = re.finditer(r'"([^"]*)"?|(\S+)', line)
    return [Word(m[2] if m[1] is None else m[1], m.start()) for m in found]


# ---- private ---------------------------------------------------------------------------------------------


def _rest(line: str | Sequence[str], word: Word) -> str:
    """The line from this word on, as it was written; quotes around all of it are taken off a text."""
    return line[word.start :] if isinstance(line, str) else " ".join(line[word.start :])


def _given(
    chosen: Order, words: Sequence[Word], line: str | Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Each argument that was given, by name, with what was written for it."""
    options = {f"--{a.name}": a for a in chosen.arguments if a.option or a.kind is Kind.FLAG}
    places = [a for a in chosen.arguments if not (a.option or a.kind is Kind.FLAG)]
    left = list(words)
    while left:
        word = left.pop(0)
        argument = options.get(word.text)
        if argument is None and word.text.startswith("--"):
            raise wrong(
                f"`{chosen.name}` has no option {word.text}{nearest(word.text, list(options))}"
            )
        if argument is not None and argument.kind is Kind.FLAG:
            yield argument.name, word.text
            continue
        if argument is not None:
            if not left:
                raise wrong(f"{word.text} wants {argument.help}.")
            word = left.pop(0)
        elif places:
            argument = places.pop(0)
        else:
            raise wrong(f"“{word.text}” is one word too many; it is: {chosen.usage}")
        if argument.kind not in REST:
            yield argument.name, word.text
            continue
        whole = _rest(line, word).strip()
        quoted = argument.kind is Kind.TEXT and re.fullmatch(r'"[^"]*"', whole)
        yield argument.name, whole[1:-1] if quoted else whole
        return


def _shown(argument: Argument, text: str) -> str:
    if argument.kind in CANDIDATES:
        return f"#{text.strip().lstrip('#0')}"
    if argument.kind is Kind.FLAG:
        return argument.name
    return text
