"""Which candidates an export is about: since when, only those that were kept, one category. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from evolve.model import Candidate, NothingToDo, UsageError, Verdict

KEPT = (Verdict.BASELINE, Verdict.PROMOTED, Verdict.KEPT)
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Selection:
    """What a candidate has to be to come along; the usual one lets everybody."""

    time: float | None = None  # unix seconds: made at that time or later
    number: int = 1  # of this number or a later one
    kept_only: bool = False  # kept, promoted, or the baseline
    category: str = ""  # of this one; "" = of any

    @property
    def chooses(self) -> bool:
        """Does it leave anybody out by its rule?"""
        return self != EVERYTHING

    def __str__(self) -> str:
        """In words, `""` for everybody."""
        words = [f"from #{self.number} on"] if self.number > 1 else []
        if self.time is not None:
            words.append(f"since {datetime.fromtimestamp(self.time):%Y-%m-%d %H:%M}")
        words += ["kept only"] if self.kept_only else []
        words += [f"category {self.category}"] if self.category else []
        return ", ".join(words)


EVERYTHING = Selection()


def chosen(everybody: Sequence[Candidate], selection: Selection) -> tuple[Candidate, ...]:
    """The candidates that fit, in the order given. Raises NothingToDo for a category that nobody is of."""
    known = {c.category for c in everybody}
    if selection.category and selection.category not in known:
        raise NothingToDo(
            f"No candidate is of the category “{selection.category}”; there are {', '.join(sorted(known))}."
        )
    return tuple(
        c
        for c in everybody
        if c.id >= selection.number
        and (selection.time is None or c.created >= selection.time)
        and (not selection.kept_only or c.verdict in KEPT)
        and (not selection.category or c.category == selection.category)
    )


def since(text: str, now: float | None = None) -> tuple[float | None, int]:
    """`--since` as a time in unix seconds or as a number: `2h`, `30m`, `#17`, `17`, `2026-11-21`, `2026-11-21 22:00`.

    A time without a zone is local. Raises UsageError for anything else.
    """
    word = text.strip()
    if found := re.fullmatch(r"#?(\d{1,9})", word):
        return None, int(found[1])
    if found := _AGO.fullmatch(word):
        return (time.time() if now is None else now) - float(found[1]) * _SECONDS[found[2]], 1
    try:
        return datetime.fromisoformat(word).timestamp(), 1
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"“{word[:40]}” is no time; say how long ago (30m, 2h, 1d), when (2026-11-21, 2026-11-21 22:00), "
            "or from which candidate on (#17)."
        ) from None
