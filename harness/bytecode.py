"""Byte code of the packages that a training on a GPU imports: without it each one starts many seconds later.

pip writes it at installation, uv only when asked. A sandbox sees the installation read-only, so a candidate would
compile the modules of torch and of its compiler in memory, every time: 16 s instead of 8, measured on two busy cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from harness.process import own_env

# A module of each package that only a candidate imports; no trusted process has written its byte code in passing.
PROBES = {
    "torch": "_inductor/compile_fx.py",
    "triton": "compiler/compiler.py",
    "sympy": "core/expr.py",
}
PATIENCE = 300.0  # seconds; two busy cores need 20


def missing() -> list[Path]:
    """Folders of the installed packages that have no byte code for this Python."""
    folders = {name: _folder(name) for name in PROBES}
    return [
        folder
        for name, folder in folders.items()
        if folder and (folder / PROBES[name]).is_file() and not _compiled(folder / PROBES[name])
    ]


def write(folders: Iterable[Path]) -> None:
    """Write what is missing in those of `folders` that we may write to, on all CPUs."""
    ours = [str(folder) for folder in folders if writable(folder)]
    if ours:
        env = own_env()
        env.pop("PYTHONPYCACHEPREFIX", None)  # a candidate looks beside the source
        line = [sys.executable, "-P", "-m", "compileall", "-qq", "-j", "0", *ours]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(line, env=env, stdin=subprocess.DEVNULL, check=False, timeout=PATIENCE)


def writable(folder: Path) -> bool:
    """Whether we may write there."""
    return os.access(folder, os.W_OK)


def _folder(package: str) -> Path | None:
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    return Path(places[0]) if places else None


def _compiled(source: Path) -> bool:
    tag = sys.implementation.cache_tag
    return (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").exists()
