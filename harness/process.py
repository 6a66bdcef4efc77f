"""Processes of an experiment: started, watched, measured and ended.

Decides on every kill. Nothing here waits without a bound, trusts a process to obey, or interprets what it prints;
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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness import crashpoints, ptree
from harness.bounds import TRUSTED, Bounds, volunteer
from harness.environment import without_credentials
from harness.ptree import KILL_PATIENCE as KILL_PATIENCE

PIPE_SIZE = 1 << 20
SWEEP_PATIENCE = 30.0  # seconds; thousands of processes on a busy machine die slowly

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
        bounds: Bounds | None = None,
    ) -> None:
        """Start `argv` in a session of its own and within `bounds`, with standard output and error on `output`.

        It dies with the thread that calls this. Raises OSError when it cannot be started; `bounds` are ours to
        close from now on, and are closed then.
        """
        self._bounds, self._tasks_before = bounds, ptree.tasks_of_machine() or 0
        try:
            self._start(argv, env, cwd, output, pass_fds)
        except BaseException:
            if bounds:
                bounds.close()
            raise

    def _start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        output: int,
        pass_fds: Iterable[int],
    ) -> None:
        bounds = self._bounds

        def before_exec() -> None:
            """In the child: die with the parent, and for want of memory before the engine; accept the bounds."""
            volunteer(TRUSTED)
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if bounds:
                bounds.enter()

        self._popen = subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            # Only system calls, with everything loaded before the fork.
            preexec_fn=before_exec,
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
            try:
                _, status, usage = os.wait4(self.pid, 0)
            except ChildProcessError:  # a sweep came first, which reaps what it kills
                self.code = self._popen.returncode = -signal.SIGKILL
                return True
            self.code = self._popen.returncode = os.waitstatus_to_exitcode(status)
            # ru_maxrss is in KiB and covers the descendants that were waited for.
            self.memory_mb = max(self.memory_mb, usage.ru_maxrss / 1024)
        return self.code is not None

    def sample_memory(self) -> float:
        """Resident memory of the whole tree now, in MiB; also remembers the peak."""
        now = sum(ptree.resident_mb(pid) for pid in (self.pid, *ptree.below(self.pid)))
        self.memory_mb = max(self.memory_mb, now)
        return now

    def has_more_tasks_than(self, limit: int) -> bool:
        """Whether the tree has more processes and threads; cheap, also while it forks without end."""
        counted = self._bounds.tasks() if self._bounds else None
        if counted is not None:
            return counted > limit
        everybody = ptree.tasks_of_machine()
        if everybody is not None and everybody - self._tasks_before <= limit:
            return False
        return sum(seen.threads for seen in ptree.below(self.pid).values()) > limit

    def kernel_kills(self) -> int | None:
        """How many of its processes the kernel has killed for want of memory; None where it does not count them."""
        return self._bounds.kernel_kills() if self._bounds else None

    def kill(self) -> None:
        """End the process and its descendants, and all that were within its bounds; returns when they are gone."""
        ended = self.exited()
        if self._bounds:
            self._bounds.kill()
        if not ended:
            with contextlib.suppress(ProcessLookupError):  # at one stroke, before the next fork
                os.killpg(self.pid, signal.SIGKILL)
            found = ptree.below(self.pid)
            if this := ptree.look(self.pid):
                found[self.pid] = this
            ptree.kill(found)
            self.exited(KILL_PATIENCE)
        if self._bounds:  # an older kernel cannot empty a group, but it knows who is in it
            left = {pid: seen for pid in self._bounds.members() if (seen := ptree.look(pid))}
            ptree.kill(left)

    def close(self) -> None:
        """Kill what lives and release the descriptor."""
        self.kill()
        os.close(self._pidfd)
        if self._bounds:
            self._bounds.close()


def spawn_trusted(
    module: str, job: str, descriptors: Iterable[int], output: int, env: Mapping[str, str]
) -> Supervised:
    """Start `python -m module job` with nothing inherited but the named descriptors."""
    crash = {k: v for k, v in os.environ.items() if k == crashpoints.VARIABLE}
    env = {"PYTHONPATH": _ROOT, "PATH": os.defpath, **machine_env(), **crash, **env}
    argv = [sys.executable, "-P", "-m", module, job]
    return Supervised(argv, env=env, cwd=Path("/"), output=output, pass_fds=descriptors)


def own_env(keep: Iterable[str] = (), **more: str) -> dict[str, str]:
    """Our environment, and `more`, for a child of ours that runs our code: be it installed or only on our path.

    Without credentials, except those named in `keep`.
    """
    path = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
    return {**without_credentials(keep=keep), "PYTHONPATH": path, **more}


def machine_env() -> dict[str, str]:
    """The part of our environment that describes the machine: where the driver lies, how it is to be used."""
    # By name, not by prefix where a secret may share it: NVIDIA_API_KEY is one.
    names = {"LD_LIBRARY_PATH", "CUDA_HOME", "CUDA_PATH", "OMP_NUM_THREADS"}
    names |= {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}
    prefixes = ("NCCL_", "NVSHMEM_", "TORCH_SYMM_MEM_")
    return {k: v for k, v in os.environ.items() if k in names or k.startswith(prefixes)}


def become_trusted() -> None:
    """Called first thing by whoever holds what a candidate must not see: no process of the same user may look inside.

    Neither its memory nor its environment can be read any more, and a crash leaves no core file with them.
    """
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def adopt_orphans(adopt: bool) -> None:
    """Make this process the parent of its orphaned descendants (or no longer), so that `sweep` finds them."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def sweep(keep: set[int]) -> list[int]:
    """Kill every descendant of this process that is not in `keep` (nor below it).

    Returns those that are still there after `SWEEP_PATIENCE`, stuck in the kernel.
    """
    deadline = time.monotonic() + SWEEP_PATIENCE
    while found := ptree.below(os.getpid(), skip=keep):
        if time.monotonic() > deadline:
            return sorted(found)
        ptree.kill(found)
        for pid in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    return []


def descendants(root: int, skip: set[int] | None = None) -> list[int]:
    """Process ids below `root`, without the trees of the pids in `skip`."""
    return list(ptree.below(root, skip))
