"""Rows of an exported run, read from its files and doubted: every cell is of its column's type, or it is said which one is not.

What somebody sent is data and nothing more: no name in it becomes a path. It writes nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evolve.export.columns import Column
from evolve.export.data import FORMAT
from evolve.export.tables import TABLES, VERSION, Table
from evolve.model import EvolveError, UsageError
from evolve.rows import as_json

Row = tuple[Any, ...]
LONGEST = 64 << 20  # characters of a text
_LINE = 256 << 20  # bytes of a line of JSON
_MOST = 2**63  # beyond it the journal has no whole numbers
_BATCH = 2048


class Damaged(Exception):
    """Why what is to be imported is no run, as the end of a sentence."""


def rows_of(place: Path) -> Iterator[tuple[Table, Row]]:
    """The rows of an export of `data`: a folder of Parquet files (or one that has it as `data`), or a `.jsonl` file.

    Raises UsageError where there is none, EvolveError where it is damaged, incomplete or from a newer version.
    """
    if place.is_dir():
        folder = next((f for f in (place, place / "data") if (f / "manifest.json").is_file()), None)
        if folder is None:
            raise UsageError(
                f"{place} is no export that can be imported; it takes a folder that `autoresearch export data` or "
                "`export all` has made, a .jsonl file of `export data`, or the ancestor's results.tsv."
            )
        return _of_folder(folder)
    if place.is_file():
        return _of_lines(place)
    raise UsageError(f"{place} does not exist; name an export of `data`, or a results.tsv.")


def checked(table: Table, row: Row) -> dict[str, Any]:
    """Cells of the columns that the journal has, as it holds them, by the column's name. Raises Damaged."""
    if len(row) != len(table.columns):
        raise Damaged(f"a row of {table.name} has {len(row)} cells instead of {len(table.columns)}")
    cells = {}
    for column, cell in zip(table.columns, row, strict=True):
        if column.derived:
            continue
        try:
            cells[column.name] = _checked(column, cell)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Damaged(f"{column.name} of a row of {table.name} is not {column.type} ({str(error)[:80]})") from None  # fmt: skip
    return cells


# ---- private -------------------------------------------------------------------------------------------------


def _checked(column: Column, cell: Any) -> Any:
    if cell is None:
        if column.nullable:
            return None
        raise TypeError("it is empty")
    match column.kind:
        case "bool":
            return int(_a(bool, cell))
        case "int":
            return _whole(cell)
        case "float" | "time":
            return _number(cell)
        case "ints":
            return as_json([_whole(one) for one in _a(list, cell)])
        case "floats":
            return as_json([_number(one, finite=True) for one in _a(list, cell)])
        case "texts":
            return as_json([_text(one) for one in _a(list, cell)])
        case "json":
            text = _text(cell)
            if text:
                _a(dict, json.loads(text))
            elif column.name not in ("audit", "pruning", "brief"):
                raise ValueError("it is empty")
            return text
        case _:
            return _text(cell)


def _a(kind: type, cell: Any) -> Any:
    if not isinstance(cell, kind):
        raise TypeError(f"a {type(cell).__name__}")
    return cell


def _whole(cell: Any) -> int:
    if isinstance(cell, bool) or not isinstance(cell, int) or not -_MOST <= cell < _MOST:
        raise TypeError("no whole number")
    return cell


def _number(cell: Any, *, finite: bool = False) -> float:
    if cell in ("inf", "-inf") and not finite:
        return float(cell)
    if isinstance(cell, bool) or not isinstance(cell, (int, float)) or math.isnan(cell):
        raise TypeError("no number")
    if finite and math.isinf(cell):
        raise TypeError("no finite number")
    return float(cell)


def _text(cell: Any) -> str:
    text: str = _a(str, cell)
    if len(text) > LONGEST:
        raise ValueError("too long")
    text.encode()  # half a surrogate pair has no place in a journal
    return text


def _head(told: Any, place: Path) -> None:
    """Is it one of ours, complete, and of a version that is known?"""
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise EvolveError(f"{place} is no export of `data`.")
    if told.get("version") != VERSION:
        raise EvolveError(f"{place} was written by another version of autoresearch; update this one.")  # fmt: skip
    if told.get("complete") is not True:
        raise EvolveError(f"{place} holds only a part of a run; export it without --since, --kept-only and --category.")  # fmt: skip


def _of_lines(place: Path) -> Iterator[tuple[Table, Row]]:
    tables = {table.name: table for table in TABLES}
    try:
        with place.open("rb") as file:
            _head(json.loads(file.readline(_LINE) or b"null"), place)
            while line := file.readline(_LINE):
                name, *row = json.loads(line)
                yield tables[name], tuple(row)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EvolveError(f"{place} is damaged, or no export of `data`.") from None


def _of_folder(folder: Path) -> Iterator[tuple[Table, Row]]:
    import pyarrow as pa

    manifest = folder / "manifest.json"
    try:
        _head(json.loads(manifest.read_bytes()), manifest)
        for table in TABLES:
            yield from (
                (table, row) for row in _of_parquet(folder / f"{table.name}.parquet", table)
            )
    except FileNotFoundError as error:
        raise EvolveError(f"{error.filename} is missing; export the run again.") from None
    except (ValueError, pa.ArrowException) as error:
        raise EvolveError(f"{folder} is damaged ({str(error)[:120]}).") from None


def _of_parquet(path: Path, table: Table) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from evolve.export.parquet import seconds_of

    with path.open("rb") as file:
        opened = pq.ParquetFile(file)
        names = opened.schema_arrow.names
        if names != [column.name for column in table.columns]:
            raise Damaged(f"the columns of {path.name} are not those of {table.name}")
        for batch in opened.iter_batches(_BATCH):
            columns = []
            for column, array in zip(table.columns, batch.columns, strict=True):
                if column.kind == "time":
                    if not pa.types.is_timestamp(array.type):
                        raise Damaged(f"{column.name} of {path.name} is no timestamp")
                    whole = array.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()).to_pylist()
                    columns.append([None if t is None else seconds_of(t) for t in whole])
                else:
                    columns.append(array.to_pylist())
            yield from zip(*columns, strict=True)
