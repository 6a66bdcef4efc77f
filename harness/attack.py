"""Tries to break out of the cell in which it is started, and prints as JSON what it got hold of.

Run by path, with the standard library alone, in the place of a candidate; `harness.bait` lays out what it looks
for. An attempt counts as kept out when the system refuses it (OSError), so anything else that goes wrong is loud.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_USER = 0x10000000
_TIOCSTI = 0x5412
_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def attack(bait: dict[str, Any]) -> dict[str, str]:
    """What each attempt got hold of, by the name of what should have held; empty when it was kept out."""
    victim = bait["victim"]
    attempts: dict[str, Callable[[], object]] = {
        "validation data unreadable": lambda: _read(bait["secret"]),
        "home invisible": lambda: _home(bait["home"], bait["python"]),
        "system read-only": lambda: _append("/usr/probe"),
        "mounts read-only": lambda: _append(bait["public"]),
        "interpreter read-only": lambda: _append(str(Path(sys.prefix) / "probe")),
        "file modes unchangeable": lambda: _change_mode(bait["public"]),
        "no shared memory of the host": lambda: _read(bait["shm"]),
        "network blocked": lambda: _tcp(bait["tcp"]),
        "no datagrams": lambda: _udp(bait["udp"]),
        "no network interfaces": _interfaces,
        "no sockets of the host": lambda: _unix(bait["socket"]),
        "no abstract sockets of the host": lambda: _unix(f"\0{bait['abstract']}"),
        "processes hidden": _strangers,
        "environment empty": lambda: "inherited" if bait["mark"] in os.environ else "",
        "supervisor's environment hidden": lambda: _environment_of(1, bait["mark"]),
        "environment of others hidden": lambda: _environment_of(victim, bait["mark"]),
        "no signals to others": lambda: _signal(victim),
        "no tracing": lambda: _trace(victim),
        "memory of others unreadable": lambda: _peek(victim, bait["process_vm_readv"]),
        "limits cannot be raised": _raise_limits,
        "no keystrokes": _keystroke,
        "no mounting": _mount,
        "no nested namespaces": _nested,
        **{f"no {name}": partial(_reaches_kernel, call) for name, call in bait["calls"].items()},
    }
    return {name: _attempt(action) for name, action in attempts.items()}


def _attempt(action: Callable[[], object]) -> str:
    try:
        return str(action() or "")[:200]
    except (OSError, subprocess.CalledProcessError):
        return ""


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _append(path: str) -> str:
    """Open for writing; what that made is taken away again."""
    new = not Path(path).exists()
    with Path(path).open("a"):
        pass
    if new:
        Path(path).unlink()
    return f"could write {path}"


def _change_mode(path: str) -> str:
    Path(path).chmod(0o777)
    return f"changed {path}"


def _home(home: str, python: list[str]) -> list[str]:
    """What is seen of somebody's home, but for the Python that may be in there."""
    if home == "/":
        return []
    allowed = {os.path.relpath(path, home).split("/")[0] for path in python}
    return sorted({path.name for path in Path(home).iterdir()} - allowed)


def _tcp(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), 2):
        return "connected"


def _udp(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"x", ("127.0.0.1", port))
    return "sent"


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex() if name != "lo"]


def _unix(address: str) -> str:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
    return "connected"


def _strangers() -> list[str]:
    pids = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
    return pids if len(pids) > 4 else []


def _environment_of(pid: int, mark: str) -> str:
    return "read" if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes() else ""


def _signal(pid: int) -> str:
    os.kill(pid, signal.SIGCONT)
    return "sent"


def _trace(pid: int) -> str:
    """Attach to a stranger, or to ourselves: a filter forbids both."""
    if _LIBC.ptrace(16, pid, 0, 0) == 0:
        return "attached"
    return "allowed" if _LIBC.ptrace(0, 0, 0, 0) == 0 else ""


def _peek(pid: int, call: int) -> str:
    """Read memory of a stranger, or our own by the same call."""
    buffer = ctypes.create_string_buffer(b"here", 8)
    copy = ctypes.create_string_buffer(8)
    pairs = (ctypes.c_void_p * 4)(ctypes.addressof(buffer), 8, ctypes.addressof(copy), 8)
    base = ctypes.addressof(pairs)
    for target in (pid, os.getpid()):
        where = ctypes.c_void_p(base + 16), 1, ctypes.c_void_p(base), 1, 0
        if _LIBC.syscall(call, target, *where) > 0:
            return f"read process {target}"
    with contextlib.suppress(OSError), Path(f"/proc/{pid}/mem").open("rb"):
        return f"opened the memory of process {pid}"
    return ""


def _raise_limits() -> str:
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        limit = resource.getrlimit(kind)[1]
        with contextlib.suppress(OSError, ValueError):
            if limit == resource.RLIM_INFINITY:
                return "there are none"
            resource.setrlimit(kind, (limit + 1, limit + 1))
            return "raised"
    return ""


def _keystroke() -> str:
    """A descriptor that is none tells whether the call got as far as the kernel."""
    try:
        fcntl.ioctl(1 << 20, _TIOCSTI, b"x")
    except OSError as fault:
        return "" if fault.errno in _FORBIDDEN else f"tried, {os.strerror(fault.errno or 0)}"
    return "typed"


def _mount() -> str:
    if _LIBC.mount(b"x", b".", b"tmpfs", 0, None):
        return ""
    _LIBC.umount2(b".", 2)  # detached, for we are in it
    return "mounted"


def _nested() -> str:
    """In a child, which is lost when it works."""
    child = os.fork()
    if child == 0:
        os._exit(_LIBC.unshare(_NEW_USER) == 0)
    return "opened a user namespace" if os.waitpid(child, 0)[1] else ""


def _reaches_kernel(number: int) -> str:
    """With arguments that make no sense: whatever else the kernel says, it has looked at them."""
    ctypes.set_errno(0)
    minus = ctypes.c_long(-1)
    if _LIBC.syscall(number, minus, minus, minus, minus, minus, minus) >= 0:
        return "allowed"
    number = ctypes.get_errno()
    return "" if number in _FORBIDDEN else f"tried, {os.strerror(number)}"


if __name__ == "__main__":
    print(json.dumps(attack(json.loads(sys.argv[1]))))
