"""The rows of every table of a run, in batches, and all of them as JSON Lines.

A batch is a few thousand rows at most, fewer where they hold long texts, so that no table has to fit into memory. Texts leave
without credentials.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.export.columns import Column
from evolve.export.tables import TABLES, VERSION, Table
from evolve.provenance import scrubber

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

BATCH = 8192  # rows
HEAVY_BATCH = 128  # rows of a table with long texts
FORMAT = "autoresearch data"
_LISTS = frozenset({"ints", "floats", "texts"})
_TEXTS = frozenset({"text", "blob", "json", "texts"})
Row = tuple[Any, ...]


def batches(gathered: Gathered, table: Table) -> Iterator[list[Row]]:
    """The rows of one table in order, by the columns of `Table.columns`.

    Cells are what JSON has: numbers, booleans, strings, None, lists; instants are unix seconds, JSON stays text.
    """
    convert = [_converter(column, gathered) for column in table.stored]
    derive = _derived(gathered) if table.name == "candidates" else None
    size = HEAVY_BATCH if table.heavy else BATCH
    for found in gathered.journal.each_batch(table, size):
        rows = found
        if any(convert):
            rows = [
                tuple(c if to is None else to(c) for c, to in zip(row, convert, strict=True))
                for row in found
            ]
        if derive is not None:
            rows = [(*row, *derive(row[0])) for row in rows]
        if gathered.selection.chooses:
            rows = _selected(gathered, table, rows)
        if rows:
            yield rows


def complete(gathered: Gathered) -> bool:
    """Is all of the run in it, so that it can be imported?"""
    return not gathered.selection.chooses


def write_jsonl(gathered: Gathered, file: BinaryIO) -> None:
    """A line that says what it is, then a JSON array for every row: the table's name and the cells in its columns' order."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "run": gathered.run.name,
        "complete": complete(gathered),
        "tables": {
            table.name: {column.name: column.type for column in table.columns} for table in TABLES
        },
    }
    file.write(json_line(head))
    for table in TABLES:
        for rows in batches(gathered, table):
            file.write(b"".join(json_line([table.name, *map(_plain, row)]) for row in rows))


def json_line(value: object) -> bytes:
    """One value as a line of JSON; what UTF-8 cannot hold (half a surrogate pair) is escaped, so nothing is lost."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


# ---- private -------------------------------------------------------------------------------------------------


def _plain(cell: Any) -> Any:
    """JSON has no infinity; as a word it can be read back."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return "inf" if cell > 0 else "-inf"
    return cell


def _converter(column: Column, gathered: Gathered) -> Callable[[Any], Any] | None:
    if column.kind == "bool":
        return bool
    if column.kind in _LISTS:
        return json.loads
    if column.kind in _TEXTS:
        scrub = scrubber(gathered.journal)
        return lambda cell: cell if cell is None else scrub(cell)
    return None


def _derived(gathered: Gathered) -> Callable[[int], Row]:
    """What is computed of a candidate, by its number, in the order of the derived columns."""

    def of(number: int) -> Row:
        candidate, belief = gathered.candidate(number), gathered.beliefs.get(number)
        believed = (None, None, None) if belief is None else (belief.mean, belief.sd, belief.better)
        is_main = number == gathered.run.incumbent
        return is_main, candidate.mean, candidate.mean_fitness, *believed

    return of


def _selected(gathered: Gathered, table: Table, rows: Sequence[Row]) -> list[Row]:
    """The rows that belong to the candidates chosen, and of others those that are not too old."""
    names = [column.name for column in table.columns]
    kept = list(rows)
    if table.name == "candidates":
        return [row for row in kept if row[0] in gathered.numbers]
    if table.name == "curves":
        return [row for row in kept if row[0] in gathered.trained]
    if "candidate" in names:
        at = names.index("candidate")
        kept = [row for row in kept if row[at] is None or row[at] in gathered.numbers]
    if "time" in names and table.name != "prompts" and gathered.selection.time is not None:
        at = names.index("time")
        kept = [row for row in kept if row[at] >= gathered.selection.time]
    return kept
