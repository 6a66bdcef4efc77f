"""Temporary folders whose names say whose they are: what a killed process has left is removed by the next one.

It never removes the folder of a process that lives, or that cannot be judged from here, or of another user.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from harness import identity

_PREFIX = "autoresearch"


def make(kind: str) -> Path:
    """A new private folder below the system's place for temporary files, to be removed by whoever asks for it.

    What dead processes have left of this `kind` is removed first. Raises OSError when the disk is full.
    """
    sweep(kind)
    return Path(tempfile.mkdtemp(prefix=prefix(kind)))


def prefix(kind: str) -> str:
    """How the names of our own begin, of folders and files alike."""
    return f"{_PREFIX}-{kind}-{identity.me()}-"


def sweep(kind: str, place: Path | None = None) -> list[Path]:
    """Remove what dead processes of our user have left of a `kind` in `place`, the system's by default."""
    removed = []
    for path in (place or Path(tempfile.gettempdir())).glob(f"{_PREFIX}-{kind}-*"):
        owner = re.fullmatch(rf"{_PREFIX}-{kind}-([\d.]+)-.+", path.name)
        with contextlib.suppress(OSError):  # somebody else was faster
            if owner and identity.is_dead(owner[1]) and path.lstat().st_uid == os.getuid():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed.append(path)
    return removed
