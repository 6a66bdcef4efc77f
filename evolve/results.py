"""results.tsv, the ancestor's table to the letter, made from the journal.

It is a projection and never read for a decision; a table that another run or another tool wrote is moved
aside, never overwritten.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from evolve.model import Candidate, DiskFull, EvolveError, Verdict
from evolve.reader import Reader
from evolve.text import one_line
from harness.crashpoints import reached
from harness.places import is_full
from harness.spec import Outcome

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")
# The ancestor keeps what its branch advanced to; a member of the population is not that.
_KEPT = (Verdict.BASELINE, Verdict.PROMOTED)


class Results:
    """The table of the newest run in one workspace. It remembers its lines, so that a new one costs a line."""

    def __init__(self, path: Path) -> None:
        """Nothing is read before the first `write`."""
        self._path = path
        self._run, self._stamp = 0, 0  # of what is in it
        self._lines: list[str] = []  # by number; empty for those without a verdict
        self._left: tuple[int, int] | None = None  # the file as it was left: its number and size

    def write(self, journal: Reader) -> None:
        """Bring the file up to date; durable it need not be, for it is made from the journal.

        New lines at its end are added; when another one changes, or somebody has touched the file, it is written anew as
        a whole and put in place at once. Raises DiskFull, and EvolveError when it cannot be written for another reason.
        """
        added = self._take(journal)
        try:
            if added is None or self._left is None or self._left != _state(self._path):
                self._replace()
            elif added:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(added)
            self._left = _state(self._path)
        except OSError as error:
            self._left = None
            if is_full(error):
                raise DiskFull(
                    f"The disk is full, so {self._path} cannot be written; free some space.",
                    self._path.parent,
                ) from None
            raise EvolveError(
                f"{self._path} cannot be written ({(error.strerror or 'fault').lower()}); look at who owns it and its "
                "folder. The run goes on without it, and writes it again after the next training."
            ) from None

    def _take(self, journal: Reader) -> str | None:
        """Read what is new; returns the lines to be added, None where one that is in the file has changed."""
        run, newest = journal.run_id(), journal.newest_touch()
        if run != self._run or newest < self._stamp:
            self._run, self._stamp, self._lines, self._left = run, 0, [], None
        last = next((n for n in range(len(self._lines), 0, -1) if self._lines[n - 1]), 0)
        added, changed = list[str](), False
        for number, *told in journal.table_since(self._stamp):
            line = _told(*told)
            self._lines.extend([""] * (number - len(self._lines)))
            if line == self._lines[number - 1]:
                continue
            changed |= number <= last
            self._lines[number - 1] = line
            added.append(line)
        self._stamp = newest
        return None if changed else "".join(added)

    def _replace(self) -> None:
        text = "".join((_line_of(HEADER), *self._lines))
        _move_aside(self._path, text)
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        reached("results.before-rename")
        temporary.replace(self._path)


def table(rows: Iterable[tuple[Candidate, float | None]]) -> str:
    """One line for each candidate that has a verdict, with its peak memory in MB, in order.

    The ancestor's notebook knows only keep, discard and crash, and takes the first row as the baseline. A row without
    a score has to be a crash there, or its 0 would be the best of all; one that was stopped early says so.
    """
    lines = [_line(c.commit, c.title, c.verdict, c.outcome, c.mean, memory) for c, memory in rows]
    return "".join((_line_of(HEADER), *lines))


def _told(
    commit: str,
    title: str,
    verdict: str | None,
    outcome: str | None,
    scores: str,
    memory: float | None,
) -> str:
    """A line from the journal's own words; empty where there is none to write."""
    known: list[float] = json.loads(scores)
    mean = sum(known) / len(known) if known else None
    word = None if verdict is None else Verdict(verdict)
    return _line(commit, title, word, None if outcome is None else Outcome(outcome), mean, memory)


def _line_of(cells: Iterable[str]) -> str:
    return "\t".join(cells) + "\n"


def _state(path: Path) -> tuple[int, int] | None:
    """Which file it is and how long; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size


def _line(
    commit: str,
    title: str,
    verdict: Verdict | None,
    outcome: Outcome | None,
    mean: float | None,
    memory_mb: float | None,
) -> str:
    if verdict in (None, Verdict.DROPPED):
        return ""
    score = mean if verdict is not Verdict.FAILED else None
    if score is None:
        value, memory, status = "0.000000", "0.0", "crash"
    else:
        value, memory = f"{score:.6f}", f"{(memory_mb or 0.0) / 1024:.1f}"
        status = "keep" if verdict in _KEPT else "discard"
    early = " (stopped early)" if outcome is Outcome.PRUNED else ""
    return _line_of((commit[:7], value, memory, status, one_line(title) + early))


def _move_aside(path: Path, text: str) -> None:
    """Keep a table that does not begin with this run's baseline."""
    try:
        old = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    new = text.splitlines()
    if len(old) < 2 or (len(new) > 1 and old[1].split("\t")[0] == new[1].split("\t")[0]):
        return
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    with contextlib.suppress(FileExistsError):  # moved aside just before a crash
        os.link(path, path.with_name(f"results-before-{stamp}.tsv"))
