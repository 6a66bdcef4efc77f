"""The file formats that text is read from: parquet with a `text` column, jsonl, plain text.

Each reader streams one file as documents and turns damage into one sentence that names the file, and the line
where there is one. Which files are read, and what their documents are for, is decided elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from harness.spec import HarnessError

TEXT_SUFFIXES = (".txt", ".md")
SUFFIXES = (".parquet", ".jsonl", *TEXT_SUFFIXES)
PIECE_CHARS = 16_384  # a text file has no inner documents: it is cut about there, at a line's end


def read_documents(file: Path) -> Iterator[str]:
    """Yield the documents of a file of one of `SUFFIXES`, in order; none is empty.

    Raises HarnessError where the file is damaged.
    """
    if file.suffix == ".parquet":
        return read_parquet(file)
    return read_jsonl(file) if file.suffix == ".jsonl" else read_text(file)


def read_parquet(file: Path) -> Iterator[str]:
    """Yield the `text` column of a parquet file, in order, without nulls and empty strings."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            column = (
                table.schema_arrow.field("text") if "text" in table.schema_arrow.names else None
            )
            if column is None or not _is_string(column.type):
                raise HarnessError(
                    f"{file} has no column “text” of strings; rename the column that holds it."
                )
            for batch in table.iter_batches(batch_size=256, columns=["text"]):
                yield from (text for text in batch.column(0).to_pylist() if text)
    except (pyarrow.ArrowException, OSError) as error:
        raise HarnessError(
            f"{file} is not a whole parquet file ({_first_line(error)}); delete it or replace it."
        ) from error


def read_jsonl(file: Path) -> Iterator[str]:
    """Yield the field `text` of every line; an error names the line."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise HarnessError(
                    f"{file}:{number}: not valid JSON ({error}); mend that line."
                ) from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise HarnessError(
                    f"{file}:{number}: a line must be an object with a string “text”."
                )
            if record["text"]:
                # JSON can spell half a surrogate pair, which is no text: it becomes a question mark
                yield record["text"].encode("utf-8", "replace").decode()


def read_text(file: Path) -> Iterator[str]:
    """Yield a text file as documents of about `PIECE_CHARS` characters that end at a line's end."""
    piece: list[str] = []
    held = 0
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            for line in lines:
                piece.append(line)
                held += len(line)
                if held >= PIECE_CHARS:
                    yield "".join(piece)
                    piece, held = [], 0
    except UnicodeDecodeError as error:
        raise HarnessError(
            f"{file} is not UTF-8 text ({error.reason}); convert or remove it."
        ) from error
    if piece:
        yield "".join(piece)


def text_bytes(file: Path) -> int:
    """Bytes of text in a file, without reading it all."""
    if file.suffix != ".parquet":
        return file.stat().st_size
    import pyarrow
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_metadata(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise HarnessError(
            f"{file} is not a whole parquet file ({_first_line(error)}); delete it or replace it."
        ) from error
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _is_string(kind: object) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
