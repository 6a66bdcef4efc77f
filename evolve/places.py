"""Where a workspace keeps its state; the only module that names those files.

Everything lies in one private folder that git ignores by itself, so a user's repository needs no edit.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from evolve.model import EvolveError

STATE = ".autoresearch"
SETTINGS_FILE = "autoresearch.toml"
LIVE_FILE = f"{STATE}/live.toml"
JOURNAL = "journal.db"
REPAIRED = "journal.repaired.db"  # it is to take the journal's place: a repair was cut off
LOCK = "engine.lock"
KEEPER = "keeper.lock"
LOG = "engine.log"
EXPERIMENTS = "experiments"
WORKTREES = "worktrees"


def state_folder(workspace: Path) -> Path:
    """`WORKSPACE/.autoresearch`, made private (0700) and invisible to git when it is not there yet."""
    folder = workspace / STATE
    if folder.is_symlink():
        raise EvolveError(
            f"{folder} is a link, which could lead the run's state anywhere; move it away, or put the folder itself "
            "there."
        )
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except FileNotFoundError:
        raise EvolveError(f"There is no folder {workspace}; check its name.") from None
    except FileExistsError:
        raise EvolveError(
            f"{folder} is a file; move it away, the run's state belongs there."
        ) from None
    except OSError as error:
        raise EvolveError(
            f"The folder {folder} cannot be made: {(error.strerror or 'fault').lower()}; "
            "check that you may write there and that the disk is not full."
        ) from None
    return folder


def head_of(path: Path, most: int) -> bytes:
    """At most so many bytes of a regular file that a person may be editing. Never waits, as for a pipe; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISDIR(mode := os.fstat(descriptor).st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a folder", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)
