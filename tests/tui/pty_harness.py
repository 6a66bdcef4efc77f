"""A pseudo terminal for programs: starts one, types at it, and measures what it writes and leaves behind.

`python -m tests.tui.pty_harness` prints the figures of the app: first frame, first paint, idle and live byte
rates, key latency, memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = (sys.executable, "-m", "tests.tui.recording")
ATTACH = (
    sys.executable,
    "-c",
    "import sys; from pathlib import Path; from tui.app import run_app; sys.exit(run_app(Path(sys.argv[1])))",
)
KEY_LINE = b"q detach"  # the last line of a full frame


class Terminal:
    """A program in a pseudo terminal of a given size. Use as a context manager."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self._argv, self._cwd = list(argv), cwd
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        kept = {
            k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "TMUX", "COLUMNS", "LINES"}
        }
        self._env = {**kept, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        self._env |= {"COLORTERM": "truecolor", **(env or {})}
        self.written = bytearray()
        self.status: int | None = None

    def __enter__(self) -> Terminal:
        self.started = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            # The size must be there before the program asks for it.
            fcntl.ioctl(0, termios.TIOCSWINSZ, self._size)
            os.chdir(self._cwd)
            os.execvpe(self._argv[0], self._argv, self._env)
        self.modes_before = termios.tcgetattr(self._fd)
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait(5)
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def pump(self, seconds: float, until: bytes | None = None, start: int = 0) -> bool:
        """Read for a while, or until some bytes have come after position `start`."""
        end = time.perf_counter() + seconds
        while until is None or until not in self.written[start:]:
            left = end - time.perf_counter()
            if left <= 0:
                return False
            if not select.select([self._fd], [], [], left)[0]:
                return False
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # EIO: the program has left the terminal
                return False
            if not data:
                return False
            self.written += data
        return True

    def expect(self, text: bytes, seconds: float = 15, start: int = 0) -> None:
        """Read until `text` has been written, or fail."""
        if not self.pump(seconds, text, start):
            raise AssertionError(
                f"{text!r} was not written; the end was {bytes(self.written[-2000:])!r}"
            )

    def type(self, data: bytes) -> int:
        """Type `data`; returns the position in what was written before."""
        os.write(self._fd, data)
        return len(self.written)

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to the program."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal under the program."""
        os.close(self._fd)

    def wait(self, seconds: float = 10) -> int:
        """Read until the program has ended; returns its exit code (128 + n when a signal ended it)."""
        end = time.perf_counter() + seconds
        while self.status is None:
            with contextlib.suppress(OSError, ValueError):
                self.pump(0.02)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code
            elif time.perf_counter() > end:
                raise AssertionError(f"still running; it wrote {bytes(self.written[-2000:])!r}")
        return self.status

    def modes(self) -> list[object]:
        """The terminal's modes now (termios)."""
        return termios.tcgetattr(self._fd)

    def memory_mb(self) -> float:
        """Resident memory of the program."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if "VmRSS" in line)

    def cpu_seconds(self) -> float:
        """Processor time of the program so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rate(self, seconds: float) -> tuple[float, float]:
        """Bytes a second and share of a core over the next seconds."""
        before, cpu, began = len(self.written), self.cpu_seconds(), time.perf_counter()
        self.pump(seconds)
        passed = time.perf_counter() - began
        return (len(self.written) - before) / passed, (self.cpu_seconds() - cpu) / passed


def first_frame(mode: str, columns: int, rows: int) -> tuple[float, int]:
    """Milliseconds from the start to a full frame, and the bytes written until it was complete."""
    with Terminal((*APP, mode), columns=columns, rows=rows) as terminal:
        terminal.expect(KEY_LINE)
        passed = time.perf_counter() - terminal.started
        terminal.pump(0.3)
        size = len(terminal.written)
        terminal.type(b"q")
        terminal.wait()
    return passed * 1000, size


def key_latency(keys: bytes, candidates: int) -> tuple[float, float, float]:
    """Median and 95th percentile of milliseconds from a key to the first byte, and bytes a key."""
    with Terminal((*APP, "idle", str(candidates)), columns=120, rows=40) as terminal:
        terminal.expect(KEY_LINE)
        terminal.type(b"2")
        terminal.expect(b"what it tries")
        terminal.pump(2.0)
        before = len(terminal.written)
        times = []
        for key in keys:
            began, start = time.perf_counter(), terminal.type(bytes([key]))
            while len(terminal.written) == start and time.perf_counter() - began < 1:
                terminal.pump(0.5, until=b"m", start=start)
            times.append((time.perf_counter() - began) * 1000)
            terminal.pump(0.05)
        per_key = (len(terminal.written) - before) / len(keys)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.95) - 1], per_key


def attached(mode: str) -> tuple[float, float, float]:
    """Bytes a second, share of a core and memory of an app on a real journal that another process writes."""
    with tempfile.TemporaryDirectory() as folder:
        writing = [sys.executable, "-m", "tests.tui.live_run", folder, mode, "60"]
        writer = subprocess.Popen(writing, cwd=ROOT)
        try:
            while not (Path(folder) / ".autoresearch/journal.db").exists():
                time.sleep(0.1)
            with Terminal((*ATTACH, folder), columns=120, rows=40) as terminal:
                terminal.expect(b"waits to be" if mode == "idle" else b"tokens/s")
                terminal.pump(3.0)
                rate, cpu = terminal.rate(20.0)
                return rate, cpu, terminal.memory_mb()
        finally:
            writer.terminate()
            writer.wait()


def main() -> None:
    """Print the figures."""
    for columns, rows in ((80, 24), (120, 40)):
        frames = [first_frame("live", columns, rows) for _ in range(5)]
        best, size = min(frames)[0], frames[0][1]
        middle = statistics.median(ms for ms, _ in frames)
        print(
            f"first frame {columns}x{rows}: median {middle:.0f} ms, best {best:.0f} ms, {size:,} bytes"
        )
    for mode in ("idle", "live"):
        rate, cpu, memory = attached(mode)
        print(f"{mode} 120x40: {rate:.0f} B/s, {cpu:.2%} of a core, {memory:.0f} MB")
    for candidates in (1_000, 100_000):
        median, late, size = key_latency(b"j" * 60, candidates)
        print(
            f"key j, {candidates:,} candidates: median {median:.1f} ms, p95 {late:.1f} ms, {size:.0f} B"
        )


if __name__ == "__main__":
    main()
