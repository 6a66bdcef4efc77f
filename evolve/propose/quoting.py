"""Quotes what candidates printed and models wrote, so that a model reads it as data and nothing in it can end the quote.

Pure. Everything is cleaned of control sequences, freed of folders, bounded and put between delimiters.
"""

from __future__ import annotations

import re
from typing import Literal

from evolve.text import one_line, paragraphs
from harness.process import clean

LOG = 4096  # characters of a traceback, its end
LINE = 1000  # characters of one quoted line
_MARGIN = (
    8  # times the limit that is cleaned at most: cleaning a megabyte for four kilobytes takes long
)

_FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^\s/:\"']+/)+")  # `/tmp/x/` of `/tmp/x/train.py`
_INNER_QUOTES = str.maketrans({"“": "'", "”": "'", '"': "'", "`": "'"})


def quoted(tag: str, text: str, limit: int, keep: Literal["start", "end"] = "start") -> str:
    """`text` between `<tag>` and `</tag>`, at most `limit` characters of its start or its end.

    A tag of that name inside loses its bracket, in whatever spelling, so that only ours ends the quote.
    """
    most = limit * _MARGIN
    rough = text[-most:] if keep == "end" else text[:most]
    body = paragraphs(_FOLDERS.sub("", clean(rough)))
    body = re.sub(rf"<(?=\s*/?\s*{re.escape(tag)})", "‹", body, flags=re.IGNORECASE)
    lines = (line if len(line) <= LINE else f"{line[: LINE - 1]}…" for line in body.split("\n"))
    body = "\n".join(lines)
    body = body[-limit:] if keep == "end" else body[:limit]
    return f"<{tag}>\n{body.strip() or '(nothing)'}\n</{tag}>"


def quoted_log(text: str) -> str:
    """Untrusted output, fit to be shown to a model: its end, where a traceback says what went wrong."""
    return quoted("untrusted-log", text, LOG, keep="end")


def inline(text: str, width: int) -> str:
    """`“text”` on one line, with no quotation mark inside that could end it."""
    plain = one_line(clean(text[: width * _MARGIN])).translate(_INNER_QUOTES)
    return f"“{one_line(plain, width)}”"


def fenced(text: str, language: str) -> str:
    """A code fence longer than any run of backticks in `text`, so that no content can close it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}{language}\n{body}{fence}"
