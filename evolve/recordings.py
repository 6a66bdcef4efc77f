"""Recordings of runs: where one is, a private copy of it to play from, and the small packed one that is shipped.

A recorded file is only ever read; whatever is done with it is done to a copy in a scratch folder. It knows nothing of
what the rows mean.
"""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from contextlib import closing
from lzma import LZMAError
from pathlib import Path

from evolve.database import check_version, faults, open_writer
from evolve.gitrun import GitRunner
from evolve.model import EvolveError, UsageError
from evolve.places import JOURNAL, STATE

DEMO = Path(__file__).with_name("demo.tar.xz")  # made by `python -m tests.tui.record`
SOURCES = "sources.bundle"  # in a packed recording: a git bundle of every candidate


def journal_at(place: Path) -> Path:
    """The journal that a person means: the file itself, or that of a workspace or of its state folder.

    Raises UsageError when there is none.
    """
    for path in (place, place / JOURNAL, place / STATE / JOURNAL):
        if path.is_file():
            return path
    what = "has no journal" if place.is_dir() else "does not exist"
    raise UsageError(
        f"{place} {what}; name a {JOURNAL}, or the workspace of a run (`autoresearch replay` alone plays the demo)."
    )


def copy_journal(path: Path, to: Path) -> None:
    """Copy the journal at `path`, whatever engine writes it, to `to`, with the tables of this version.

    Nothing is made or changed beside `path`, so it may lie on a medium that cannot be written. Raises EvolveError when
    it is damaged, no journal, or from a newer version.
    """
    with faults(path):
        log, index = (path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))
        if not log.exists() or not log.stat().st_size:
            _backup(path, "immutable=1", to)
        elif not (index.exists() and _backup_of_live(path, to)):
            shutil.copyfile(path, to)
            shutil.copyfile(log, to.with_name(f"{to.name}-wal"))
        with closing(sqlite3.connect(to)) as db:
            checked = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if checked != "ok":
                raise EvolveError(f"{path} is damaged; restore it from a backup to play it.")
            check_version(db, path)
        open_writer(to).close()


def _backup_of_live(path: Path, to: Path) -> bool:
    """Copy a file that an engine may be writing to; False where SQLite cannot share it, as on a read-only medium."""
    try:
        _backup(path, "mode=ro", to)
    except sqlite3.OperationalError:
        to.unlink(missing_ok=True)
        return False
    return True


def _backup(path: Path, how: str, to: Path) -> None:
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True)) as recorded,
        closing(sqlite3.connect(to)) as copy,
    ):
        recorded.backup(copy)


def lend_sources(journal: Path, workspace: Path) -> None:
    """Let git in the scratch folder `workspace` read the repository beside a recorded journal, if there is one."""
    if journal.parent.name != STATE:
        return
    home = journal.parent.parent
    found = home / ".git"
    if found.is_file():  # a worktree: the file names the folder, perhaps from there
        found = home / found.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
    if found.is_dir():
        (workspace / ".git").write_text(f"gitdir: {found.resolve()}\n", encoding="utf-8")


# ---- packed --------------------------------------------------------------------------------------------------


def pack(out: Path, journal: Path, bundle: Path) -> None:
    """Pack a journal and a git bundle of its candidates into one small file; the same files give the same bytes."""
    with tarfile.open(out, "w:xz", preset=9) as packed:
        for path, name in ((journal, JOURNAL), (bundle, SOURCES)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                packed.addfile(member, file)


def unpack(packed: Path, folder: Path) -> Path:
    """Unpack a recording into `folder` as a workspace with its journal and repository; returns the journal."""
    state = folder / STATE
    state.mkdir(parents=True)
    try:
        with tarfile.open(packed, "r:xz") as opened:
            for name, to in ((JOURNAL, state / JOURNAL), (SOURCES, folder / SOURCES)):
                file = opened.extractfile(name)
                if file is None:
                    raise tarfile.TarError(f"{name} is no file")
                with file, to.open("wb") as out:
                    shutil.copyfileobj(file, out)
    except (tarfile.TarError, LZMAError, EOFError, KeyError) as error:
        raise EvolveError(f"{packed} is no recording, or damaged ({error}).") from error
    except FileNotFoundError as error:
        raise UsageError(f"{packed} does not exist; name a {JOURNAL} or a workspace.") from error
    git = GitRunner(folder)
    git.run("clone", "--quiet", "--bare", str(folder / SOURCES), str(folder / ".git"))
    return state / JOURNAL
