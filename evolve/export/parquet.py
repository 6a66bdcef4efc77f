"""Tables as Parquet: typed, with units and meanings in the fields' metadata, compressed with zstd.

Instants are timestamps in UTC, to the nanosecond: microseconds would not give back the number that the journal holds. Words are
dictionaries. Written row group by row group.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from evolve.export.columns import Column
from evolve.export.data import FORMAT, batches, complete
from evolve.export.results import COLUMNS, records
from evolve.export.tables import TABLES, VERSION

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_PLAIN = {
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "time": pa.timestamp("ns", tz="UTC"),
    "word": pa.dictionary(pa.int32(), pa.string()),
    "text": pa.string(),
    "blob": pa.string(),
    "json": pa.string(),
    "ints": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float64()),
    "texts": pa.list_(pa.string()),
}
_LEVEL = 3  # of zstd: higher ones take several times as long for a tenth
_BATCH = 8192


def write_results(gathered: Gathered, file: BinaryIO) -> None:
    """The wide table of candidates as one file."""
    columns = [column for column, _ in COLUMNS]
    with _writer(gathered, "results", "every candidate", columns, file) as out:
        for rows in _chunks(tuple(record.values()) for record in records(gathered)):
            out.write_batch(_batch(columns, rows, out.schema))


def write_folder(gathered: Gathered, folder: Path) -> None:
    """A file for each table, and manifest.json, which says what they are."""
    counts: dict[str, int] = {}
    for table in TABLES:
        counts[table.name] = 0
        with (
            (folder / f"{table.name}.parquet").open("wb") as file,
            _writer(gathered, table.name, table.about, table.columns, file) as out,
        ):
            for rows in batches(gathered, table):
                counts[table.name] += len(rows)
                out.write_batch(_batch(table.columns, rows, out.schema))
    told = {
        "format": FORMAT,
        "version": VERSION,
        "run": gathered.run.name,
        "complete": complete(gathered),
        "rows": counts,
    }
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def nanoseconds(seconds: float) -> int:
    """Unix seconds as nanoseconds, so that `seconds_of` gives back the very same number."""
    whole = int(seconds // 1)
    return whole * 1_000_000_000 + round((seconds - whole) * 1e9)


def seconds_of(nanos: int) -> float:
    """Nanoseconds as unix seconds."""
    whole, rest = divmod(nanos, 1_000_000_000)
    return whole + rest / 1e9


# ---- private -------------------------------------------------------------------------------------------------


def _writer(
    gathered: Gathered, name: str, about: str, columns: Sequence[Column], file: BinaryIO
) -> pq.ParquetWriter:
    told = {
        "autoresearch.format": FORMAT,
        "autoresearch.version": str(VERSION),
        "autoresearch.table": name,
        "autoresearch.about": about,
        "autoresearch.run": gathered.run.name,
        "autoresearch.complete": str(complete(gathered)).lower(),
        "autoresearch.selection": str(gathered.selection),
    }
    schema = pa.schema([_field(column) for column in columns], metadata=told)
    return pq.ParquetWriter(file, schema, compression="zstd", compression_level=_LEVEL)


def _field(column: Column) -> pa.Field:
    told = {"description": column.about}
    unit = "" if column.kind == "time" else column.unit
    if unit:
        told["unit"] = unit
    return pa.field(column.name, _PLAIN[column.kind], nullable=column.nullable, metadata=told)


def _batch(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]], schema: Any) -> Any:
    arrays = [
        pa.array(_cells(column, cells), type=field.type)
        for column, cells, field in zip(columns, zip(*rows, strict=True), schema, strict=True)
    ]
    return pa.record_batch(arrays, schema=schema)


def _cells(column: Column, cells: Sequence[Any]) -> Sequence[Any]:
    if column.kind == "time":
        return [None if cell is None else nanoseconds(cell) for cell in cells]
    if column.kind == "texts":
        return [[text.encode("utf-8", "replace").decode() for text in cell] for cell in cells]
    return cells


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    kept: list[tuple[Any, ...]] = []
    for row in rows:
        kept.append(row)
        if len(kept) == _BATCH:
            yield kept
            kept = []
    if kept:
        yield kept
