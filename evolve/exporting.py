"""A run as files for other programs: its results as a table, its lineage as a graph, its best script.

What is gathered is of one instant, whatever the engine writes meanwhile. A file appears as a whole or not at all, and
never in place of another one unless that was asked for. It writes nothing else.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from evolve.beliefs import Belief
from evolve.model import Candidate, EvolveError, NothingToDo, Run, UsageError
from evolve.text import one_line

# What can be exported, and how such a file's name ends; the first one is the usual one.
SUFFIXES = {"results": (".tsv", ".csv", ".jsonl"), "lineage": (".json",), "best": (".py",)}
# A spreadsheet takes a cell that begins like this for a formula, and titles are written by others.
_FORMULA = ("=", "+", "-", "@", "\t")


@dataclass(frozen=True, slots=True)
class Gathered:
    """All of a run that the tables need, at one instant."""

    run: Run
    candidates: tuple[Candidate, ...]
    beliefs: Mapping[int, Belief]
    memory: Mapping[int, float]  # MB at its largest, by candidate


class Holder(Protocol):
    """Whoever knows a run: a client, or a recording in its place."""

    def gathered(self) -> Gathered:
        """All of the newest run at one instant; raises NothingToDo where there is none."""
        ...

    def source(self, number: int) -> str:
        """The text of a candidate's script."""
        ...


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written."""

    text: str
    about: str  # "the results of 212 candidates"


_COLUMNS: dict[str, Callable[[Candidate, Gathered], Any]] = {
    "id": lambda c, _: c.id,
    "verdict": lambda c, _: None if c.verdict is None else str(c.verdict),
    "state": lambda c, _: str(c.state),
    "alive": lambda c, _: c.alive,
    "main": lambda c, g: c.id == g.run.incumbent,
    "val_bpb": lambda c, _: c.mean,
    "fitness": lambda c, _: c.mean_fitness,
    "trainings": lambda c, _: len(c.scores),
    "corrected": lambda c, g: _of(g, c, lambda belief: belief.mean),
    "corrected_sd": lambda c, g: _of(g, c, lambda belief: belief.sd),
    "p_better": lambda c, g: _of(g, c, lambda belief: belief.better),
    "outcome": lambda c, _: None if c.outcome is None else str(c.outcome),
    "memory_mb": lambda c, g: g.memory.get(c.id),
    "operator": lambda c, _: str(c.operator),
    "proposer": lambda c, _: c.proposer,
    "model": lambda c, _: c.model,
    "prompt": lambda c, _: c.prompt_version,
    "category": lambda c, _: c.category,
    "parents": lambda c, _: list(c.parents),
    "children": lambda c, _: c.children,
    "generation": lambda c, _: c.generation,
    "lines": lambda c, _: c.lines,
    "created": lambda c, _: c.created,
    "commit": lambda c, _: c.commit,
    "title": lambda c, _: c.title,
    "reason": lambda c, _: c.verdict_reason,
}


def _of(gathered: Gathered, candidate: Candidate, fact: Callable[[Belief], Any]) -> Any:
    belief = gathered.beliefs.get(candidate.id)
    return None if belief is None else fact(belief)


def default_name(kind: str, run: str) -> str:
    """`nov21-results.tsv`."""
    return f"{run}-{kind}{SUFFIXES[kind][0]}"


def prepare(holder: Holder, kind: str, suffix: str) -> Export:
    """The text of a file of that kind. Raises UsageError for a suffix that it cannot have, NothingToDo without a run."""
    allowed = SUFFIXES.get(kind)
    if allowed is None:
        raise UsageError(f"“{kind}” cannot be exported; say results, lineage or best.")
    if suffix not in allowed:
        raise UsageError(
            f"A file of the {kind} ends with {' or '.join(allowed)}, not with “{suffix}”."
        )
    if kind == "best":
        return _best(holder)
    gathered = holder.gathered()
    count = len(gathered.candidates)
    many = "1 candidate" if count == 1 else f"{count} candidates"
    if kind == "lineage":
        return Export(lineage(gathered), f"the lineage of {many}")
    return Export(results(gathered, suffix), f"the results of {many}")


def _best(holder: Holder) -> Export:
    run = holder.gathered().run
    if run.incumbent is None:
        raise NothingToDo("Main holds nothing yet; the baseline comes first.")
    return Export(holder.source(run.incumbent), f"the script of #{run.incumbent}, which main holds")


def results(gathered: Gathered, suffix: str) -> str:
    """A line for each candidate: tab or comma separated with a header, or one JSON object a line."""
    rows = ({name: value(c, gathered) for name, value in _COLUMNS.items()} for c in gathered.candidates)  # fmt: skip
    if suffix == ".jsonl":
        return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    out = io.StringIO()
    if suffix == ".tsv":
        table = csv.writer(out, "excel-tab", lineterminator="\n")
    else:
        table = csv.writer(out, lineterminator="\n")
    table.writerow(_COLUMNS)
    table.writerows(_cells(row) for row in rows)
    return out.getvalue()


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    for value in row.values():
        if value is None:
            yield ""
        elif isinstance(value, list):
            yield " ".join(str(part) for part in value)
        elif isinstance(value, str):
            text = one_line(value)
            yield f"'{text}" if text.startswith(_FORMULA) else text
        else:
            yield str(value).lower() if isinstance(value, bool) else str(value)


def lineage(gathered: Gathered) -> str:
    """A node-link graph as D3 and NetworkX read it: a node for each candidate, a link from each parent to its child."""
    nodes = [{name: value(c, gathered) for name, value in _COLUMNS.items()} for c in gathered.candidates]  # fmt: skip
    links = [
        {"source": parent, "target": c.id, "parent": "first" if place == 0 else "second"}
        for c in gathered.candidates
        for place, parent in enumerate(c.parents)
    ]
    run = {"run": gathered.run.name, "main": gathered.run.incumbent, "sigma": gathered.run.sigma}
    graph = {"directed": True, "multigraph": False, "graph": run, "nodes": nodes, "links": links}
    return json.dumps(graph, ensure_ascii=False, indent=1) + "\n"


def save(text: str, path: Path, *, replace: bool) -> None:
    """Write a file as a whole. Raises UsageError where one is and `replace` is not asked for, EvolveError on a fault."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        try:
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a rename, never in place of something
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError(f"There is a file {path} already; name another one, or replace it.") from None  # fmt: skip
    except OSError as error:
        raise EvolveError(f"{path} cannot be written: {(error.strerror or 'fault').lower()}.") from None  # fmt: skip
