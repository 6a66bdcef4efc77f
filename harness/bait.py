"""What the self-test of a cell lays out for `harness.attack`: a secret, listeners, and a process to molest.

All of it is harmless, made for one test and gone after it. It judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import scratch, seccomp

MARK = "AUTORESEARCH_PROBE_SECRET"  # a variable that nobody inside may see
ATTACK = Path(__file__).resolve().parent / "attack.py"
# Interfaces of the kernel that the filter has to close, tried with arguments that make no sense.
CALLS = (
    *("pidfd_getfd", "io_uring_setup", "keyctl", "add_key", "bpf", "userfaultfd"),
    *("perf_event_open", "kcmp", "process_madvise", "fsopen", "open_tree"),
)


@dataclass(frozen=True, slots=True)
class Bait:
    """What lies there."""

    folder: Path  # empty, for a candidate to work in
    public: Path  # a file that may be read and not changed
    facts: dict[str, Any]

    def argv(self, script: str, public: str) -> list[str]:
        """The attack's command line, given the paths under which it sees itself and the public file."""
        return [sys.executable, "-I", "-B", script, json.dumps(self.facts | {"public": public})]


@contextlib.contextmanager
def laid_out(python: Sequence[str]) -> Iterator[Bait]:
    """Lay everything out; `python` are the folders of the interpreter, which may lie in somebody's home."""
    with contextlib.ExitStack() as stack:
        root = scratch.make("bait")
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        folder, public, secret = root / "job", root / "public", root / "val.bin"
        folder.mkdir()
        public.write_text("read me")
        secret.write_bytes(b"the validation tokens")
        tcp, udp = stack.enter_context(socket.socket()), _datagrams(stack)
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        shm = _shared(stack)
        facts = {
            "secret": str(secret),
            "home": str(Path.home()),
            "python": list(python),
            "shm": shm,
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "socket": _listener(stack, str(root / "socket")),
            "abstract": _listener(stack, f"\0autoresearch-{os.getpid()}-{root.name}")[1:],
            "mark": MARK,
            "victim": _victim(stack),
            "process_vm_readv": seccomp.number("process_vm_readv"),
            "calls": {name: seccomp.number(name) for name in CALLS},
        }
        yield Bait(folder, public, facts)


def _datagrams(stack: contextlib.ExitStack) -> socket.socket:
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))
    return server


def _listener(stack: contextlib.ExitStack, address: str) -> str:
    server = stack.enter_context(socket.socket(socket.AF_UNIX))
    server.bind(address)
    server.listen()
    return address


def _shared(stack: contextlib.ExitStack) -> str:
    """A file of shared memory; the empty path where the machine has none, which cannot be read either."""
    try:
        scratch.sweep("bait", Path("/dev/shm"))  # noqa: S108 - where it lies
        file = tempfile.NamedTemporaryFile(dir="/dev/shm", prefix=scratch.prefix("bait"))  # noqa: SIM115
    except OSError:
        return ""
    stack.enter_context(file)
    file.write(b"shared")
    file.flush()
    return file.name


def _victim(stack: contextlib.ExitStack) -> int:
    """A process of the same user that does nothing, with the mark in its environment."""
    child = subprocess.Popen(
        ["sleep", "60"], env={"PATH": os.defpath, MARK: "1"}, stdin=subprocess.DEVNULL
    )
    stack.callback(child.wait)
    stack.callback(child.kill)
    return child.pid
