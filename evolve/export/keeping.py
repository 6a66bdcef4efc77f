"""Which steps of main still earn their place: how much of each is left in the script that main holds. Pure, on texts.

Every line of the last script is traced back to the step that wrote it, as `git blame` does. What is left of a step says where
to look when a script is to become simpler; whether it is worth its place only a training without it can say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.export.steps import Stage

_CHANGE = re.compile(r"(?!pattern:)([A-Za-z_][\w.]*): (.+?) -> (.+)")  # a pattern is no constant


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of one step."""

    wrote: int  # lines that it added or changed; lines without a word on them do not count
    left: int  # of those, in the last script
    removed: int  # lines that it took out
    back: int  # of those, lines that stand in the last script again
    constants: tuple[
        str, ...
    ]  # that a later step set anew: "WARMDOWN by #17", "LR by #9, back to 0.04"

    @property
    def is_undone(self) -> bool:
        """Is nothing of it left?"""
        if self.wrote:
            return self.left == 0
        return self.removed > 0 and self.back == self.removed

    def __str__(self) -> str:
        """`12 of 14 lines`, `removed 5 lines`, `undone`."""
        if self.is_undone:
            return "nothing is left"
        if not self.wrote:
            return f"took out {self.removed}" if self.removed else "no line with a word on it"
        return f"{self.left} of {self.wrote}"


def kept_of(series: Sequence[Stage], texts: Sequence[str]) -> tuple[Kept, ...]:
    """Of every stage, given its script; the baseline first."""
    owners = [0] * len(texts[0].split("\n"))
    wrote, removed = Counter[int](), dict[int, list[str]]()
    for place in range(1, len(texts)):
        old, new = texts[place - 1].split("\n"), texts[place].split("\n")
        owners, gone = _traced(old, new, owners, place)
        wrote[place] = sum(
            1 for line, owner in zip(new, owners, strict=True) if owner == place and line.strip()
        )
        removed[place] = [line for line in gone if line.strip()]
    last = texts[-1].split("\n")
    left = Counter(owner for line, owner in zip(last, owners, strict=True) if line.strip())
    wrote[0] = sum(1 for line in texts[0].split("\n") if line.strip())
    there = Counter(last)
    return tuple(
        Kept(
            wrote[place],
            left[place],
            len(removed.get(place, ())),
            (Counter(removed.get(place, ())) & there).total() if place else 0,
            _reset(series, place),
        )
        for place in range(len(texts))
    )


# ---- private -------------------------------------------------------------------------------------------------


def _traced(
    old: Sequence[str], new: Sequence[str], owners: Sequence[int], place: int
) -> tuple[list[int], list[str]]:
    """Who wrote each line of `new`, and the lines of `old` that are gone."""
    traced, gone = list[int](), list[str]()
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            traced += owners[i1:i2]
        else:
            gone += old[i1:i2]
            traced += [place] * (j2 - j1)
    return traced, gone


def _reset(series: Sequence[Stage], place: int) -> tuple[str, ...]:
    """The constants of a step that a later one set anew, as the changes of both say."""
    told: list[str] = []
    for name, (was, became) in _constants(series[place]).items():
        value, by = became, 0
        for later in series[place + 1 :]:
            if (turned := _constants(later).get(name)) is not None:
                value, by = turned[1], later.candidate.id
        if by:
            end = f", back to {was}" if value == was else ""
            told.append(f"{name} by #{by}{end}")
    return tuple(told)


def _constants(stage: Stage) -> dict[str, tuple[str, str]]:
    found = (_CHANGE.fullmatch(change) for change in stage.candidate.changes)
    return {match[1]: (match[2], match[3]) for match in found if match}
