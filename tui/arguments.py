"""What an order takes: how each kind of argument is read, and how the person is told what it should have been.

Pure and light: the command line starts through here. Faults are `UsageError`s with one sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an argument is."""

    CANDIDATE = "candidate"  # 12 or #12
    CHILD = "child"  # the same; only one that waits for the slot makes sense
    KEY = "key"  # of a setting: population.size
    VALUE = "value"  # of a setting, to the end of the line
    TEXT = "text"  # words, to the end of the line
    WHOLE = "whole"  # a whole number
    FLAG = "flag"  # --now: there or not
    FILE = "file"  # a path; its text is read by `tui.commands.texts.enclosed`
    PLACE = "place"  # in the queue
    CHOICE = "choice"  # one of `choices`


CANDIDATES = frozenset({Kind.CANDIDATE, Kind.CHILD})
REST = frozenset({Kind.TEXT, Kind.VALUE})  # they take what is left of the line


@dataclass(frozen=True, slots=True)
class Argument:
    """One thing that an order is told."""

    name: str  # its key in the arguments of the wish
    kind: Kind
    help: str  # a phrase: "its number, such as 12"
    optional: bool = False
    option: bool = False  # given as --name; a flag always is
    least: int = 0  # of a whole number
    choices: tuple[str, ...] = ()

    @property
    def metavar(self) -> str:
        """`CANDIDATE`, as people read it in a usage line."""
        return "FILE" if self.kind is Kind.FILE else self.name.upper()

    @property
    def usage(self) -> str:
        """`CANDIDATE`, `[--now]`, `[--title TEXT]`."""
        if self.kind is Kind.FLAG:
            return f"[--{self.name}]"
        shown = f"--{self.name} {str(self.kind).upper()}" if self.option else self.metavar
        return f"[{shown}]" if self.optional else shown


def read(argument: Argument, text: str) -> dict[str, Any]:
    """What a person wrote for this argument, as arguments of a wish. Raises UsageError."""
    text = text.strip()
    if argument.kind in CANDIDATES:
        return {argument.name: _candidate(text)}
    if argument.kind is Kind.WHOLE:
        return {argument.name: _whole(argument, text)}
    if argument.kind is Kind.FLAG:
        return {argument.name: True}
    if argument.kind is Kind.PLACE:
        return _place(text)
    if argument.kind is Kind.CHOICE and text not in argument.choices:
        *some, last = argument.choices
        raise wrong(f"{argument.metavar} is {', '.join(some)} or {last}, not “{text}”.")
    return {argument.name: text}


def wrong(sentence: str) -> Exception:
    """The fault to raise. Imported late: most starts of the command line raise none."""
    from evolve.model import UsageError

    return UsageError(sentence)


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean “pin”?`, or a full stop when no name is near."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean “{near[0]}”?" if near else "."


def _candidate(text: str) -> int:
    found = re.fullmatch(r"#?0*([1-9][0-9]{0,8})", text)
    if found is None:
        raise wrong(f"“{text}” is no candidate; name one by its number, such as 12.")
    return int(found[1])


def _whole(argument: Argument, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < argument.least:
        raise wrong(
            f"{argument.metavar} is a whole number of at least {argument.least}, not “{text}”."
        )
    return int(text)


def _place(text: str) -> dict[str, Any]:
    """`first`, `last`, `3` (the third), or how far: `up`, `down`, `-2`, `+2`."""
    if text in ("first", "last"):
        return {"to": text}
    if text in ("up", "down"):
        return {"by": -1 if text == "up" else 1}
    if re.fullmatch(r"[+-][1-9][0-9]{0,8}", text):
        return {"by": int(text)}
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        return {"to": int(text)}
    raise wrong(
        f"“{text}” is no place in the queue; say first, last, up, down, a number such as 3, or how far: +2, -1."
    )
