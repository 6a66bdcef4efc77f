"""What a data set folder is filled with: tokenizer, byte tables, packed rows.

It takes a corpus and an empty folder and writes files into it. Where the folder is, under which key, and when
it counts as finished is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.corpus import BYTES_PER_TOKEN, Corpus
from harness.encoders import Encoders
from harness.packing import Ids, Packed, pack
from harness.spec import HarnessError
from harness.tokenizer import bos_id, load_bpe, token_bytes, train_bpe

LEAST_TRAIN_ROWS = 8
TOKENIZER = "tokenizer.json"
REPORT_CHARS = 500_000  # of text between two reports: a report may cross to another process

Report = Callable[[str, float], None]
Rows = Callable[[Iterable[Ids], str, int | None], Packed]  # documents, file, most rows


def fill(
    folder: Path,
    corpus: Corpus,
    *,
    sequence_length: int,
    vocabulary: int,
    eval_tokens: int,
    sealed_tokens: int,
    tokenizer_mb: int,
    progress: Report,
) -> dict[str, Any]:
    """Write tokenizer.json, the byte tables and all rows; return what the manifest says of them.

    Raises HarnessError when the text is too little, OSError when the disk is full.
    """
    bos = _tokenizer(folder, corpus, vocabulary, tokenizer_mb, stage(progress, 0.0, 0.3))
    total = corpus.approximate_bytes
    with Encoders(folder / TOKENIZER, total) as encoders:

        def rows(documents: Iterable[Ids], name: str, most: int | None) -> Packed:
            return pack(
                documents,
                sequence_length,
                folder / name,
                long_documents=corpus.long_documents,
                max_rows=most,
            )

        progress("Packing validation rows", 0.3)
        most = tuple(max(1, tokens // sequence_length) for tokens in (eval_tokens, sealed_tokens))
        val, sealed = _validation(corpus, encoders, rows, most, sequence_length)
        _require(val, 1, "validation", corpus)
        _require(sealed, 1, "sealed validation", corpus)
        watched = _watched(corpus.train_documents(), total, stage(progress, 0.35, 1.0))
        train = rows(encoders.encode(watched), "train.bin", None)
        _require(train, LEAST_TRAIN_ROWS, "training", corpus)
        packed = {"train.bin": train, "val.bin": val, "sealed.bin": sealed}
    return {
        "bos_id": bos,
        "train_rows": train.rows,
        "val_rows": val.rows,
        "sealed_rows": sealed.rows,
        "train_documents": train.documents,
        "private": list(corpus.private),
        "files": _facts(folder, {name: file.sha256 for name, file in packed.items()}),
    }


def write_file(file: Path, data: bytes) -> None:
    """Write `data` and bring it to the disk."""
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def sha256_of(file: Path) -> str:
    """Hex digest of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def stage(report: Report, start: float, end: float) -> Report:
    """A report of one stage, 0…1, as its share of the whole."""
    return lambda message, done: report(message, start + (end - start) * min(1.0, max(0.0, done)))


# ---- private ---------------------------------------------------------------------------------------------


def _tokenizer(
    folder: Path, corpus: Corpus, vocabulary: int, megabytes: int, report: Report
) -> int:
    """Train it and write what belongs to it; return the id of BOS."""
    report("Training the tokenizer", 0.0)
    tokenizer_json = train_bpe(_sample(corpus, megabytes * 1_000_000, report), vocabulary)
    write_file(folder / TOKENIZER, tokenizer_json.encode())
    kinds: tuple[Literal["raw", "upstream"], ...] = ("raw", "upstream")
    for kind in kinds:
        table = io.BytesIO()
        np.save(table, token_bytes(tokenizer_json, kind))
        write_file(folder / f"token_bytes_{kind}.npy", table.getvalue())
    return bos_id(load_bpe(tokenizer_json))


def _validation(
    corpus: Corpus, encoders: Encoders, rows: Rows, most: tuple[int, ...], sequence_length: int
) -> tuple[Packed, Packed]:
    """Pack val.bin as if nothing followed it, and sealed.bin from documents that val.bin did not even look at.

    Where they fill less than half of sealed.bin, all documents are shared out anew, a third of the text to it.
    `most`: rows of the one and of the other.
    """
    ids = encoders.encode(corpus.val_documents())  # one stream, which val.bin leaves where it stops
    val, sealed = rows(ids, "val.bin", most[0]), rows(ids, "sealed.bin", most[1])
    if 2 * sealed.rows >= most[1]:
        return val, sealed
    away = _third(corpus, sequence_length)
    kept = [not taken for taken in away]
    return (
        rows(encoders.encode(compress(corpus.val_documents(), kept)), "val.bin", most[0]),
        rows(encoders.encode(compress(corpus.val_documents(), away)), "sealed.bin", most[1]),
    )


def _third(corpus: Corpus, sequence_length: int) -> list[bool]:
    """Which validation documents to seal: about a third of the text that rows can hold, largest documents first."""
    # Of a document that is cropped, what one row cannot hold is worth nothing.
    crop = corpus.long_documents == "crop"
    largest = sequence_length * BYTES_PER_TOKEN if crop else sys.maxsize
    sizes = [min(len(text), largest) for text in corpus.val_documents()]
    away = [False] * len(sizes)
    kept = taken = 0
    for at in sorted(range(len(sizes)), key=lambda at: -sizes[at]):
        away[at] = 2 * taken < kept
        if away[at]:
            taken += sizes[at]
        else:
            kept += sizes[at]
    return away


def _facts(folder: Path, known: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Size and hash of every file; the hashes of the row files were taken while they were written."""
    return {
        file.name: {
            "bytes": file.stat().st_size,
            "sha256": known.get(file.name) or sha256_of(file),
        }
        for file in sorted(folder.iterdir())
    }


def _sample(corpus: Corpus, limit: int, report: Report) -> Iterator[str]:
    """Training documents of about `limit` characters, evenly from all over the corpus."""
    total = corpus.approximate_bytes
    stride = max(1, total // limit)
    taken = 0
    for text in islice(corpus.train_documents(), 0, None, stride):
        taken += len(text)
        report("Training the tokenizer", taken / min(limit, total))
        yield text
        if taken >= limit:
            return


def _watched(documents: Iterable[str], total: int, report: Report) -> Iterator[str]:
    done = told = 0
    for text in documents:
        yield text
        done += len(text)
        if done >= told:
            report(
                f"Packing training rows: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", done / total
            )
            told = done + REPORT_CHARS


def _require(packed: Packed, least: int, kind: str, corpus: Corpus) -> None:
    if packed.rows < least:
        raise HarnessError(
            f"The text of {corpus.name} gives {packed.rows} {kind} rows of {packed.row_tokens - 1:,} tokens, and "
            f"at least {least} are needed; add text or lower [data] sequence_length."
        )
