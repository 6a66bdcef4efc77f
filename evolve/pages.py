"""Rows read off the pages of a SQLite file without SQLite: what still stands in a file that it refuses.

Every page that looks like a leaf of a table is read for itself, wherever the tree that led to it is broken; pages of the
write-ahead log come first where their checksums are right. The format: https://www.sqlite.org/fileformat2.html. What a row
means, and whether it is one, is `salvage`'s to say. It only reads, and believes nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Value = int | float | str | bytes | None
TABLE, PLAIN = (
    0x0D,
    0x0A,
)  # leaves of tables with a rowid; leaves of indices, and of tables without one
INNER = 0x02  # of the latter: its cells are rows too
_HEADER = b"SQLite format 3\0"
_WAL = (0x377F0682, 0x377F0683)
_MANY = 200  # columns: more than any table has
_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _Torn(ValueError):
    """These bytes are no row."""


@dataclass(frozen=True, slots=True)
class Found:
    """One record on one page."""

    rowid: int | None  # None in tables without one
    values: tuple[Value, ...]


class Pages:
    """The pages of one database file, with its write-ahead log if there is one."""

    def __init__(self, path: Path) -> None:
        """`path`: the file; the log is looked for beside it. Raises OSError when it cannot be read."""
        self._bytes = path.read_bytes()
        log = path.with_name(f"{path.name}-wal")
        wal = log.read_bytes() if log.exists() else b""
        self.size = _page_size(self._bytes, wal)
        self._newer = dict(_committed(wal, self.size))
        self._usable = self.size - (self._bytes[20] if self._bytes[:16] == _HEADER else 0)

    def __len__(self) -> int:
        return max([-(-len(self._bytes) // self.size), *self._newer])

    def page(self, number: int) -> bytes:
        """Page `number`, from 1 on; short or empty where the file ends."""
        if number in self._newer:
            return self._newer[number]
        return self._bytes[(number - 1) * self.size : number * self.size]

    def records(self, *, plain: bool) -> Iterator[Found]:
        """Every record of a table that can be read on any page; `plain`: those without a rowid and of indices too."""
        kinds = (TABLE, PLAIN, INNER) if plain else (TABLE,)
        for number in range(1, len(self) + 1):
            page = self.page(number)
            start = 100 if number == 1 else 0
            if len(page) == self.size and page[start] in kinds:
                yield from self._on(page, start)

    # ---- one page --------------------------------------------------------------------------------------------

    def _on(self, page: bytes, start: int) -> Iterator[Found]:
        kind = page[start]
        (cells,) = struct.unpack_from(">H", page, start + 3)
        first = start + (12 if kind == INNER else 8)
        for index in range(min(cells, (self.size - first) // 2)):
            (at,) = struct.unpack_from(">H", page, first + 2 * index)
            try:
                yield self._cell(page, at, kind)
            except (_Torn, IndexError, struct.error, UnicodeDecodeError):
                continue

    def _cell(self, page: bytes, at: int, kind: int) -> Found:
        if kind == INNER:
            at += 4  # the page to its left
        length, at = _varint(page, at)
        rowid = None
        if kind == TABLE:
            rowid, at = _varint(page, at)
        return Found(rowid, _record(self._payload(page, at, length, kind)))

    def _payload(self, page: bytes, at: int, length: int, kind: int) -> bytes:
        """The bytes of a record, those on overflow pages included."""
        usable = self._usable
        if not 0 < length <= len(self) * self.size:
            raise _Torn
        most = usable - 35 if kind == TABLE else (usable - 12) * 64 // 255 - 23
        if length <= most:
            return _exactly(page, at, length)
        least = (usable - 12) * 32 // 255 - 23
        here = least + (length - least) % (usable - 4)
        here = here if here <= most else least
        parts = [_exactly(page, at, here)]
        (following,) = struct.unpack_from(">I", page, at + here)
        missing = length - here
        while missing:
            more = self.page(following) if following else b""
            taken = min(missing, usable - 4)
            parts.append(_exactly(more, 4, taken))
            (following,) = struct.unpack_from(">I", more, 0)
            missing -= taken
        return b"".join(parts)


# ---- bytes -------------------------------------------------------------------------------------------------


def _exactly(data: bytes, at: int, length: int) -> bytes:
    found = data[at : at + length]
    if len(found) != length:
        raise _Torn
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64 if value >> 63 else 0), at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    header, at = _varint(payload, 0)
    kinds: list[int] = []
    while at < header and len(kinds) < _MANY:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != header:
        raise _Torn
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise _Torn
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in _SIZES:
        size = _SIZES[kind]
        return int.from_bytes(_exactly(payload, at, size), signed=True), at + size
    if kind == 7:
        return struct.unpack(">d", _exactly(payload, at, 8))[0], at + 8
    if kind in (8, 9):
        return kind - 8, at
    if kind < 12:
        raise _Torn
    size = (kind - 12) // 2
    content = _exactly(payload, at, size)
    return content.decode() if kind % 2 else content, at + size


# ---- the file and its log ------------------------------------------------------------------------------------


def _page_size(data: bytes, wal: bytes) -> int:
    """The size of a page by the file's header, by its log's, or SQLite's usual one."""
    stated = int.from_bytes(data[16:18]) if data[:16] == _HEADER else 0
    logged = int.from_bytes(wal[8:12]) if len(wal) >= 32 else 0
    for size in (65536 if stated == 1 else stated, logged):
        if 512 <= size <= 65536 and not size & (size - 1):
            return size
    return 4096


def _committed(wal: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """(number, page) of every page of whole transactions in the log, in their order."""
    if len(wal) < 32 or int.from_bytes(wal[:4]) not in _WAL:
        return
    big = wal[3] & 1
    salts, sums = wal[16:24], _sums(wal[:24], (0, 0), big)
    waiting: list[tuple[int, bytes]] = []
    for at in range(32, len(wal) - size - 23, size + 24):
        head, page = wal[at : at + 24], wal[at + 24 : at + 24 + size]
        sums = _sums(page, _sums(head[:8], sums, big), big)
        if head[8:16] != salts or struct.unpack(">II", head[16:24]) != sums:
            return
        waiting.append((int.from_bytes(head[:4]), page))
        if head[4:8] != b"\0\0\0\0":  # the last page of a transaction
            yield from waiting
            waiting = []


def _sums(data: bytes, before: tuple[int, int], big: int) -> tuple[int, int]:
    first, second = before
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        first = (first + words[index] + second) & 0xFFFFFFFF
        second = (second + words[index + 1] + first) & 0xFFFFFFFF
    return first, second
