"""What the training does to the machine, as figures, bars and a strip of the last minute. Pure.

Bars and strips move in whole cells, so that a steady machine costs no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.widgets.chart import BRAILLE, DOTS
from tui.widgets.facts import Fact
from tui.widgets.ink import Glyphs, Ink, bar

if TYPE_CHECKING:
    from evolve.telemetry import Load
    from evolve.view import RunningView

LEVELS = " .:-=#"  # of a strip in ASCII, from idle to busy
_LEAST = 4  # cells of a bar


def load_facts(running: RunningView, room: int, glyphs: Glyphs) -> list[Fact]:
    """The facts about the machine; a value takes at most `room` columns."""
    load = running.load
    if load is None:
        return []
    facts = [
        Fact(7, "GPU" if load.cores is None else "CPU", _busy(load, room, glyphs)),
        Fact(8, "memory", _memory(load, room, glyphs)),
        Fact(15, "mem peak", _peak(load, running.main_memory_mb)),
        Fact(10, "power", _power(load, room, glyphs)),
        Fact(12, "temp", "" if load.temperature_c is None else f"{load.temperature_c} C"),
        Fact(17, "clock", "" if load.clock_mhz is None else f"{load.clock_mhz} MHz"),
        Fact(11, "last 60 s", strip(load.history, max(0, min(room, 30)), glyphs), Ink.CURVE),
    ]
    return facts


def brief(load: Load | None) -> str:
    """`GPU 97% 71C 640W` or `CPU 3.8 cores`, for the line at the top."""
    if load is None:
        return ""
    if load.cores is not None:
        return f"CPU {load.cores:.1f} cores"
    parts = ["GPU"]
    if load.busy is not None:
        parts.append(f"{load.busy * 100:.0f}%")
    if load.temperature_c is not None:
        parts.append(f"{load.temperature_c}C")
    if load.power_w is not None:
        parts.append(f"{load.power_w:.0f}W")
    return " ".join(parts) if len(parts) > 1 else ""


def strip(history: Sequence[float], columns: int, glyphs: Glyphs) -> str:
    """The last looks as columns: two a cell in braille, one a cell in ASCII; newest at the right."""
    if not history or columns <= 0:
        return ""
    if not glyphs.braille:
        top = len(LEVELS) - 1
        return "".join(LEVELS[round(_share(v) * top)] for v in history[-columns:]).rjust(columns)
    kept = list(history[-2 * columns :])
    kept = [-1.0] * (2 * columns - len(kept)) + kept
    return "".join(
        chr(BRAILLE + _column(kept[i], 0) + _column(kept[i + 1], 1)) for i in range(0, len(kept), 2)
    ).replace(chr(BRAILLE), " ")


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _column(value: float, side: int) -> int:
    """Dots of one look: at least one for a look, four for a busy one, none where nobody looked."""
    if value < 0:
        return 0
    height = max(1, round(_share(value) * 4))
    return sum(DOTS[3 - level][side] for level in range(height))


def _with_bar(share: float, words: str, room: int, glyphs: Glyphs) -> str:
    cells = min(12, room - len(words) - 1)
    return f"{bar(share, cells, glyphs)} {words}" if cells >= _LEAST else words


def _busy(load: Load, room: int, glyphs: Glyphs) -> str:
    if load.busy is None:
        return ""
    words = f"{load.busy * 100:3.0f}%" if load.cores is None else f"{load.cores:4.1f} cores"
    return _with_bar(load.busy, words, room, glyphs)


def _memory(load: Load, room: int, glyphs: Glyphs) -> str:
    if load.memory_mb is None:
        return ""
    used = _gigabytes(load.memory_mb)
    if not load.memory_total_mb:
        return used
    whole = f"{used}/{load.memory_total_mb / 1024:.0f} GB"
    return _with_bar(load.memory_mb / load.memory_total_mb, whole, room, glyphs)


def _peak(load: Load, main_mb: float | None) -> str:
    if load.peak_mb is None:
        return ""
    beside = "" if main_mb is None else f", main {_gigabytes(main_mb)}"
    return f"{_gigabytes(load.peak_mb)}{beside} GB"


def _power(load: Load, room: int, glyphs: Glyphs) -> str:
    if load.power_w is None:
        return ""
    words = f"{load.power_w:3.0f} W"
    if not load.power_limit_w:
        return words
    return _with_bar(load.power_w / load.power_limit_w, words, room, glyphs)


def _gigabytes(megabytes: float) -> str:
    """`40.1`, and `0.35` below one."""
    size = megabytes / 1024
    return f"{size:.1f}" if size >= 1 else f"{size:.2f}"
