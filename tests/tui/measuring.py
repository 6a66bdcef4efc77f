"""What the app costs the person at the keys: times, bytes, processor time and memory, in a real pseudo terminal.

Asserted with slack in tests/tui/test_budget.py, printed by `python -m bench app`. Times are of the wall and so of the
machine's mood; where a test must not depend on it, there is processor time and a bare Textual app to compare with.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.tui.pty_harness import ATTACH, KEY_LINE, ROOT, Terminal

# The least that an app made with Textual can be: one widget that draws one line.
BARE_APP = """
from rich.segment import Segment
from textual.app import App
from textual.strip import Strip
from textual.widget import Widget

class Line(Widget):
    def render_line(self, y):
        return Strip([Segment("q detach".ljust(self.size.width))])

class Bare(App):
    def compose(self):
        yield Line()

Bare().run(mouse=False)
"""
BARE = (sys.executable, "-c", BARE_APP)
SETTLE = 0.3  # seconds in which a first frame is completed, should it come in pieces
FIRST_ROWS = b"what it tries"  # the header of the list of candidates


@dataclass(frozen=True, slots=True)
class Start:
    """From nothing to a full frame."""

    ms: float  # of the wall
    cpu_ms: float  # of the processor
    size: int  # bytes written until nothing more came
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Load:
    """What an open app costs as time goes by."""

    bytes_per_second: float
    cpu: float  # share of a core
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From a key to the first byte that it brings about."""

    p50: float  # ms
    p95: float  # ms
    cpu_ms: float  # of the processor, a key, with all that follows from it
    size: float  # bytes a key
    open_ms: float  # from the key of the view to its first rows
    memory_mb: float


def start(argv: Sequence[str], columns: int, rows: int) -> Start:
    """Start a program and wait for its full frame."""
    with Terminal(argv, columns=columns, rows=rows) as terminal:
        terminal.expect(KEY_LINE, seconds=30)
        passed, cpu = time.perf_counter() - terminal.started, terminal.cpu_seconds()
        terminal.pump(SETTLE)
        return Start(passed * 1000, cpu * 1000, len(terminal.written), terminal.memory_mb())


def starts(workspace: Path, columns: int, rows: int, times: int = 5) -> tuple[Start, Start]:
    """The medians of several starts on a workspace and of a bare Textual app, taken in turns."""
    app = (*ATTACH, str(workspace))
    pairs = [(start(app, columns, rows), start(BARE, columns, rows)) for _ in range(times)]
    ours, bare = zip(*pairs, strict=True)
    return _median(ours), _median(bare)


def _median(found: Sequence[Start]) -> Start:
    return Start(
        statistics.median(s.ms for s in found),
        statistics.median(s.cpu_ms for s in found),
        max(s.size for s in found),
        max(s.memory_mb for s in found),
    )


@contextlib.contextmanager
def journal(mode: str, seconds: float = 120) -> Iterator[Path]:
    """A workspace that another process works in: "idle" is paused, "live" trains at two lines a second."""
    with tempfile.TemporaryDirectory() as folder:
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.live_run", folder, mode, str(seconds)], cwd=ROOT
        )
        try:
            lock = Path(folder) / ".autoresearch/engine.lock"
            while not ((lock.exists() and b"waits" in lock.read_bytes()) or _trains(folder)):
                if writer.poll() is not None:
                    raise RuntimeError("the run that was to be watched has ended")
                time.sleep(0.05)
            yield Path(folder)
        finally:
            writer.terminate()
            writer.wait()


def _trains(folder: str) -> bool:
    return any(Path(folder).glob(".autoresearch/experiments/*/progress.jsonl"))


def load(workspace: Path, view: bytes = b"1", *, seconds: float = 20.0) -> Load:
    """The cost of an app on a workspace, in the view of this key, at 120x40, once it has settled."""
    with Terminal((*ATTACH, str(workspace)), columns=120, rows=40) as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(view)
        terminal.pump(3.0)
        rate, cpu = terminal.rate(seconds)
        return Load(rate, cpu, terminal.memory_mb())


def latency(workspace: Path, keys: bytes, view: bytes = b"2", *, rounds: int = 3) -> Latency:
    """How fast the list of candidates opens and answers to keys, at 120x40.

    The keys are typed `rounds` times, and each counts with its median: what else the machine does is not the app's.
    """
    with Terminal((*ATTACH, str(workspace)), columns=120, rows=40) as terminal:
        terminal.expect(KEY_LINE, seconds=30)
        terminal.pump(1.0)
        began, seen = time.perf_counter(), terminal.type(view)
        terminal.expect(FIRST_ROWS, start=seen)
        opened = (time.perf_counter() - began) * 1000
        terminal.pump(3.0)
        before, cpu = len(terminal.written), terminal.cpu_seconds()
        runs: list[list[float]] = []
        for _ in range(rounds):
            runs.append([])
            for key in keys:
                runs[-1].append(_answer(terminal, bytes([key])))
                terminal.pump(0.05)
        times = sorted(statistics.median(same) for same in zip(*runs, strict=True))
        typed = rounds * len(keys)
        return Latency(
            statistics.median(times),
            times[round(len(times) * 0.95) - 1],
            (terminal.cpu_seconds() - cpu) * 1000 / typed,
            (len(terminal.written) - before) / typed,
            opened,
            terminal.memory_mb(),
        )


def _answer(terminal: Terminal, key: bytes) -> float:
    """Milliseconds until the first byte; a second when nothing came."""
    began = time.perf_counter()
    terminal.type(key)
    terminal.pump_once(1.0)
    return (time.perf_counter() - began) * 1000
