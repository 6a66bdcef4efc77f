"""A pseudo terminal for programs: starts one, types at it, and sees what it writes, costs and leaves behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
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

    def pump_once(self, seconds: float) -> bool:
        """Wait for the next bytes, whatever they are."""
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):
            self.written += os.read(self._fd, 65536)
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

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; the kernel tells the program (SIGWINCH)."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[object]:
        """The terminal's modes now (termios)."""
        return termios.tcgetattr(self._fd)

    def memory_mb(self) -> float:
        """Resident memory of the program."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if "VmRSS" in line)

    def cpu_seconds(self) -> float:
        """Processor time of the program so far, all threads, to the nanosecond (Linux: its CPU-time clock)."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def rate(self, seconds: float) -> tuple[float, float]:
        """Bytes a second and share of a core over the next seconds."""
        before, cpu, began = len(self.written), self.cpu_seconds(), time.perf_counter()
        self.pump(seconds)
        passed = time.perf_counter() - began
        return (len(self.written) - before) / passed, (self.cpu_seconds() - cpu) / passed
