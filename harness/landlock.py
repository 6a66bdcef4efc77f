"""A cell out of Landlock and seccomp, where bubblewrap cannot start: it holds without any namespace.

This module tells what the kernel can do and builds command lines; `harness.guardian` is what they start.

What a candidate still learns here and not in bubblewrap: that a path exists, how large the file is and whose
(contents and lists of folders are refused), and without namespaces which process ids are taken. It may lower the
priority of processes of the same user. There is no private /tmp (its job folder serves, on a real disk), and without
namespaces no /dev/shm, so that torch compiles in one process.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.environment import without_credentials
from harness.guardian import SCOPE_ABI, abi

_GUARDIAN = str(Path(__file__).resolve().parent / "guardian.py")


def scopes_signals() -> bool:
    """Whether Landlock keeps a candidate's signals among its own processes."""
    return abi() >= SCOPE_ABI


@functools.cache
def spaces() -> str:
    """The namespaces that a guardian may open: `none`, `some`, or `all` (with a /proc of its own)."""
    line = command({"try": True}, [])
    try:
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env=without_credentials(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    return done.stdout if done.returncode == 0 and done.stdout in ("some", "all") else "none"


def command(job: dict[str, Any], argv: Sequence[str]) -> list[str]:
    """The command line of a guardian.

    `job`: `cell` (without one all but `folder`, `spaces` and `status` is left out), `read`, `hidden` (what is not read nevertheless), `write`, `devices` (paths), `folder` (where to start),
    `filter` (descriptor of a seccomp program), `spaces` (as found by `spaces`), `gpu` (it needs to name its
    threads) and `status` (descriptor for a line of JSON with the exit code of what was started, or None).
    """
    python = getattr(sys, "_base_executable", None) or sys.executable
    return [python, "-I", "-S", "-B", _GUARDIAN, json.dumps(job), *argv]
