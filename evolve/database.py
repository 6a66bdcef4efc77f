"""The journal's file: how it is opened, brought up to date, and what its faults mean in words.

It knows no table. Every connection to a journal is made here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

from evolve.machines import rules
from evolve.model import DiskFull, EvolveError, JournalBusy
from evolve.olderfiles import AS_IF
from evolve.room import refuses
from evolve.schema import LADDER, VERSION

BUSY = 5.0  # seconds that a writer waits for another one
LOG_LIMIT = 16 << 20  # bytes of the write-ahead log that are kept for the next commits
# Shared between machines, or between a machine and its guest, without locks and shared memory that hold on both sides,
# which a write-ahead log needs (https://www.sqlite.org/wal.html). Others that lack them are found out when they are asked
# for the log. 9p and virtiofs are refused by that alone: sandboxes and containers have their own, local disk there.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "lustre"),
        *("beegfs", "gpfs", "pvfs2", "orangefs", "ocfs2", "gfs2", "davfs", "drvfs", "vboxsf"),
        *("vmhgfs", "prl_fs", "fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs"),
        *("fuse.rclone", "fuse.gcsfuse", "fuse.goofys", "fuse.juicefs", "fuse.davfs"),
        *("fuse.smbnetfs", "fuse.vmhgfs-fuse"),
    }
)


def open_writer(path: Path) -> sqlite3.Connection:
    """The engine's connection: creates the file or brings its schema up to date.

    Raises EvolveError when the file is no journal, comes from a newer version, or lies on a network share.
    """
    if (kind := file_system(path, _mounts())) in NETWORK:
        raise EvolveError(
            f"{path.parent} lies on a network file system ({kind}), where a journal can be corrupted; "
            "put the workspace on a local disk."
        )
    with faults(path):
        db = sqlite3.connect(path, isolation_level=None, timeout=BUSY)
        try:
            check_version(db, path)
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise EvolveError(
                    f"{path.parent} lies on a file system without shared memory{f' ({kind})' if kind else ''}, which a "
                    "journal needs; put the workspace on a local disk."
                )
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            # A client that stopped in the middle of reading keeps the log growing; once it is gone that is cut again.
            db.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
            _migrate(db)
            _put_rules_in_force(db)
        except (sqlite3.Error, EvolveError):
            db.close()
            raise
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """A client's connection, which cannot write; may be used from several threads, one at a time."""
    with faults(path):
        db = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=BUSY,
            check_same_thread=False,
        )
        try:
            check_version(db, path)
            for view in AS_IF.get(version(db), ()):
                db.execute(view)
        except (sqlite3.Error, EvolveError):
            db.close()
            raise
    return db


def open_sender(path: Path) -> sqlite3.Connection:
    """A client's short connection for one request; the file must exist. Requests survive a power cut too."""
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None, timeout=BUSY
    )
    db.execute("PRAGMA synchronous = FULL")
    return db


def version(db: sqlite3.Connection) -> int:
    """The schema's version; 0 before the first migration."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Raises EvolveError when the journal at `path` comes from a newer version."""
    if version(db) > VERSION:
        raise EvolveError(
            f"{path} was written by a newer autoresearch; update this one, or start in another folder."
        )


def _migrate(db: sqlite3.Connection) -> None:
    if version(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    for step in LADDER[version(db) :]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def _put_rules_in_force(db: sqlite3.Connection) -> None:
    """Let the file hold the rules of today, whatever an older version or somebody else made of them."""
    wanted = rules()
    if _rules_of(db) == wanted:
        return
    db.execute("BEGIN IMMEDIATE")
    for name in _rules_of(db):
        db.execute(f"DROP TRIGGER {name}")
    for statement in wanted.values():
        db.execute(statement)
    db.execute("COMMIT")


@contextmanager
def without_rules(db: sqlite3.Connection) -> Iterator[None]:
    """Rows may come in as they once were, all in one transaction: for copies and repairs, never for a run."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for name in _rules_of(db):
            db.execute(f"DROP TRIGGER {name}")
        yield
        for statement in rules().values():
            db.execute(statement)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _rules_of(db: sqlite3.Connection) -> dict[str, str]:
    found = db.execute(
        "SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND name LIKE 'rule!_%' ESCAPE '!'"
    )
    return dict(found.fetchall())


# ---- faults ----------------------------------------------------------------------------------------------


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn what SQLite reports about the file into a sentence; faults of our own statements stay as they are."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        sentence = _sentence(error, path)
        if sentence is None:
            raise
        raise _kind(error, path)(sentence) from error


def _kind(error: sqlite3.DatabaseError, path: Path) -> Callable[[str], EvolveError]:
    """Of those faults the ones that pass: no room, which may come as any fault of a write, and a lock that is held."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return partial(JournalBusy, journal=path)
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and refuses(path.parent)):
        return partial(DiskFull, folder=path.parent)
    return EvolveError


def _sentence(error: sqlite3.DatabaseError, path: Path) -> str | None:
    again = "then `autoresearch run` goes on; nothing that was recorded is lost"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # absent on faults of Python's own layer
    sentences = {
        sqlite3.SQLITE_NOTADB: f"{path} is no journal of autoresearch, or its beginning is damaged; "
        "`autoresearch doctor --repair` brings back what can be read.",
        sqlite3.SQLITE_CORRUPT: f"{path} is damaged; `autoresearch doctor --repair` brings back all of it that can be read.",
        sqlite3.SQLITE_FULL: f"The disk is full, so {path} cannot be written; free some space.",
        sqlite3.SQLITE_IOERR: f"{path} cannot be written ({error}); check the disk, {again}.",
        sqlite3.SQLITE_READONLY: f"{path} may not be written; "
        "check whose it is, its permissions, and that the file system is not mounted read-only.",
        sqlite3.SQLITE_CANTOPEN: f"{path} cannot be opened; "
        "check whose it is, its permissions, and that the file system is not mounted read-only.",
        sqlite3.SQLITE_PERM: f"{path} may not be opened; check whose it is and its permissions.",
        sqlite3.SQLITE_BUSY: f"{path} has been held by another process for {BUSY:.0f} seconds; see who uses it.",
    }
    return sentences.get(code)


def file_system(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`; `mounts` is the text of /proc/self/mountinfo."""
    place, best, kind = path.resolve(), -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split(" ")[4].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split(" ")[0]
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
