"""Python text as lines of spans: what a word is to Python decides its ink. Pure; Pygments does the reading.

Only the roles of words come from Pygments; how a role looks is the canvas's business, in the terminal's own colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from pygments.lexers.python import PythonLexer
from pygments.token import Token

from tui.widgets.ink import Ink, Line, Span, cells

LARGEST = 400_000  # characters; a larger text stays as it is

_INKS: dict[Any, Ink] = {
    Token.Keyword: Ink.KEYWORD,
    Token.Keyword.Constant: Ink.NUMBER,
    Token.Operator.Word: Ink.KEYWORD,
    Token.Name.Function: Ink.DEFINED,
    Token.Name.Class: Ink.DEFINED,
    Token.Name.Decorator: Ink.DEFINED,
    Token.Literal.String: Ink.STRING,
    Token.Literal.Number: Ink.NUMBER,
    Token.Comment: Ink.COMMENT,
}


@cache
def _ink(kind: Any) -> Ink:
    """The ink of a token type, or of the nearest type that it belongs to."""
    while kind is not Token:
        if kind in _INKS:
            return _INKS[kind]
        kind = kind.parent
    return Ink.PLAIN


def coloured(lines: Sequence[str]) -> tuple[Line, ...]:
    """The lines of a script with their inks; the text of every line stays to the character."""
    text = "\n".join(lines)
    if len(text) > LARGEST:
        return tuple(((line, Ink.PLAIN),) if line else () for line in lines)
    done: list[Line] = []
    spans: list[Span] = []
    # Unprocessed: get_tokens() would strip and expand what has to stay.
    for _, kind, value in PythonLexer().get_tokens_unprocessed(text):
        first, *more = value.split("\n")
        _put(spans, first, _ink(kind))
        for piece in more:
            done.append(tuple(spans))
            spans = []
            _put(spans, piece, _ink(kind))
    done.append(tuple(spans))
    return tuple(done)


def _put(spans: list[Span], text: str, ink: Ink) -> None:
    """Add text to a line; what looks the same is one span, since every change of ink costs bytes."""
    if not text:
        return
    if spans and (spans[-1][1] is ink or text.isspace()):
        spans[-1] = (spans[-1][0] + text, spans[-1][1])
    else:
        spans.append((text, ink))


def marked(line: Line, marks: Sequence[tuple[int, int]], base: Ink, strong: Ink) -> Line:
    """A changed line: plain words in `base`, the characters in `marks` in `strong`, the rest as it is."""
    spans: list[Span] = []
    place = 0
    for text, ink in line:
        own = base if ink is Ink.PLAIN else ink
        for start, end in marks:
            a, b = max(0, start - place), min(len(text), end - place)
            if a < b:
                _put_exactly(spans, text[:a], own)
                _put_exactly(spans, text[a:b], strong)
                text, place = text[b:], place + b
        _put_exactly(spans, text, own)
        place += len(text)
    return tuple(spans)


def _put_exactly(spans: list[Span], text: str, ink: Ink) -> None:
    if text and spans and spans[-1][1] is ink:
        spans[-1] = (spans[-1][0] + text, ink)
    elif text:
        spans.append((text, ink))


def wrapped(line: Line, columns: int) -> list[Line]:
    """Break a line of code at the edge, inside words if need be; an empty line stays one line."""
    if sum(len(text) for text, _ in line) <= columns and all(t.isascii() for t, _ in line):
        return [line]
    rows: list[list[Span]] = [[]]
    used = 0
    split = cells(line)
    for place, (text, ink) in enumerate(split):
        if not text:
            continue
        wide = 2 if place + 1 < len(split) and split[place + 1][0] == "" else 1
        if used + wide > columns and used:
            rows.append([])
            used = 0
        _put_exactly(rows[-1], text, ink)
        used += wide
    return [tuple(row) for row in rows]
