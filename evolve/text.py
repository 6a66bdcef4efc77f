"""What people and models write, made safe for commit messages, tables, refs and terminals. Pure."""

from __future__ import annotations

import re
import unicodedata

from evolve.model import UsageError

_RUN_NAME = re.compile(r"(?!.*\.lock$)[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*")


def one_line(text: str, width: int | None = None) -> str:
    """`text` on one line without control or direction-changing characters, cut to `width` with an ellipsis."""
    line = " ".join(_visible(text).split())
    return line if width is None or len(line) <= width else f"{line[: width - 1].rstrip()}…"


def paragraphs(text: str) -> str:
    """`text` with its line breaks, but without any other control character and without trailing blanks."""
    lines = [_visible(line).rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).strip("\n")


def check_run_name(name: str) -> str:
    """Return `name`, which becomes part of git refs; raises UsageError when it cannot."""
    if len(name) > 40 or not _RUN_NAME.fullmatch(name):
        # Lower case, because refs are files, and some file systems take Mar8 and mar8 for the same.
        raise UsageError(
            f"“{one_line(name, 60)}” cannot name a run; use up to 40 lower-case letters, digits, '-', '_' "
            "or '.', beginning with a letter or a digit."
        )
    return name


def _visible(text: str) -> str:
    # Cc: control characters; Cf: direction overrides and the like; Cs: lone surrogates; Zl, Zp: line breaks.
    if text.isprintable():  # then it has none of them
        return text
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(" " if unicodedata.category(c) in hidden else c for c in text)
