"""Files and folders that appear as a whole or not at all, and never in place of others unless that was asked for.

What is being written lies under a hidden name beside its place until it is complete and on the disk. Whatever ends the
writing (a fault, a full disk, Ctrl-C, SIGTERM, a closed terminal) takes it away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import BinaryIO, NoReturn

from evolve.model import EvolveError, UsageError

MARK = "<!-- made by autoresearch export -->"  # how a README.md of a folder begins that may be replaced
SUMS = "SHA256SUMS"
_MANIFEST = b'"format": "autoresearch data"'
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal ended the writing; as KeyboardInterrupt, no fault that anybody should catch on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def save(path: Path, write: Callable[[BinaryIO], None], *, replace: bool) -> None:
    """Let `write` fill a file, and put it at `path` once it is complete.

    A pipe or a device at `path` is written to as it is. Raises UsageError where something is and `replace` is not asked for,
    EvolveError on a fault of the system.
    """
    with _told(path):
        if _is_stream(path):
            with path.open("wb") as stream:
                write(stream)
            return
        _refuse(path, replace=replace)
        temporary = _beside(path)
        with _unless_ended(), _removed(temporary):
            with temporary.open("xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # unlike a rename, never in place of something
        _settle(path.parent)


def save_folder(path: Path, write: Callable[[Path], None], *, replace: bool) -> None:
    """Let `write` fill a fresh folder, and put it at `path` once it is complete.

    With `replace` a folder that is there goes, but only one that an export has made, as its README.md or manifest.json
    tell, and to which nobody has added a file, as far as it has sums. Raises as `save`.
    """
    with _told(path):
        _refuse(path, replace=replace)
        temporary = _beside(path)
        old = temporary.with_suffix(".old")
        with _unless_ended(), _removed(temporary), _removed(old):
            temporary.mkdir()
            write(temporary)
            _sync(temporary)
            if path.is_dir() and not path.is_symlink():
                _check_own(path)
                path.rename(old)
                try:
                    temporary.rename(path)
                finally:
                    if not path.exists():  # whatever came in between, a signal included
                        old.rename(path)
            else:
                temporary.rename(path)
        _settle(path.parent)


# ---- private -------------------------------------------------------------------------------------------------


def _beside(path: Path) -> Path:
    name = path.name[:100]  # a longer one would not leave room for the ending
    return path.with_name(f".{name}.{os.getpid()}.tmp")


def _is_stream(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _refuse(path: Path, *, replace: bool) -> None:
    if not os.path.lexists(path):
        return
    what = "folder" if path.is_dir() else "file"
    if not replace:
        raise UsageError(f"There is a {what} {path} already; name another one, or replace it.")


def _check_own(path: Path) -> None:
    """A folder of somebody's work must never go because its name was given."""
    inside = {entry.name for entry in path.iterdir()}
    if inside and (".git" in inside or not _is_ours(path)):
        raise UsageError(f"{path} is no folder that an export has made, so it stays; name another one.")  # fmt: skip
    if added := _added(path):
        raise UsageError(f"{path} holds {added}, which no export has written, so it stays; name another one.")  # fmt: skip


def _is_ours(path: Path) -> bool:
    for name, sign in (("README.md", MARK.encode()), ("manifest.json", _MANIFEST)):
        with contextlib.suppress(OSError), (path / name).open("rb") as file:
            if sign in file.read(256):
                return True
    return False


def _added(path: Path) -> str:
    """A file in it of which its sums know nothing, `""` where there is none, or where there are no sums."""
    try:
        text = (path / SUMS).read_text("utf-8", "replace")
    except OSError:
        return ""
    known = {line.partition("  ")[2] for line in text.splitlines()} | {SUMS}
    names = (p.relative_to(path).as_posix() for p in sorted(path.rglob("*")) if not p.is_dir())
    return next((name for name in names if name not in known), "")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Faults of the system as sentences; a reader that closed its end of a pipe is none of them."""
    try:
        yield
    except FileExistsError:
        raise UsageError(f"There is a file {path} already; name another one, or replace it.") from None  # fmt: skip
    except BrokenPipeError:
        raise
    except OSError as error:
        raise EvolveError(f"{path} cannot be written: {(error.strerror or 'fault').lower()}.") from None  # fmt: skip


@contextlib.contextmanager
def _removed(temporary: Path) -> Iterator[None]:
    """Whatever is still there at the end goes."""
    try:
        yield
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _unless_ended() -> Iterator[None]:
    """SIGTERM and SIGHUP end the writing as Ctrl-C does; then they do what they would have done.

    Outside of the main thread the app has them in hand.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    mine = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, _end)
    try:
        yield
    except Ended as ended:
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
        raise
    finally:
        for number in mine:
            signal.signal(number, before[number])


def _end(number: int, _: FrameType | None) -> NoReturn:
    raise Ended(number)


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            _settle(path)


def _settle(path: Path) -> None:
    """Let it be on the disk, where the file system can do that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
