"""Rows are full, begin with BOS, and are chosen by the ancestor's best-fit rule."""

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.packing import Ids, best_fit, pack, split_long

BOS = 0
T = 16


def make_documents(count: int, longest: int, seed: int = 1) -> list[Ids]:
    """Documents that begin with BOS; every other token is unique, as far as uint16 goes."""
    generator = np.random.default_rng(seed)
    documents, following = [], 1
    for length in generator.integers(1, longest, count):
        body = np.arange(following, following + length, dtype=np.int64) % 65_535 + 1
        documents.append(np.concatenate(([BOS], body)).astype(np.uint16))
        following += int(length)
    return documents


def packed_rows(documents: list[Ids], out: Path, **options: Any) -> np.ndarray:
    packed = pack(documents, T, out, **options)
    rows = np.fromfile(out, dtype=np.uint16).reshape(packed.rows, T + 1)
    assert packed.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    return rows


def as_the_ancestor_packs(documents: list[Ids], width: int, buffer: int) -> list[list[int]]:
    """The rule in its plainest form, with a scan of the whole buffer for every choice."""
    waiting, pool, rows = list(documents), [], []
    while True:
        row: list[int] = []
        while len(row) < width:
            while len(pool) < buffer and waiting:
                pool.append(waiting.pop(0))
            if not pool:
                return rows
            space = width - len(row)
            fitting = [d for d in pool if len(d) <= space]
            chosen = max(fitting, key=len) if fitting else min(pool, key=len)
            pool = [d for d in pool if d is not chosen]
            row += chosen[:space].tolist()
        rows.append(row)


@pytest.mark.parametrize("longest", [6, 30, 80])
def test_rows_are_those_of_the_ancestors_rule(longest: int) -> None:
    documents = make_documents(400, longest)
    fast = [np.concatenate(row).tolist() for row in best_fit(iter(documents), T + 1, buffer=50)]
    assert fast == as_the_ancestor_packs(documents, T + 1, buffer=50)


@pytest.mark.parametrize("long_documents", ["crop", "split"])
def test_every_row_is_full_and_begins_with_bos(tmp_path: Path, long_documents: str) -> None:
    rows = packed_rows(make_documents(500, 60), tmp_path / "rows", long_documents=long_documents)
    assert len(rows) > 400
    assert (rows[:, 0] == BOS).all()


def test_short_documents_lose_only_what_is_cropped_at_the_end_of_a_row(tmp_path: Path) -> None:
    documents = make_documents(2000, 8)
    rows = packed_rows(documents, tmp_path / "rows")
    assert rows.size > 0.97 * sum(map(len, documents))


def test_split_keeps_the_text_of_long_documents(tmp_path: Path) -> None:
    document = np.concatenate(([BOS], np.arange(1, 1001))).astype(np.uint16)
    pieces = list(split_long([document], T + 1))
    assert max(map(len, pieces)) == T + 1
    assert all(piece[0] == BOS for piece in pieces)
    assert np.concatenate([piece[1:] for piece in pieces]).tolist() == list(range(1, 1001))


def test_the_same_documents_give_the_same_file(tmp_path: Path) -> None:
    first, second = (
        pack(make_documents(300, 40), T, tmp_path / name) for name in ("first", "second")
    )
    assert first == second
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_it_stops_at_the_rows_asked_for_and_reads_no_further_than_it_must(tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[Ids]:
        nonlocal taken
        while True:
            taken += 1
            yield np.zeros(T + 1, dtype=np.uint16)

    assert pack(endless(), T, tmp_path / "rows", max_rows=7).rows == 7
    assert (tmp_path / "rows").stat().st_size == 7 * (T + 1) * 2
    assert taken < 2000


def test_too_little_text_for_a_row_gives_none(tmp_path: Path) -> None:
    assert pack(make_documents(1, 3), T, tmp_path / "rows").rows == 0


def test_a_full_disk_is_passed_on() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        pack(make_documents(300, 40), T, Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC
