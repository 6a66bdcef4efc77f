"""Where the harness keeps what outlives a run: downloads, data sets, compile caches.

The folder is private to the user. Nothing in here is ever needed to read a run's history, so all of it may be
deleted at any time; it must never hold the only copy of anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from harness.spec import Cause, HarnessError

CACHE_VARIABLE = "AUTORESEARCH_CACHE"


def cache_dir() -> Path:
    """Return the cache folder, `$AUTORESEARCH_CACHE` or `~/.cache/autoresearch`, made (0700) if need be.

    Raises HarnessError when it cannot be made.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    folder = Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "autoresearch"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"Cannot make the cache folder {folder} ({error.strerror}); "
            f"set {CACHE_VARIABLE} to a folder that you may write."
        ) from error
    return folder.absolute()


@contextlib.contextmanager
def full_disks_named() -> Iterator[None]:
    """Turn an OSError of a full disk into a HarnessError that says so; all others pass."""
    try:
        yield
    except OSError as fault:
        if not is_full(fault):
            raise
        where = f" of {fault.filename}" if fault.filename else ""
        raise HarnessError(
            f"The disk{where} is full; free some space, and it is tried again.", Cause.DISK_FULL
        ) from fault


def is_full(error: OSError) -> bool:
    """Whether a write failed because the disk, the quota or the largest allowed file size is reached."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
