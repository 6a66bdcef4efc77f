"""What a data set folder is filled with: tokenizer, byte tables, packed rows.

It takes a corpus and an empty folder and writes files into it. Where the folder is, under which key, and when
it counts as finished is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.corpus import Corpus
from harness.encoders import Encoders
from harness.packing import Packed, pack
from harness.spec import HarnessError
from harness.tokenizer import bos_id, load_bpe, token_bytes, train_bpe

LEAST_TRAIN_ROWS = 8
TOKENIZER = "tokenizer.json"
REPORT_CHARS = 500_000  # of text between two reports: a report may cross to another process

Report = Callable[[str, float], None]


def fill(
    folder: Path,
    corpus: Corpus,
    *,
    sequence_length: int,
    vocabulary: int,
    eval_tokens: int,
    tokenizer_mb: int,
    progress: Report,
) -> dict[str, Any]:
    """Write tokenizer.json, the byte tables, val.bin and train.bin; return what the manifest says of them.

    Raises HarnessError when the text is too little, OSError when the disk is full.
    """
    bos = _tokenizer(folder, corpus, vocabulary, tokenizer_mb, stage(progress, 0.0, 0.3))
    total = corpus.approximate_bytes
    with Encoders(folder / TOKENIZER, total) as encoders:

        def rows(documents: Iterable[str], name: str, most: int | None) -> Packed:
            return pack(
                encoders.encode(documents),
                sequence_length,
                folder / name,
                long_documents=corpus.long_documents,
                max_rows=most,
            )

        progress("Packing validation rows", 0.3)
        val = rows(corpus.val_documents(), "val.bin", max(1, eval_tokens // sequence_length))
        _require(val, 1, "validation", corpus)
        watched = _watched(corpus.train_documents(), total, stage(progress, 0.35, 1.0))
        train = rows(watched, "train.bin", None)
        _require(train, LEAST_TRAIN_ROWS, "training", corpus)
    return {
        "bos_id": bos,
        "train_rows": train.rows,
        "val_rows": val.rows,
        "train_documents": train.documents,
        "files": _facts(folder, {"train.bin": train.sha256, "val.bin": val.sha256}),
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
