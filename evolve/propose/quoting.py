"""Quotes what candidates printed and models wrote, so that a model reads it as data and nothing in it can end the quote.

Pure. Everything is cleaned of control sequences, freed of folders, bounded and put between delimiters.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from evolve.text import one_line, paragraphs
from harness.process import clean

LOG = 4096  # characters of a traceback, its end
LINE = 1000  # characters of one quoted line
_MARGIN = (
    8  # times the limit that is cleaned at most: cleaning a megabyte for four kilobytes takes long
)

Tag = Literal["untrusted-log", "scratchpad"]
_TAG = re.compile(rf"<(?=\s*/?\s*(?:{'|'.join(get_args(Tag))}))", re.IGNORECASE)
_FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^\s/:\"']+/)+")  # `/tmp/x/` of `/tmp/x/train.py`
_INNER_QUOTES = str.maketrans({"“": "'", "”": "'", '"': "'", "`": "'"})
_CELL = str.maketrans({"|": "/", "<": "‹"})  # neither ends a cell nor looks like a delimiter


def quoted(tag: Tag, text: str, limit: int, keep: Literal["start", "end"] = "start") -> str:
    """`text` between `<tag>` and `</tag>`, at most `limit` characters of its start or its end.

    Our tags inside lose their bracket, in whatever spelling, so that only ours ends the quote.
    """
    most = limit * _MARGIN
    rough = text[-most:] if keep == "end" else text[:most]
    body = paragraphs(_FOLDERS.sub("", clean(rough)))
    body = _TAG.sub("‹", body)
    lines = (line if len(line) <= LINE else f"{line[: LINE - 1]}…" for line in body.split("\n"))
    body = "\n".join(lines)
    body = body[-limit:] if keep == "end" else body[:limit]
    return f"<{tag}>\n{body.strip() or '(nothing)'}\n</{tag}>"


def quoted_log(text: str) -> str:
    """Untrusted output, fit to be shown to a model: its end, where a traceback says what went wrong."""
    return quoted("untrusted-log", text, LOG, keep="end")


def cell(text: str, width: int) -> str:
    """Text on one line that may stand in a table: nothing in it ends a cell or looks like a delimiter."""
    plain = _FOLDERS.sub("", clean(text[: width * _MARGIN]))
    return one_line(plain, width).translate(_CELL)


def inline(text: str, width: int) -> str:
    """`“text”` on one line, with no quotation mark inside that could end it."""
    return f"“{cell(text, width).translate(_INNER_QUOTES)}”"


def fenced(text: str, language: str) -> str:
    """A code fence longer than any run of backticks in `text`, so that no content can close it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}{language}\n{body}{fence}"
