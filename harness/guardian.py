"""The guardian of a candidate outside bubblewrap: it starts one, in a Landlock cell or in none, outlives it, and ends
what it leaves.

Run by path in an isolated Python, so it imports the standard library alone. It stays outside the cell itself, and
when our runner is killed, it ends everything. It must never start a candidate with less than it was asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

SHM_MB = 2048  # size of the private /dev/shm
_PATIENCE = 5.0  # seconds until killed processes are gone

_LIBC = ctypes.CDLL(None, use_errno=True)
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_EXECUTE, _WRITE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE | _READ_FILE | _TRUNCATE | _IOCTL
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # rights on files that an ABI knows; later ones know 16
NET_ABI, SCOPE_ABI = 4, 6
_PDEATHSIG, _SECCOMP, _CAPBSET_DROP, _SUBREAPER, _NO_NEW_PRIVS, _AMBIENT = 1, 22, 24, 36, 38, 47
_NEW_SPACES = 0x7C020000  # CLONE_NEW{NS,UTS,IPC,USER,PID,NET}
_NOSUID_NODEV, _NOEXEC, _PRIVATE = 0x6, 0x8, 0x44000
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# Of a /proc that shows strangers: what describes the machine.
_MACHINE = (
    *("cpuinfo", "meminfo", "stat", "version", "uptime", "loadavg", "filesystems"),
    *("devices", "modules", "driver", "sys"),
)


def abi() -> int:
    """The version of Landlock, 0 where the kernel has none or it is switched off."""
    return max(0, int(_LIBC.syscall(_CREATE, None, 0, 1)))


def main() -> int:
    """Start the candidate of the command line, wait for it, and leave nothing of it behind."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    if job.get("try"):
        return _try()
    # Instead of SIGKILL, which our runner has set: its death is ours to tell to what we have started.
    _call("prctl", _PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    _call("prctl", _SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    failure, failure_end = os.pipe()  # closed by a successful exec
    if job["status"] is not None:
        os.set_inheritable(job["status"], False)  # what is written there is believed
    code = b""
    if job["cell"]:
        with os.fdopen(job["filter"], "rb") as file:
            code = file.read()
    if job["spaces"] != "none":
        _open_spaces()
    child = os.fork()
    if child == 0:
        os.close(failure)
        _in_child(job, code, failure_end)
    os.close(failure_end)
    # Namespaces end with their first process, and /proc may be theirs by now.
    end = _end_all if job["spaces"] == "none" else partial(os.kill, child, signal.SIGKILL)
    status = _wait_for(child, end)
    if job["spaces"] == "none":
        end()
    with os.fdopen(failure, "rb") as told:
        reason = told.read().decode(errors="replace")
    if reason:
        what = "The Landlock cell could not be built" if job["cell"] else "It could not be started"
        print(f"{what}: {reason}", file=sys.stderr)
    elif job["status"] is not None:
        os.write(job["status"], json.dumps({"exit-code": status}).encode())
    return status


def _try() -> int:
    """Open namespaces and say how many of them there are."""
    _open_spaces()
    child = os.fork()
    if child == 0:
        os._exit(0 if _mount_proc() else 1)
    print("all" if os.waitpid(child, 0)[1] == 0 else "some", end="")
    return 0


def _in_child(job: dict[str, Any], code: bytes, failure: int) -> None:
    """Become the candidate, or in namespaces the first process in there; never returns."""
    try:
        _call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if job["spaces"] == "all" and not _mount_proc():
            raise OSError("/proc could not be mounted")
        if job["spaces"] != "none" and (child := os.fork()):
            os.close(failure)
            os._exit(_wait_for(child, lambda: None))
        os.setsid()  # its process group is its own
        if job["cell"]:
            _drop_capabilities()
            _call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
            _restrict(job)
            _load_filter(code)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(job["folder"])
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - as its caller has written it
    except BaseException as fault:  # noqa: BLE001 - whatever it is, nothing of it may run on
        os.write(failure, str(fault).encode())
        os._exit(1)


def _wait_for(child: int, end: Callable[[], None]) -> int:
    """Reap whatever ends until `child` has; its exit code, or 128 + N for signal N.

    When the runner has died, `end` ends everything at once.
    """
    while True:
        found, status = os.waitpid(-1, os.WNOHANG)
        if found == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not found and signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            end()
            os._exit(128 + signal.SIGTERM)


def _end_all() -> None:
    """Kill all descendants. Orphans become our children, so in the end none can be missing."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for pid, parent in _descendants().items():
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                if _parent(pid) == parent:  # so the number still means the same process
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                os.close(handle)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _descendants() -> dict[int, int]:
    """Parents of all processes below this one."""
    pids = [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]
    parents = {pid: _parent(pid) for pid in pids}
    found: dict[int, int] = {}
    front = {os.getpid()}
    while front:
        below = {pid: parent for pid, parent in parents.items() if parent in front}
        found |= below
        front = set(below)
    return found


def _parent(pid: int) -> int:
    """The parent of a process, 0 for one that is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


# ---- what the candidate is put into ----------------------------------------------------------------------


def _open_spaces() -> None:
    """New namespaces for what is started from now on, with a /dev/shm of their own; needs no privileges."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_SPACES)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text)
    _call("mount", b"none", b"/", None, _PRIVATE, None)
    size = f"size={SHM_MB}m,mode=1777".encode()
    _call("mount", b"shm", b"/dev/shm", b"tmpfs", _NOSUID_NODEV, size)


def _mount_proc() -> bool:
    """A /proc that shows only this namespace; many containers forbid it."""
    return not _LIBC.mount(b"proc", b"/proc", b"proc", _NOSUID_NODEV | _NOEXEC, None)


def _drop_capabilities() -> None:
    """None now, and none from any program that is started; root keeps nothing but its number."""
    for capability in range(64):
        _LIBC.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # as far as we may; the next two suffice
    _LIBC.prctl(_AMBIENT, 4, 0, 0, 0)  # clear all
    _call("capset", struct.pack("=Ii", 0x20080522, 0), bytes(24))


def _restrict(job: dict[str, Any]) -> None:
    """Forbid all files but those of `job`, TCP, and signals and abstract sockets that reach outside."""
    version = abi()
    if not version:
        raise OSError("this kernel has no Landlock")
    files = (1 << _RIGHTS.get(version, 16)) - 1
    network, scope = 3 * (version >= NET_ABI), 3 * (version >= SCOPE_ABI)
    size = 24 if scope else 16 if network else 8
    rules = _call("syscall", _CREATE, struct.pack("=QQQ", files, network, scope), size, 0)
    read = _READ_FILE | _READ_DIR | _EXECUTE
    hidden = {os.path.realpath(path) for path in job["hidden"]}
    for root in map(os.path.realpath, job["read"]):
        _allow(rules, _around(root, hidden), files & read)
        if any(path.startswith(f"{root}/") for path in hidden):
            _allow(
                rules, [root], files & _READ_DIR
            )  # names may be seen: Python looks for its modules by them
    _allow(rules, job["write"], files & ~_MAKE_DEVICES)
    _allow(rules, (*_DEVICES, *job["devices"]), files & (_OF_A_FILE & ~_EXECUTE))
    if job["spaces"] != "none":
        _allow(rules, ["/dev/shm"], files & ~_MAKE_DEVICES)  # noqa: S108 - the private one
    all_proc = job["spaces"] == "all"
    _allow(rules, ["/proc"] if all_proc else [f"/proc/{name}" for name in _MACHINE], files & read)
    # CUDA names its threads. Of a process that forks only the first has this: /proc/sys must stay out of reach.
    own = read | (_WRITE | _TRUNCATE if job["gpu"] else 0)
    held = _allow_one(rules, "/proc/self", files & own)
    os.set_inheritable(held, True)  # else the kernel may forget this folder, and with it the rule
    _call("syscall", _RESTRICT, rules, 0)
    os.close(rules)


def _allow(rules: int, paths: Iterable[str], rights: int) -> None:
    """Allow `rights` beneath those of `paths` that exist."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.close(_allow_one(rules, path, rights))


def _around(root: str, hidden: set[str]) -> Iterator[str]:
    """The largest folders and files that make up `root` without what is hidden; no rule can take away."""
    if root in hidden:
        return
    if not any(path.startswith(f"{root}/") for path in hidden):
        yield root
        return
    for entry in os.scandir(root):
        if not entry.is_symlink():  # it leads to something that has a rule, or should have none
            yield from _around(entry.path, hidden)


def _allow_one(rules: int, path: str, rights: int) -> int:
    """Allow `rights` beneath one path; returns a descriptor of it."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        rights &= _OF_A_FILE
    _call("syscall", _ADD, rules, 1, struct.pack("=Qi", rights, handle), 0)
    return handle


def _load_filter(code: bytes) -> None:
    """Install a seccomp program in this process and all that it starts."""
    steps = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(steps))
    _call("prctl", _SECCOMP, 2, program, 0, 0)


def _call(name: str, *arguments: Any) -> int:
    """Call libc. Raises OSError as the kernel says."""
    result: int = getattr(_LIBC, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


if __name__ == "__main__":
    sys.exit(main())
