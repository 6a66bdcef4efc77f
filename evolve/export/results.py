"""The candidates as a table, in every form that has one: a row a candidate, as measured and as believed.

`.tsv` is the ancestor's results.tsv to the letter. The others are wide: their columns stand in `COLUMNS`, with types and
units, and docs/export.md is made from them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.export.columns import Column
from evolve.export.data import json_line
from evolve.results import table
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.beliefs import Belief
    from evolve.export.gather import Gathered
    from evolve.model import Candidate

Value = Callable[["Candidate", "Gathered"], Any]
# A spreadsheet takes a cell that begins like this for a formula, and titles are written by others.
_FORMULA = ("=", "+", "-", "@", "\t")


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _of(gathered: Gathered, candidate: Candidate, fact: Callable[[Belief], Any]) -> Any:
    belief = gathered.beliefs.get(candidate.id)
    return None if belief is None else fact(belief)


COLUMNS: tuple[tuple[Column, Value], ...] = (
    (Column("id", "int", "its number in the run, from 1 on"), lambda c, _: c.id),
    (Column("verdict", "word?", "baseline, promoted, kept, rejected, failed, dropped; nothing before there is one"), lambda c, _: _word(c.verdict)),
    (Column("state", "word", "ready, training, contender, judged, dropped"), lambda c, _: str(c.state)),
    (Column("alive", "bool", "a member of the population"), lambda c, _: c.alive),
    (Column("main", "bool", "main holds it now"), lambda c, g: c.id == g.run.incumbent),
    (Column("val_bpb", "float?", "mean of its trainings, as measured", "bpb"), lambda c, _: c.mean),
    (Column("fitness", "float?", "mean of what selection goes by; val_bpb unless [metric] prices more", "bpb"), lambda c, _: c.mean_fitness),
    (Column("trainings", "int", "how many scores that is the mean of"), lambda c, _: len(c.scores)),
    (Column("corrected", "float?", "fitness without the luck of seeds, drawn towards its relatives", "bpb"), lambda c, g: _of(g, c, lambda b: b.mean)),
    (Column("corrected_sd", "float?", "one standard deviation of that", "bpb"), lambda c, g: _of(g, c, lambda b: b.sd)),
    (Column("p_better", "float?", "P(better than main), 0 to 1; nothing for main itself"), lambda c, g: _of(g, c, lambda b: b.better)),
    (Column("outcome", "word?", "of its last training: ok, crash, oom, nan, timeout, invalid, void, pruned"), lambda c, _: _word(c.outcome)),
    (Column("memory_mb", "float?", "at its largest", "MB"), lambda c, g: g.memory.get(c.id)),
    (Column("operator", "word", "seed, mutate, rewrite, crossover, repair, tune, human"), lambda c, _: str(c.operator)),
    (Column("proposer", "word", "claude, builtin, human"), lambda c, _: c.proposer),
    (Column("model", "word", "the language model, where one wrote it"), lambda c, _: c.model),
    (Column("prompt", "word", "version of the prompt's template"), lambda c, _: c.prompt_version),
    (Column("category", "word", "what kind of idea it is"), lambda c, _: c.category),
    (Column("parents", "ints", "one, or two of a crossover; the first one is the tree's"), lambda c, _: list(c.parents)),
    (Column("children", "int", "how many were made of it"), lambda c, _: c.children),
    (Column("generation", "int", "1 more than its parents' largest"), lambda c, _: c.generation),
    (Column("lines", "int", "of the script", "lines"), lambda c, _: c.lines),
    (Column("created", "time", "when it was queued", "s"), lambda c, _: c.created),
    (Column("commit", "text", "in git"), lambda c, _: c.commit),
    (Column("title", "text", "what it tries, as its proposer says"), lambda c, _: c.title),
    (Column("reason", "text", "why it got its verdict"), lambda c, _: c.verdict_reason),
)  # fmt: skip


def records(gathered: Gathered) -> Iterator[dict[str, Any]]:
    """A dictionary for each candidate, by name of the column."""
    for candidate in gathered.candidates:
        yield {column.name: value(candidate, gathered) for column, value in COLUMNS}


def write_tsv(gathered: Gathered, file: BinaryIO) -> None:
    """The ancestor's table: a line for each candidate that has a verdict and was trained or failed."""
    pairs = ((c, gathered.memory.get(c.id)) for c in gathered.candidates)
    file.write(table(pairs).encode())


def write_jsonl(gathered: Gathered, file: BinaryIO) -> None:
    """A JSON object a line, as it was written: nothing is taken out of any text."""
    for record in records(gathered):
        file.write(json_line(record))


def write_csv(gathered: Gathered, file: BinaryIO) -> None:
    """Comma separated with a header; no cell breaks a line, and none is a formula to a spreadsheet."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(column.name for column, _ in COLUMNS)
    rows.writerows(map(cell, record.values()) for record in records(gathered))
    text.detach()


def cell(value: Any) -> str:
    """A value as a cell of a table of text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(str(part) for part in value)
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    return str(value).lower() if isinstance(value, bool) else str(value)
