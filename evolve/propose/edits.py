"""SEARCH/REPLACE blocks: found in a text, and applied to a source.

Pure. An edit is applied where its text stands exactly once, or not at all: nothing is guessed, and one block that
does not fit rejects them all. The ladder of matches (exact, trailing blanks, indentation) follows what Aider's
benchmarks found worth having; nothing fuzzier is tried.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Lines = tuple[str, ...]

MAX_EDITS = 100  # of one answer; more is no edit of a file any more
MAX_DIVIDERS = 20  # of one block
_EXCERPT = 12  # lines shown of the place that resembles a block most

SEARCH = re.compile(r"\s*<{5,9} ?SEARCH\b")
_DIVIDER = re.compile(r"\s*={5,9}\s*$")
_REPLACE = re.compile(r"\s*>{5,9} ?REPLACE\b")
FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})\s{0,9}([\w.+-]{0,20})\s*$")


class EditError(Exception):
    """An answer that cannot be used as it is. `details` says it at length, for whoever is to correct it."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details or message


@dataclass(frozen=True, slots=True)
class Edit:
    """One block. Where its text itself has a line of equals signs, each such line may be the divider."""

    splits: tuple[tuple[Lines, Lines], ...]  # (search, replace), the longest search first


@dataclass(frozen=True, slots=True)
class _Place:
    """Lines [start, end) of a source and what comes there instead."""

    start: int
    end: int
    lines: Lines


def parse_edits(text: str) -> tuple[Edit, ...]:
    """The SEARCH/REPLACE blocks of a text, in order; fences and prose around them are skipped.

    Raises EditError for a block without a divider or without an end, and for more than MAX_EDITS.
    """
    edits: list[Edit] = []
    block: list[str] | None = None
    for line in split_lines(text):
        if SEARCH.match(line):
            if block is not None:
                raise EditError(f"block {len(edits) + 1} has no >>>>>>> REPLACE line")
            block = []
        elif block is not None and _REPLACE.match(line):
            edits.append(_edit(block, len(edits) + 1))
            block = None
            if len(edits) > MAX_EDITS:
                raise EditError(f"the answer has more than {MAX_EDITS} blocks")
        elif block is not None:
            block.append(line)
    if block is not None:
        raise EditError(f"block {len(edits) + 1} breaks off before its >>>>>>> REPLACE line")
    return tuple(edits)


def apply_edits(source: str, edits: Sequence[Edit]) -> str:
    """`source` with every edit in place. Raises EditError, which names each block that does not fit, and why.

    Blocks are found in the source as it stands; only when that fails are they tried one after the other, each on
    what the ones before it left.
    """
    lines = split_lines(source)
    try:
        changed = _at_once(lines, edits)
    except EditError:
        in_turn = _in_turn(lines, edits)
        if in_turn is None:
            raise
        changed = in_turn
    if changed == lines:
        raise EditError("the edits change nothing")
    newline = "\r\n" if "\r\n" in source else "\n"
    return newline.join(changed).rstrip("\r\n") + newline


# ---- reading -----------------------------------------------------------------------------------------------


def split_lines(text: str) -> list[str]:
    """The lines of a text, whatever ends them; a final newline leaves an empty last line."""
    return text.replace("\r\n", "\n").split("\n")


def _edit(block: list[str], number: int) -> Edit:
    dividers = [n for n, line in enumerate(block) if _DIVIDER.match(line)]
    if not dividers:
        raise EditError(f"block {number} has no ======= line between SEARCH and REPLACE")
    if len(dividers) > MAX_DIVIDERS:
        raise EditError(f"block {number} has more than {MAX_DIVIDERS} ======= lines")
    return Edit(
        tuple((_unfenced(block[:n]), _unfenced(block[n + 1 :])) for n in reversed(dividers))
    )


def _unfenced(lines: list[str]) -> Lines:
    """A part of a block without the code fence that some models put around it."""
    fenced = len(lines) >= 2 and FENCE.match(lines[0]) and FENCE.match(lines[-1])
    return tuple(lines[1:-1] if fenced else lines)


# ---- applying ------------------------------------------------------------------------------------------------


def _at_once(lines: list[str], edits: Sequence[Edit]) -> list[str]:
    """All blocks against the same lines. Raises EditError that names every misfit."""
    places: list[tuple[int, _Place]] = []
    faults: list[EditError] = []
    for number, edit in enumerate(edits, 1):
        try:
            places.append((number, _find(lines, edit)))
        except EditError as error:
            name = f"block {number}" if len(edits) > 1 else "the block"
            faults.append(EditError(f"{name}: {error}", f"{name}: {error.details}"))
    places.sort(key=lambda item: (item[1].start, item[1].end))
    for (one, before), (two, after) in itertools.pairwise(places):
        if after.start < before.end:
            faults.append(EditError(f"blocks {min(one, two)} and {max(one, two)} overlap"))
    if faults:
        raise EditError(str(faults[0]), "\n\n".join(fault.details for fault in faults))
    changed = list(lines)
    for _, place in reversed(places):
        changed[place.start : place.end] = place.lines
    return changed


def _in_turn(lines: list[str], edits: Sequence[Edit]) -> list[str] | None:
    """Each block against the outcome of the ones before; None when one of them does not fit."""
    changed = list(lines)
    for edit in edits:
        try:
            place = _find(changed, edit)
        except EditError:
            return None
        changed[place.start : place.end] = place.lines
    return changed


def _find(lines: list[str], edit: Edit) -> _Place:
    """Where a block belongs, read with the longest SEARCH part that fits. Raises EditError."""
    fault: EditError | None = None
    for search, replace in edit.splits:
        try:
            return _match(lines, search, replace)
        except EditError as error:
            fault = error  # the shortest SEARCH part is what was most likely meant
    raise fault or EditError("it is empty")


def _match(lines: list[str], search: Lines, replace: Lines) -> _Place:
    """Exactly; else but for trailing blanks; else but for one shift of the indentation of all lines."""
    if not any(line.strip() for line in search):
        raise EditError("its SEARCH part is empty")
    exact = _starts(lines, search, str)
    if exact:
        return _Place(_only(lines, exact), exact[0] + len(search), replace)
    search, replace = _trimmed(search), _trimmed(replace)
    loose = _starts(lines, search, str.rstrip)
    if loose:
        return _Place(_only(lines, loose), loose[0] + len(search), replace)
    shifted = [
        (start, shift)
        for start in _starts(lines, search, str.strip)
        if (shift := _shift(lines[start : start + len(search)], search)) is not None
    ]
    if not shifted:
        raise EditError(
            "its SEARCH text is not in the file",
            f"its SEARCH text is not in the file{_nearest(lines, search)}",
        )
    start = _only(lines, [start for start, _ in shifted])
    return _Place(start, start + len(search), _indented(replace, shifted[0][1]))


def _starts(lines: list[str], search: Lines, view: Callable[[str], str]) -> list[int]:
    """Where `search` begins in `lines`, both seen through `view`."""
    seen, wanted = [view(line) for line in lines], [view(line) for line in search]
    return [
        n
        for n in range(len(seen) - len(wanted) + 1)
        if seen[n] == wanted[0] and seen[n : n + len(wanted)] == wanted
    ]


def _only(lines: list[str], starts: list[int]) -> int:
    if len(starts) > 1:
        where = ", ".join(str(n + 1) for n in starts[:8])
        raise EditError(
            f"its SEARCH text stands {len(starts)} times in the file",
            f"its SEARCH text stands {len(starts)} times in the file (lines {where}); take more lines around it, "
            "so that it stands there once",
        )
    return starts[0]


def _trimmed(lines: Lines) -> Lines:
    """Without the empty lines at both ends."""
    full = [n for n, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else ()


def _shift(window: list[str], search: Lines) -> tuple[str, str] | None:
    """(prefix to take away, prefix to add) that makes every line of `search` a line of `window`, or None."""
    pairs = [(w, s) for w, s in zip(window, search, strict=True) if s.strip()]
    there, here = (line[: len(line) - len(line.lstrip())] for line in pairs[0])
    take, add = ("", there[len(here) :]) if there.startswith(here) else (here[len(there) :], "")
    if not take and not add:
        return None
    moved = (_moved(s, take, add) for _, s in pairs)
    same = all(m is not None and m.rstrip() == w.rstrip() for (w, _), m in zip(pairs, moved, strict=True))  # fmt: skip
    return (take, add) if same else None


def _moved(line: str, take: str, add: str) -> str | None:
    if not line.strip():
        return line
    return add + line.removeprefix(take) if line.startswith(take) else None


def _indented(replace: Lines, shift: tuple[str, str]) -> Lines:
    moved = [_moved(line, *shift) for line in replace]
    if None in moved:
        raise EditError("its indentation differs from the file's, and REPLACE cannot follow")
    return tuple(line for line in moved if line is not None)


def _nearest(lines: list[str], search: Lines) -> str:
    """The place that shares most lines with `search`, as text for whoever corrects it."""
    where: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        where.setdefault(line.strip(), []).append(number)
    votes = Counter(
        number - offset
        for offset, line in enumerate(search[:200])
        if line.strip()
        for number in where.get(line.strip(), ())[:50]
    )
    if votes:
        start = max(0, votes.most_common(1)[0][0])
    else:
        close = difflib.get_close_matches(search[0].strip()[:200], list(where), 1, 0.5)
        if not close:
            return ", nor anything like it"
        start = where[close[0]][0]
    shown = lines[start : start + min(len(search) + 1, _EXCERPT)]
    return f"; the nearest lines, from line {start + 1} on, are:\n" + "\n".join(shown)
