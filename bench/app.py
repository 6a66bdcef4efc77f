"""What the app costs the person at the keys, and the machine, in a pseudo terminal: start, bytes, processor, memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.tui import many
from tests.tui.measuring import Start, journal, latency, load, starts

SIZES = ((80, 24, 600), (120, 40, 750))  # columns, rows, ms to the first frame
CANDIDATES = 100_000
KEYS = b"jjjjjkkGkkkkgjjj" * 2  # three times over


def run() -> Iterator[tuple[str, str, str]]:
    """Medians of five starts, twenty seconds of every load, 96 keys."""
    with journal("live") as folder:
        for columns, rows, aim in SIZES:
            yield from _start(columns, rows, aim, *starts(folder, columns, rows))
    for mode, aim in (("idle", "0 B/s, <= 0.2 %"), ("live", "<= 2,000 B/s, <= 2 %")):
        with journal(mode) as folder:
            found = load(folder)
        cost = f"{found.bytes_per_second:,.0f} B/s, {found.cpu:.2%}"
        yield f"app, {mode}, 120x40: bytes, share of a core", cost, aim
        yield f"app, {mode}: RSS", f"{found.memory_mb:.0f} MB", "<= 70 MB"
    with tempfile.TemporaryDirectory() as folder:
        many.write(Path(folder), CANDIDATES)
        keys = latency(Path(folder), KEYS)
    of = f"of {CANDIDATES:,} candidates"
    yield (
        f"list {of}, key to first byte, p50 / p95",
        f"{keys.p50:.0f} / {keys.p95:.0f} ms",
        "<= 20 ms",
    )
    yield f"list {of}, processor time a key", f"{keys.cpu_ms:.0f} ms", ""
    yield f"list {of}, opening", f"{keys.open_ms:.0f} ms", "<= 100 ms"
    yield f"list {of}, bytes a key", f"{keys.size:,.0f}", ""
    yield f"list {of}, RSS", f"{keys.memory_mb:.0f} MB", "<= 70 MB"


def _start(
    columns: int, rows: int, aim: int, ours: Start, bare: Start
) -> Iterator[tuple[str, str, str]]:
    name = f"app, first frame {columns}x{rows}"
    yield f"{name}, median of 5", f"{ours.ms:.0f} ms", f"<= {aim} ms"
    yield f"{name}, processor time (bare Textual)", f"{ours.cpu_ms:.0f} ({bare.cpu_ms:.0f}) ms", ""
    yield f"{name}, bytes", f"{ours.size:,}", "<= 40,000"
