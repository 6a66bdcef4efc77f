"""A damaged journal made whole: every row that can be read, the rest from copies, git and the folders of trainings.

The damaged file is put aside, never deleted and never written to: rows are read off a copy of it. The new file is made
beside it, looked at as any journal is, and takes the old one's place in steps of which each can be the last: a repair that
was cut off is carried on by the next one. The caller holds the engine's lock.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from evolve.backup import copies, sync
from evolve.database import check_version, open_writer, without_rules
from evolve.mending import Mended, mend
from evolve.model import EvolveError
from evolve.places import EXPERIMENTS, JOURNAL
from evolve.places import REPAIRED as FINISHED
from evolve.salvage import KEYS, Tables, merged, rows_of
from evolve.soundness import Soundness, examine
from harness.crashpoints import reached

UNFINISHED = "journal.repaired.tmp"
_LOGS = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair came to."""

    before: Soundness
    kept: dict[str, int]  # table → rows in the journal now
    from_copies: int  # rows that only a copy had, or had readable
    unfit: int  # rows that were read and cannot be true
    mended: Mended
    after: tuple[str, ...]  # what still does not fit
    aside: Path  # where the damaged file is now


def look(path: Path) -> Soundness:
    """What is wrong with the journal at `path`; SQLite's own words where it does not even open it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return examine(db)
    except sqlite3.Error as error:
        return Soundness((str(error),), ())


def behind(folder: Path) -> tuple[str, ...]:
    """What says that the journal in `folder` has forgotten something: a copy or a folder that is ahead of it."""
    path, found = folder / JOURNAL, []
    try:
        last = _last(path, "event")
        for copy in copies(folder):
            if (there := _last(copy, "event")) > last:
                found.append(
                    f"{copy.name} tells of {there - last} more events than {path.name} does."
                )
        made = max(
            (int(p.name) for p in (folder / EXPERIMENTS).glob("*") if p.name.isdecimal()), default=0
        )
        if made > (known := _last(path, "experiment")):
            found.append(
                f"There is a folder of training {made}, but {path.name} ends with training {known}."
            )
    except sqlite3.Error:
        return ()  # which `look` tells
    return tuple(found)


def finish(folder: Path) -> bool:
    """Let a finished file take the journal's place that a repair was cut off with; False where there is none."""
    if not (folder / FINISHED).exists():
        return False
    _replace(folder)
    return True


def repair(workspace: Path, folder: Path, script: str) -> Repair:
    """Make the journal in the state folder `folder` whole; `script`: the file that candidates are versions of.

    Raises EvolveError, with everything as it was, when it comes from a newer version, or nothing can be brought back.
    """
    path = folder / JOURNAL
    _refuse_newer(path)
    before = look(path)
    with TemporaryDirectory(dir=folder, prefix="repair-") as scratch:
        damaged = rows_of(_copied(path, Path(scratch))) if path.exists() else {}
        sound = [
            rows_of(_copied(copy, Path(scratch))) for copy in copies(folder) if _is_sound(copy)
        ]
    together = merged(damaged, sound)
    if not together["run"]:
        raise EvolveError(
            f"Nothing of the run can be read in {path}, and there is no copy of it. Its candidates are still in git "
            "(`git for-each-ref refs/autoresearch`); move the file away to begin anew."
        )
    unfinished = folder / UNFINISHED
    mended, unfit = _write(unfinished, together, workspace, folder, script)
    found = look(unfinished)
    if found.damage:
        raise EvolveError(
            f"{unfinished} could not be made whole ({found.damage[0]}); {path} is as it was."
        )
    kept = {table: _rows(unfinished, table) for table in KEYS}
    aside = _swap(folder)
    return Repair(
        before, kept, _only_in_copies(damaged, together), unfit, mended, found.oddities, aside
    )


# ---- private ---------------------------------------------------------------------------------------------


def _rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def _last(path: Path, table: str) -> int:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])  # noqa: S608


def _refuse_newer(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
            check_version(db, path)
    except sqlite3.Error:
        return


def _is_sound(copy: Path) -> bool:
    return not look(copy).damage


def _copied(path: Path, scratch: Path) -> Path:
    for ending in ("", "-wal"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            shutil.copyfile(beside, scratch / beside.name)
    return scratch / path.name


def _only_in_copies(damaged: Tables, together: Tables) -> int:
    return sum(len(rows.keys() - damaged.get(table, {}).keys()) for table, rows in together.items())


def _write(
    to: Path, tables: Tables, workspace: Path, folder: Path, script: str
) -> tuple[Mended, int]:
    """Fill a fresh journal; returns what was mended and how many rows do not fit its constraints."""
    for ending in ("", *_LOGS):
        to.with_name(to.name + ending).unlink(missing_ok=True)
    os.close(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    unfit = 0
    with closing(open_writer(to)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.row_factory = sqlite3.Row
        with without_rules(db):
            for table, rows in tables.items():
                names = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
                for row in rows.values():
                    known = [name for name in row if name in names]
                    try:
                        db.execute(
                            f"INSERT INTO {table} ({', '.join(known)}) "  # noqa: S608 - columns of our own
                            f"VALUES ({', '.join('?' * len(known))})",
                            [row[name] for name in known],
                        )
                    except sqlite3.IntegrityError:
                        unfit += 1
            mended = mend(db, workspace, folder, script)
        db.execute("PRAGMA journal_mode = DELETE")
    return mended, unfit


def _swap(folder: Path) -> Path:
    """Put the old file and its log aside and the new one in its place."""
    path, unfinished = folder / JOURNAL, folder / UNFINISHED
    aside = folder / time.strftime("journal.damaged-%Y%m%d-%H%M%S.db")
    sync(unfinished)
    reached("repair.before-aside")
    for ending in ("", "-wal"):
        old = path.with_name(path.name + ending)
        if old.exists():
            kept = aside.with_name(aside.name + ending)
            shutil.copyfile(old, kept)
            kept.chmod(0o600)
            sync(kept)
    unfinished.replace(folder / FINISHED)  # from here on it is what counts
    sync(folder)
    _replace(folder)
    return aside


def _replace(folder: Path) -> None:
    # A log of the old file would be played into the new one: it goes first.
    for ending in _LOGS:
        (folder / f"{JOURNAL}{ending}").unlink(missing_ok=True)
    reached("repair.before-replace")
    (folder / FINISHED).replace(folder / JOURNAL)
    sync(folder)
