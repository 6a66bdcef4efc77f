"""Where a workspace keeps its state; the only module that names those files.

Everything lies in one private folder that git ignores by itself, so a user's repository needs no edit.
"""

from __future__ import annotations

from pathlib import Path

from evolve.model import EvolveError

STATE = ".autoresearch"
SETTINGS_FILE = "autoresearch.toml"
LIVE_FILE = f"{STATE}/live.toml"
JOURNAL = "journal.db"
LOCK = "engine.lock"
KEEPER = "keeper.lock"
LOG = "engine.log"
EXPERIMENTS = "experiments"
WORKTREES = "worktrees"


def state_folder(workspace: Path) -> Path:
    """`WORKSPACE/.autoresearch`, made private (0700) and invisible to git when it is not there yet."""
    folder = workspace / STATE
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
