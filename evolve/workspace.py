"""A fresh workspace: a git repository with the trainer, the research directions and the settings, committed.

Never touches a folder that holds anything already.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import git

from evolve.model import EvolveError

HOME = Path(__file__).resolve().parent.parent
IGNORED = "# what autoresearch and train.py leave behind\n.autoresearch/\nresults.tsv\nrun.log\n__pycache__/\n"


def create(directory: Path) -> None:
    """Make `directory` a workspace whose branch is main. Raises EvolveError when it is not empty."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise EvolveError(
            f"{directory} is not empty; give `autoresearch init` the name of a folder that does not exist yet."
        )
    trainer = directory / "trainer"
    trainer.mkdir(parents=True)
    shutil.copyfile(HOME / "trainer" / "train.py", trainer / "train.py")
    for name in ("program.md", "autoresearch.toml"):
        # In a checkout they stand at the top; an installed wheel carries them beside train.py.
        source = HOME / name if (HOME / name).is_file() else HOME / "trainer" / name
        shutil.copyfile(source, directory / name)
    (directory / ".gitignore").write_text(IGNORED)
    with git.Repo.init(directory, initial_branch="main") as repo:
        repo.index.add(["trainer/train.py", "program.md", "autoresearch.toml", ".gitignore"])
        repo.index.commit("A fresh autoresearch workspace")
