"""results.tsv, the ancestor's table to the letter, rewritten as a whole from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from evolve.model import Candidate, Verdict

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ("commit", "val_bpb", "memory_gb", "status", "description")
_KEPT = (Verdict.BASELINE, Verdict.PROMOTED, Verdict.KEPT)


def write_results(path: Path, rows: Iterable[tuple[Candidate, float | None]]) -> None:
    """Write one row for each candidate that has a verdict, with its peak memory in MB, in order; atomic.

    The ancestor's notebook knows only keep, discard and crash, and takes the first row as the baseline.
    """
    lines = ["\t".join(HEADER)]
    lines += [
        "\t".join(_row(candidate, memory)) for candidate, memory in rows if _settled(candidate)
    ]
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.replace(path)


def _settled(candidate: Candidate) -> bool:
    return candidate.verdict not in (None, Verdict.DROPPED)


def _row(candidate: Candidate, memory_mb: float | None) -> tuple[str, ...]:
    score = candidate.mean if candidate.verdict is not Verdict.FAILED else None
    if score is None:
        value, memory, status = "0.000000", "0.0", "crash"
    else:
        value, memory = f"{score:.6f}", f"{(memory_mb or 0.0) / 1024:.1f}"
        status = "keep" if candidate.verdict in _KEPT else "discard"
    return (candidate.commit[:7], value, memory, status, " ".join(candidate.title.split()))
