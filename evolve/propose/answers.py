"""Reads a model's whole answer, a header and then edits or one fenced file, and makes the child it describes.

Pure. Everything that comes in is hostile until it has been read: header fields become one plain line each, and
what breaks off, does not parse or changes nothing is an error that says so, never half a child.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from evolve.propose.edits import (
    FENCE,
    SEARCH,
    Edit,
    EditError,
    apply_edits,
    parse_edits,
    split_lines,
)
from evolve.propose.operators import CATEGORIES
from evolve.propose.policy import REQUIRED_CALLS
from evolve.syntax import parse
from evolve.text import one_line
from harness.process import clean

TITLE = 72  # characters
HYPOTHESIS = 600
_CLOSERS = 16  # ends of a fenced file that are tried
_PIECES = 20  # fenced pieces that are looked at

_FIELD = re.compile(r"[\s>#*_`-]*(title|category|hypothesis)[\s*_`]*:[\s*_`]*(.*)$", re.IGNORECASE)


class NoEdit(EditError):
    """An answer without any edit or file in it: prose, or nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer: either edits or a whole file."""

    title: str  # one line of plain text, at most 72 characters; "" when there was none
    category: str  # one of CATEGORIES
    hypothesis: str  # one line
    edits: tuple[Edit, ...] = ()
    file: str | None = None


def parse_answer(text: str) -> Answer:
    """Read an answer. Raises NoEdit when there is nothing to apply, EditError when a block or fence is broken."""
    lines = split_lines(text)
    edits = parse_edits(text)
    mark = SEARCH if edits else FENCE
    first = next((n for n, line in enumerate(lines) if mark.match(line)), len(lines))
    file = None if edits else _fenced_file(lines)
    if not edits and file is None:
        raise NoEdit("the answer holds no edit and no file")
    title, category, hypothesis = _header(lines[:first])
    return Answer(title, category, hypothesis, edits, file)


def realise(source: str, answer: Answer) -> str:
    """The child that an answer makes of `source`. Raises EditError when it does not fit, parse or change anything."""
    if answer.edits:
        child = apply_edits(source, answer.edits)
    else:
        child = (answer.file or "").strip("\n") + "\n"
        if missing := [name for name in REQUIRED_CALLS if name not in child]:
            raise EditError(
                f"the fenced code is not the whole file: it never calls {' or '.join(missing)}"
            )
    fault = _syntax_fault(child)
    if fault is not None:
        raise EditError(f"the outcome is not valid Python ({one_line(fault, 120)})")
    if child == source:
        raise EditError("the answer changes nothing")
    return child


# ---- the header --------------------------------------------------------------------------------------------


def _header(lines: list[str]) -> tuple[str, str, str]:
    """Title, category and hypothesis, cleaned; a hypothesis goes on until an empty line."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in lines:
        field = _FIELD.match(line)
        if field:
            name = field.group(1).lower()
            current = "" if name in found else name  # the first one counts
            if current:
                found[current] = [field.group(2)]
        elif not line.strip():
            current = ""
        elif current == "hypothesis":
            found[current].append(line)
    text = {name: _plain(" ".join(parts)) for name, parts in found.items()}
    hypothesis = one_line(text.get("hypothesis", ""), HYPOTHESIS)
    title = one_line(text.get("title", "") or hypothesis, TITLE)
    return title, _category(text.get("category", "")), hypothesis


def _plain(text: str) -> str:
    """One line without control characters, terminal sequences and the marks of Markdown around it."""
    return one_line(clean(text)).strip("*_`# ")


def _category(word: str) -> str:
    close = difflib.get_close_matches(word.lower()[:40], CATEGORIES, 1, 0.7)
    return close[0] if close else "other"


# ---- the file ----------------------------------------------------------------------------------------------


def _fenced_file(lines: list[str]) -> str | None:
    """The longest fenced piece of code. Raises EditError when a fence is opened and never closed.

    A file may hold fences itself, in a docstring: its end is the first closing fence up to which it parses.
    """
    pieces: list[str] = []
    position = 0
    while position < len(lines) and len(pieces) < _PIECES:
        opening = FENCE.match(lines[position])
        position += 1
        if opening is None:
            continue
        ends = list(_closers(lines, position, opening.group(1)))
        if not ends:
            raise EditError("the fenced file breaks off before its closing fence")
        texts = ["\n".join(lines[position:end]) for end in ends]
        best = next((n for n, text in enumerate(texts) if _syntax_fault(text) is None), 0)
        pieces.append(texts[best])
        position = ends[best] + 1
    return max(pieces, key=len, default=None)


def _closers(lines: list[str], start: int, fence: str) -> Iterator[int]:
    """Where the fence may end: bare fences at least as long, the nearest ones."""
    found = 0
    for number in range(start, len(lines)):
        closing = FENCE.match(lines[number])
        if closing and not closing.group(2) and closing.group(1).startswith(fence):
            yield number
            found += 1
            if found == _CLOSERS:
                return


def _syntax_fault(source: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a candidate is no concern here
            parse(source)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, endless nesting
        return str(error) or type(error).__name__
    return None
