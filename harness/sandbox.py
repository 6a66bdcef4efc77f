"""The cell in which a candidate runs: the ladder of levels, and a self-test that decides between them.

`bubblewrap` gives all namespaces, no network, an empty environment and a read-only system; `process` is a plain
process group and protects nothing but tidiness. This module builds command lines and judges them; it starts no
candidate. A level counts only after a script inside it has tried to break out and failed.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import site
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness.spec import HarnessError

BUBBLEWRAP, PROCESS = "bubblewrap", "process"
LEVELS = (BUBBLEWRAP, PROCESS)  # strongest first
TMP_MB, SHM_MB = 4096, 2048  # sizes of the private /tmp and /dev/shm
JOB = "/job"  # working directory inside
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
)
_PROBE_PATIENCE = 30.0  # seconds; the test itself takes a tenth of one


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path that a candidate may see at `inside`."""

    source: Path
    inside: str
    writable: bool = False

    def seen(self, level: str) -> str:
        """The path under which the candidate finds it."""
        return self.inside if level == BUBBLEWRAP else str(self.source)


class Check(NamedTuple):
    """One attempt of the self-test to break out."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What the self-test found."""

    level: str  # the strongest level that held
    available: tuple[str, ...]
    checks: tuple[Check, ...]  # of bubblewrap; empty when it does not start
    advice: str  # what to do for a stronger level; empty when there is nothing to do


def command(
    level: str,
    argv: Sequence[str],
    *,
    mounts: Sequence[Mount] = (),
    environment: Mapping[str, str] | None = None,
    gpu: bool = False,
    status_fd: int | None = None,
) -> list[str]:
    """The command line that runs `argv` at `level` with nothing but `environment` and `mounts`.

    At level `process` it is `argv` itself: environment and working directory are the caller's to set. Inside
    bubblewrap the working directory is `/job`, empty but for what is mounted there, and bubblewrap reports the
    start on `status_fd`. Raises HarnessError for an unknown level or a missing bubblewrap.
    """
    if level == PROCESS:
        return list(argv)
    if level != BUBBLEWRAP:
        raise HarnessError(f"There is no sandbox level “{level}”; choose from {', '.join(LEVELS)}.")
    # bubblewrap's own first process stays in there with its environment, so that one is emptied as well.
    line = ["/usr/bin/env", "-i", _bwrap(), *_namespaces(), *_system(), *(_gpu() if gpu else ())]
    line += ["--size", str(SHM_MB << 20), "--tmpfs", "/dev/shm"]  # noqa: S108 - a fresh one, inside
    line += ["--size", str(TMP_MB << 20), "--tmpfs", "/tmp"]  # noqa: S108
    line += ["--dir", "/tmp/home", "--size", str(TMP_MB << 20), "--tmpfs", JOB]  # noqa: S108
    for path in _interpreter():
        line += ["--ro-bind", path, path]
    for mount in mounts:
        line += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.inside]
    if status_fd is not None:
        line += ["--json-status-fd", str(status_fd)]
    for name, value in (environment or {}).items():
        line += ["--setenv", name, value]
    return [*line, "--chdir", JOB, "--", *argv]


def _bwrap() -> str:
    path = shutil.which("bwrap")
    if path is None:
        raise HarnessError(
            "bubblewrap is not installed; `apt install bubblewrap` (Debian, Ubuntu) or "
            "`dnf install bubblewrap` brings it."
        )
    return path


@functools.cache
def _knows(flag: str) -> bool:
    """Whether this bubblewrap has a flag; older ones lack some."""
    text = subprocess.run([_bwrap(), "--help"], capture_output=True, text=True, check=False)
    return f"{flag} " in text.stdout + text.stderr


def _namespaces() -> list[str]:
    line = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    line += ["--unshare-cgroup-try", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]
    line += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    if _knows("--disable-userns"):  # 0.8: without it a new user namespace opens inside
        line.append("--disable-userns")
    return line


def _system() -> list[str]:
    """The operating system, read-only; on merged systems /bin and its like stay links into /usr."""
    line: list[str] = []
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for name in _SETTINGS:
        line += ["--ro-bind-try", name, name]
    return [*line, "--proc", "/proc", "--dev", "/dev"]


def _gpu() -> list[str]:
    """The device nodes of NVIDIA; after --dev, as device binds, with /sys, or CUDA fails to initialise."""
    nodes = sorted(map(str, Path("/dev").glob("nvidia[0-9]*")))
    nodes += ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"]
    nodes += ["/dev/nvidia-caps"]
    line = [word for node in nodes for word in ("--dev-bind-try", node, node)]
    return [*line, "--ro-bind-try", "/sys", "/sys"]


@functools.cache
def _interpreter() -> tuple[str, ...]:
    """Folders of Python and its packages that the system folders do not cover already, outermost first."""
    wanted = {sys.prefix, sys.base_prefix, *site.getsitepackages()}
    wanted.add(str(Path(sys.executable).resolve().parent.parent))
    paths: list[str] = []
    for path in sorted(map(os.path.realpath, wanted)) + sorted(wanted):
        covered = any(path == known or path.startswith(f"{known}/") for known in (*_SYSTEM, *paths))
        if not covered and Path(path).is_dir():
            paths.append(path)
    return tuple(paths)


@functools.cache
def probe() -> SandboxReport:
    """Find the strongest level that holds on this machine, by a real attempt to break out; once a process."""
    try:
        checks = _attack_bubblewrap()
    except HarnessError as fault:
        return SandboxReport(PROCESS, (PROCESS,), (), str(fault))
    broken = [check for check in checks if not check.ok]
    if broken:
        advice = (
            f"bubblewrap starts, but does not hold ({', '.join(c.name for c in broken)}); "
            "update it to 0.8 or later."
        )
        return SandboxReport(PROCESS, (PROCESS,), checks, advice)
    return SandboxReport(BUBBLEWRAP, LEVELS, checks, "")


def _attack_bubblewrap() -> tuple[Check, ...]:
    """Run the attack script inside; raises HarnessError with the reason when bubblewrap does not start."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        secret = Path(folder) / "val.bin"
        secret.write_bytes(b"the validation tokens")
        public = Path(folder) / "public"
        public.write_text("read me")
        port = str(server.getsockname()[1])
        argv = [sys.executable, "-I", "-c", _ATTACK, str(secret), port, str(Path.home())]
        argv += _interpreter()  # a Python in somebody's home is visible there, and nothing else
        line = command(
            BUBBLEWRAP, argv, mounts=[Mount(public, "/data/public")], environment={"PLANTED": "no"}
        )
        environment = {"PATH": os.defpath, "AUTORESEARCH_PROBE_SECRET": "1"}
        try:
            done = subprocess.run(
                line,
                capture_output=True,
                text=True,
                env=environment,
                timeout=_PROBE_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise HarnessError(f"bubblewrap could not be tried: {fault}.") from fault
    if done.returncode:
        raise HarnessError(_why_not(done.stderr.strip()))
    found: dict[str, str] = json.loads(done.stdout)
    return tuple(Check(name, not escaped, escaped or "blocked") for name, escaped in found.items())


def _why_not(said: str) -> str:
    last = said.splitlines()[-1] if said else "it gave no reason"
    return (
        f"bubblewrap does not start here: {last}. Inside Docker, add `--security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined`; on Ubuntu, allow unprivileged user namespaces "
        "(`sysctl kernel.apparmor_restrict_unprivileged_userns=0`)."
    )


# Each attempt returns what it got hold of, or an empty string when it was kept out.
_ATTACK = """
import json, os, socket, subprocess, sys
secret, port, home, python = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]

def attempt(action):
    try:
        return str(action() or "")[:200]
    except (OSError, subprocess.CalledProcessError):
        return ""

def read_secret():
    with open(secret, "rb") as file:
        return file.read()

def write(path):
    def action():
        with open(path, "a") as file:
            file.write("x")
        return "wrote " + path
    return action

def foreign_home():
    if home == "/":
        return ""
    allowed = {os.path.relpath(path, home).split("/")[0] for path in python}
    return sorted(set(os.listdir(home)) - allowed)

def network():
    with socket.create_connection(("127.0.0.1", port), 2):
        return "connected"

def interfaces():
    return [name for _, name in socket.if_nameindex() if name != "lo"]

def nested():
    subprocess.run(["unshare", "-Ur", "true"], check=True, stderr=subprocess.DEVNULL)
    return "opened a user namespace"

def mount():
    subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True, stderr=subprocess.DEVNULL)
    return "mounted"

def strangers():
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    return pids if len(pids) > 4 else ""

def supervisor():
    with open("/proc/1/environ", "rb") as file:
        return "secret" if b"PROBE_SECRET" in file.read() else ""

print(json.dumps({
    "validation data unreadable": attempt(read_secret),
    "home invisible": attempt(foreign_home),
    "network blocked": attempt(network),
    "no network interfaces": attempt(interfaces),
    "system read-only": attempt(write("/usr/probe")),
    "mounts read-only": attempt(write("/data/public")),
    "interpreter read-only": attempt(write(os.path.join(sys.prefix, "probe"))),
    "processes hidden": attempt(strangers),
    "environment empty": "inherited" if "AUTORESEARCH_PROBE_SECRET" in os.environ else "",
    "supervisor's environment hidden": attempt(supervisor),
    "no mounting": attempt(mount),
    "no nested namespaces": attempt(nested),
}))
"""
