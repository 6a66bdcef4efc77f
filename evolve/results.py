"""results.tsv, the ancestor's table to the letter, rewritten as a whole from the journal.

It is a projection and never read for a decision; a table that another run or another tool wrote is moved
aside, never overwritten.
"""

from __future__ import annotations

import contextlib
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


def write_results(path: Path, journal: Reader) -> None:
    """Rewrite the newest run's table, atomically; durable it need not be, for it is made from the journal.

    Raises DiskFull, and EvolveError when it cannot be written for another reason.
    """
    memory = journal.peak_memory()
    text = table((candidate, memory.get(candidate.id)) for candidate in journal.candidates())
    try:
        _move_aside(path, text)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(text, encoding="utf-8")
        reached("results.before-rename")
        temporary.replace(path)
    except OSError as error:
        if is_full(error):
            raise DiskFull(
                f"The disk is full, so {path} cannot be written; free some space.", path.parent
            ) from None
        raise EvolveError(
            f"{path} cannot be written ({(error.strerror or 'fault').lower()}); look at who owns it and its folder. "
            "The run goes on without it, and writes it again after the next training."
        ) from None


def table(rows: Iterable[tuple[Candidate, float | None]]) -> str:
    """One line for each candidate that has a verdict, with its peak memory in MB, in order.

    The ancestor's notebook knows only keep, discard and crash, and takes the first row as the baseline. A row without
    a score has to be a crash there, or its 0 would be the best of all; one that was stopped early says so.
    """
    lines = ["\t".join(HEADER)]
    lines += [
        "\t".join(_row(candidate, memory)) for candidate, memory in rows if _settled(candidate)
    ]
    return "\n".join(lines) + "\n"


def _settled(candidate: Candidate) -> bool:
    return candidate.verdict not in (None, Verdict.DROPPED)


def _row(candidate: Candidate, memory_mb: float | None) -> tuple[str, ...]:
    score = candidate.mean if candidate.verdict is not Verdict.FAILED else None
    if score is None:
        value, memory, status = "0.000000", "0.0", "crash"
    else:
        value, memory = f"{score:.6f}", f"{(memory_mb or 0.0) / 1024:.1f}"
        status = "keep" if candidate.verdict in _KEPT else "discard"
    early = " (stopped early)" if candidate.outcome is Outcome.PRUNED else ""
    return (candidate.commit[:7], value, memory, status, one_line(candidate.title) + early)


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
