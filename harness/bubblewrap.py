"""The command line of bubblewrap: a cell of namespaces, with a read-only system and nothing of the user's.

It starts nothing and judges nothing; `harness.sandbox` does.
"""

from __future__ import annotations

import functools
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.environment import without_credentials
from harness.spec import HarnessError

TMP_MB, SHM_MB = 4096, 2048  # sizes of the private /tmp and /dev/shm
JOB = "/job"  # working directory inside
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
)


def command(
    argv: Sequence[str],
    *,
    binds: Iterable[tuple[str, str, str]],
    devices: Sequence[str],
    environment: Mapping[str, str],
    filter_fd: int,
    status_fd: int | None,
) -> list[str]:
    """The line that runs `argv` inside; `binds` are (flag, path outside, path inside).

    `devices` are bound after /dev is made, together with /sys, or CUDA fails to initialise. The program of seccomp
    is read from `filter_fd`. Raises HarnessError when bubblewrap is missing.
    """
    # bubblewrap's own first process stays in there with its environment, so that one is emptied as well.
    line = ["/usr/bin/env", "-i", _program(), *_namespaces(), *_system()]
    line += [word for node in devices for word in ("--dev-bind-try", node, node)]
    if devices:
        line += ["--ro-bind-try", "/sys", "/sys"]
    line += ["--size", str(SHM_MB << 20), "--tmpfs", "/dev/shm"]  # noqa: S108 - a fresh one, inside
    line += ["--size", str(TMP_MB << 20), "--tmpfs", "/tmp"]  # noqa: S108
    line += ["--dir", "/tmp/home", "--size", str(TMP_MB << 20), "--tmpfs", JOB]  # noqa: S108
    for path in interpreter():
        line += ["--ro-bind", path, path]
    for bind in binds:
        line += bind
    if status_fd is not None:
        line += ["--json-status-fd", str(status_fd)]
    for name, value in environment.items():
        line += ["--setenv", name, value]
    return [*line, "--seccomp", str(filter_fd), "--chdir", JOB, "--", *argv]


@functools.cache
def interpreter() -> tuple[str, ...]:
    """Folders of Python and its packages that the system folders do not cover already, outermost first."""
    wanted = {sys.prefix, sys.base_prefix, *site.getsitepackages()}
    wanted.add(str(Path(sys.executable).resolve().parent.parent))
    paths: list[str] = []
    for path in sorted(map(os.path.realpath, wanted)) + sorted(wanted):
        covered = any(path == known or path.startswith(f"{known}/") for known in (*SYSTEM, *paths))
        if not covered and Path(path).is_dir():
            paths.append(path)
    return tuple(paths)


def _program() -> str:
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
    text = subprocess.run(
        [_program(), "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=without_credentials(),
    )
    return f"{flag} " in text.stdout + text.stderr


def _namespaces() -> list[str]:
    line = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    line += ["--unshare-cgroup-try", "--uid", "1000", "--gid", "1000", "--hostname", "sandbox"]
    line += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    if _knows("--disable-userns"):  # 0.8: a second lock beside the filter
        line.append("--disable-userns")
    return line


def _system() -> list[str]:
    """The operating system, read-only; on merged systems /bin and its like stay links into /usr."""
    line: list[str] = []
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            line += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            line += ["--ro-bind", str(path), str(path)]
    for name in SETTINGS:
        line += ["--ro-bind-try", name, name]
    return [*line, "--proc", "/proc", "--dev", "/dev"]
