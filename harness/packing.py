"""Rows on disk: documents packed into rows of T + 1 tokens, each row beginning with BOS, none padded.

The rule is the ancestor's loader: from a buffer of documents take the longest that still fits; when none fits,
the shortest is cropped to fill the row. It runs once, when the data is prepared; training only reads rows.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.uint16]

BUFFER = 1000  # documents to choose from, as in the ancestor
BLOCK_BYTES = 4 << 20  # written at once


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written: `rows` rows of `row_tokens` uint16, and the SHA-256 of the file."""

    rows: int
    row_tokens: int
    documents: int
    sha256: str


def pack(
    documents: Iterable[Ids],
    sequence_length: int,
    out: Path,
    *,
    long_documents: Literal["crop", "split"] = "crop",
    max_rows: int | None = None,
) -> Packed:
    """Write `documents` (ids that begin with BOS) to `out` as rows of `sequence_length + 1` uint16.

    The same documents give the same file. A document longer than a row is cropped, as in the ancestor, or with
    `split` cut into pieces that each get a BOS. A last row that cannot be filled is left out. OSError (a full
    disk) is passed on.
    """
    width = sequence_length + 1
    counted = _Counted(documents)
    pieces = split_long(counted, width) if long_documents == "split" else iter(counted)
    block = np.empty((max(1, BLOCK_BYTES // (2 * width)), width), dtype=np.uint16)
    digest = hashlib.sha256()
    rows = filled = 0
    with out.open("wb") as file:
        for row in best_fit(pieces, width):
            if rows == max_rows:
                break
            np.concatenate(row, out=block[filled])
            rows, filled = rows + 1, filled + 1
            if filled == len(block):
                file.write(block.data)
                digest.update(block.data)
                filled = 0
        rest = block[:filled].tobytes()
        file.write(rest)
        digest.update(rest)
        file.flush()
        os.fsync(file.fileno())
    return Packed(rows, width, counted.number, digest.hexdigest())


def best_fit(documents: Iterator[Ids], width: int, buffer: int = BUFFER) -> Iterator[list[Ids]]:
    """Yield the parts of one full row after another, `width` tokens in all, each part beginning with BOS.

    Of documents of equal length the one that came first is taken.
    """
    pool = _Pool()
    while True:
        row: list[Ids] = []
        space = width
        while space:
            while len(pool) < buffer and (document := next(documents, None)) is not None:
                pool.add(document)
            if not len(pool):
                return
            part = pool.take(space)
            row.append(part)
            space -= len(part)
        yield row


def split_long(documents: Iterable[Ids], width: int) -> Iterator[Ids]:
    """Cut documents longer than `width` into pieces of at most `width` tokens, each beginning with BOS."""
    for document in documents:
        if len(document) <= width:
            yield document
            continue
        bos, text = document[:1], document[1:]
        for start in range(0, len(text), width - 1):
            yield np.concatenate((bos, text[start : start + width - 1]))


# ---- private ---------------------------------------------------------------------------------------------


class _Pool:
    """Documents by length: the longest that fits, or the shortest, in O(log n) comparisons."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int]] = []  # (length, minus order of arrival), sorted
        self._documents: dict[int, Ids] = {}  # by minus order of arrival
        self._next = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, document: Ids) -> None:
        self._next -= 1
        insort(self._keys, (len(document), self._next))
        self._documents[self._next] = document

    def take(self, space: int) -> Ids:
        """Remove and return the longest document of at most `space` tokens, else the head of the shortest."""
        at = bisect_left(self._keys, (space + 1,)) - 1
        if at < 0:  # nothing fits: the first come among the shortest
            at = bisect_right(self._keys, (self._keys[0][0], 0)) - 1
        _, order = self._keys.pop(at)
        return self._documents.pop(order)[:space]


class _Counted:
    """Counts the documents that pass."""

    def __init__(self, documents: Iterable[Ids]) -> None:
        self._documents = documents
        self.number = 0

    def __iter__(self) -> Iterator[Ids]:
        for document in self._documents:
            self.number += 1
            yield document
