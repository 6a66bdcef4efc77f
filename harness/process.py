"""Processes of an experiment: started, watched, measured and ended, with a bounded log of what they printed.

Owns every kill. Nothing here waits without a bound, trusts a process to obey, or interprets what it prints;
`clean` is the one door through which a candidate's text reaches a person.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

LOG_HEAD = 256 << 10  # bytes kept of the start of a log
LOG_TAIL = 256 << 10  # and of its end
LINE_LIMIT = 64 << 10  # bytes of a line that has no end yet
PIPE_SIZE = 1 << 20
KILL_PATIENCE = 5.0  # seconds until killed processes are gone; the kernel needs milliseconds

_ROOT = str(Path(__file__).resolve().parent.parent)

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded before any fork

_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    "|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\\\|\x9c)?"  # OSC: title, clipboard, links
    "|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]{0,4096}(?:\x1b\\\\|\x9c)?"  # DCS, SOS, PM, APC
    "|\x1b[ -/]*[0-~]"  # the rest of two and three characters
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def clean(text: str) -> str:
    """Untrusted text without control sequences, bidirectional and invisible characters.

    Lines that a carriage return overwrote are left out, as a terminal would show it. Newlines and tabs stay.
    """
    text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = "\n".join(map(_last_state, text.split("\n")))
    return _INVISIBLE.sub("", text)


def _last_state(line: str) -> str:
    """What a terminal shows of a line that carriage returns overwrote."""
    line = line.rstrip("\r")
    return line[line.rfind("\r") + 1 :]


class BoundedLog:
    """Head and tail of an endless stream of bytes, cleaned, on disk in `path` as far as it is written."""

    def __init__(self, path: Path) -> None:
        """Starts an empty log at `path`."""
        self.total = 0  # bytes that came
        self._file = path.open("wb")
        self._head = 0  # bytes in the file for good
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self._line = b""  # the last line, which has no end yet
        self._dirty = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        lines, newline, rest = (self._line + data).rpartition(b"\n")
        # Of a line that is overwritten again and again only the last state is held.
        start = rest.rstrip(b"\r").rfind(b"\r") + 1
        self._line = rest[start:]
        if len(self._line) > LINE_LIMIT:
            lines, newline, self._line = lines + newline + self._line, b"\n", b""
        self._keep(clean((lines + newline).decode("utf-8", "replace")).encode())
        self._dirty = True

    def _keep(self, text: bytes) -> None:
        if room := min(len(text), LOG_HEAD - self._head):
            self._file.seek(self._head)
            self._file.write(text[:room])
            self._head += room
            text = text[room:]
        if not text:
            return
        self._dropped += max(0, len(text) - LOG_TAIL)
        self._tail.append(text[-LOG_TAIL:])
        self._tail_size += len(self._tail[-1])
        while self._tail_size - len(self._tail[0]) >= LOG_TAIL:
            lost = self._tail.popleft()
            self._tail_size -= len(lost)
            self._dropped += len(lost)

    def flush(self) -> None:
        """Bring the file up to date."""
        if not self._dirty:
            return
        self._dirty = False
        self._file.seek(self._head)
        self._file.write(self._after_head())
        self._file.truncate()
        self._file.flush()

    def _after_head(self) -> bytes:
        gap = f"\n[... {self._dropped:,} bytes left out ...]\n" if self._dropped else ""
        line = clean(self._line.decode("utf-8", "replace"))
        return gap.encode() + b"".join(self._tail) + line.encode()

    def text(self) -> str:
        """Everything that is kept, cleaned."""
        self.flush()
        return Path(self._file.name).read_bytes().decode("utf-8", "replace")

    def close(self) -> None:
        """Write what is left and close the file."""
        self.flush()
        self._file.close()


class Supervised:
    """A process and all its descendants, ended together."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        output: int,
        pass_fds: Iterable[int] = (),
    ) -> None:
        """Start `argv` in a session of its own, with standard output and error on `output`.

        It dies with the thread that calls this. Raises OSError when it cannot be started.
        """
        self._popen = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            # Only two system calls, with everything loaded before the fork.
            preexec_fn=_before_exec,
        )
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)
        self.code: int | None = None  # exit status once reaped; -N for signal N
        self.memory_mb = 0.0  # largest resident memory seen

    def fileno(self) -> int:
        """A descriptor that becomes readable when the process ends."""
        return self._pidfd

    def exited(self, patience: float = 0.0) -> bool:
        """Whether the process has ended, after at most `patience` seconds; reaps it."""
        if self.code is None and select.select([self._pidfd], [], [], patience)[0]:
            _, status, usage = os.wait4(self.pid, 0)
            self.code = self._popen.returncode = os.waitstatus_to_exitcode(status)
            # ru_maxrss is in KiB and covers the descendants that were waited for.
            self.memory_mb = max(self.memory_mb, usage.ru_maxrss / 1024)
        return self.code is not None

    def sample_memory(self) -> float:
        """Resident memory of the whole tree now, in MiB; also remembers the peak."""
        now = sum(_resident_mb(pid) for pid in (self.pid, *descendants(self.pid)))
        self.memory_mb = max(self.memory_mb, now)
        return now

    def kill(self) -> None:
        """End the process and its descendants; returns when they are gone."""
        if not self.exited():
            _kill((*descendants(self.pid), self.pid))
            self.exited(KILL_PATIENCE)

    def close(self) -> None:
        """Kill what lives and release the descriptor."""
        self.kill()
        os.close(self._pidfd)


def spawn_trusted(
    module: str, job: str, descriptors: Iterable[int], output: int, env: Mapping[str, str]
) -> Supervised:
    """Start `python -m module job` with nothing inherited but the named descriptors."""
    env = {"PYTHONPATH": _ROOT, "PATH": os.defpath, **machine_env(), **env}
    argv = [sys.executable, "-P", "-m", module, job]
    return Supervised(argv, env=env, cwd=Path("/"), output=output, pass_fds=descriptors)


def own_env(**more: str) -> dict[str, str]:
    """Our environment, and `more`, for a child of ours that runs our code: be it installed or only on our path."""
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **more}


def machine_env() -> dict[str, str]:
    """The part of our environment that describes the machine: where the driver lies, how it is to be used."""
    # By name, not by prefix where a secret may share it: NVIDIA_API_KEY is one.
    names = {"LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "OMP_NUM_THREADS"}
    names |= {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
    prefixes = ("NCCL_", "NVSHMEM_", "TORCH_SYMM_MEM_")
    return {k: v for k, v in os.environ.items() if k in names or k.startswith(prefixes)}


def become_trusted() -> None:
    """Called first thing by the meter and the scorer: no process of the same user may look inside them."""
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def adopt_orphans(adopt: bool) -> None:
    """Make this process the parent of its orphaned descendants (or no longer), so that `sweep` finds them."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def sweep(keep: set[int]) -> int:
    """Kill every descendant of this process that is not in `keep` (nor below it); returns how many.

    Raises TimeoutError when some are still there after `KILL_PATIENCE`, stuck in the kernel.
    """
    deadline, ended = time.monotonic() + KILL_PATIENCE, 0
    while found := [pid for pid in descendants(os.getpid(), skip=keep) if pid not in keep]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(found)} processes survive SIGKILL")
        ended += _kill(found)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return ended


def descendants(root: int, skip: set[int] | None = None) -> list[int]:
    """Process ids below `root`, without the trees of the pids in `skip`."""
    children: dict[int, list[int]] = {}
    for name in (entry.name for entry in os.scandir("/proc")):
        if name.isdigit() and (parent := _parent(int(name))) is not None:
            children.setdefault(parent, []).append(int(name))
    found, front = [], [root]
    while front:
        for pid in children.get(front.pop(), ()):
            if pid not in (skip or ()):
                found.append(pid)
                front.append(pid)
    return found


def _parent(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # it ended while we looked
        return None
    return int(stat.rpartition(b")")[2].split()[1])


def _resident_mb(pid: int) -> float:
    """Private and shared-memory pages of one process, in MiB; files that it maps are not its own."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return 0.0
    kilobytes = re.findall(r"^(?:RssAnon|RssShmem):\s+(\d+)", status, re.M)
    return sum(map(int, kilobytes)) / 1024


def _kill(pids: Iterable[int]) -> int:
    """SIGKILL through pidfds, which cannot hit a stranger that got the number; waits until they are gone."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
            signal.pidfd_send_signal(handles[-1], signal.SIGKILL)
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    deadline, alive = time.monotonic() + KILL_PATIENCE, set(handles)
    while alive and (left := deadline - time.monotonic()) > 0:
        for handle, _ in poll.poll(1000 * left):
            poll.unregister(handle)
            alive.discard(handle)
    for handle in handles:
        os.close(handle)
    return len(handles)


def _before_exec() -> None:
    """In the child: die with the parent, leave no core file."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
