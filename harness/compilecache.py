"""Compiled kernels from one training to the next, without a way for one candidate to reach another.

Caches of inductor and triton are code (pickles, shared objects), so a candidate writes into a private copy only.
That copy starts from the *base*, which grows from sources that a person vouches for, and from the *layer* of the
very same source. What a candidate wrote is taken once, when its clock starts: a cache must not become a memory in
which weights outlive their training. Nothing in here is ever loaded by a trusted process.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from harness.crashpoints import reached

LAYER_LIMIT = 256 << 20  # bytes that one source may leave behind
BASE_LIMIT = 512 << 20  # bytes of the base, which every candidate copies; then it begins anew
LAYERS_LIMIT = 8 << 30  # bytes of all layers; the least recently used go first
FOLDER_LIMIT = 1 << 30  # bytes of a candidate's copy and whatever else it writes to the disk
FILE_LIMIT = 5000  # files of a layer, and of the base; one training compiles some hundreds
_CHUNK = 8 << 20
_KEY = re.compile(r"[0-9a-f]{64}")
_UNFINISHED = "new-"  # how names begin of folders in which a layer is made
_PARTIAL = ".partial"  # name of a file that is still being copied


class TooLarge(Exception):
    """More files or bytes than a layer may have."""


@dataclass(frozen=True, slots=True)
class Loan:
    """One experiment's private copy in `folder`."""

    root: Path
    folder: Path
    key: str  # of the source
    trusted: bool
    warm: bool  # this very source has compiled its kernels before
    kin: tuple[str, ...] = ()  # sources whose layers came along

    def keep(self) -> None:
        """Take what is new in the copy into the base (a trusted source) or into the source's own layer.

        The copy may be in use by a hostile process: only regular files are read, and no link is followed. A
        disk that is full costs later trainings their warm start, and this one nothing.
        """
        with contextlib.suppress(TooLarge, OSError), _locked(self.root):
            reached("compilecache.before-keep")
            if self.trusted:
                self._grow_base()
            elif not self.warm and not _layer(self.root, self.key).exists():
                self._make_layer()

    def _grow_base(self) -> None:
        base, old = _base(self.root), self.root / "old"
        files, size = extent(base)
        full = size > BASE_LIMIT or files > FILE_LIMIT
        shutil.rmtree(old, ignore_errors=True)  # of a runner that was killed in here
        if full:  # what this run has compiled itself is the beginning of a new one
            # In this order: who is known here without a base would only be told wrong of its kernels.
            shutil.rmtree(self.root / "trusted", ignore_errors=True)
            base.rename(old)
        known = old if full else base
        copy(self.folder, base, skip=lambda path: (known / path).exists())
        if full:
            shutil.rmtree(old)
        (self.root / "trusted").mkdir(exist_ok=True)
        (self.root / "trusted" / self.key).touch()

    def _make_layer(self) -> None:
        """What is not in the base: the kin's kernels too, for the children, unless all is too much."""
        layers = self.root / "layers"
        layers.mkdir(exist_ok=True)
        inherited = [_layer(self.root, key) for key in self.kin]
        for known in ([_base(self.root)], [_base(self.root), *inherited]):
            with (
                contextlib.suppress(TooLarge),
                tempfile.TemporaryDirectory(dir=self.root, prefix=_UNFINISHED) as new,
            ):
                fresh = Path(new) / "layer"
                copy(self.folder, fresh, skip=partial(_is_in, known))
                reached("compilecache.before-layer")
                if fresh.exists():
                    fresh.rename(_layer(self.root, self.key))
                break
        _thin_out(layers)


def source_key(source: str) -> str:
    """Under what the layer of a source is kept: its SHA-256 in hex."""
    return hashlib.sha256(source.encode()).hexdigest()


def borrow(
    root: Path, source: str, folder: Path, *, trusted: bool, kin: tuple[str, ...] = ()
) -> Loan:
    """Fill the new `folder` with the base and the layer of `source`; the candidate may do there what it likes.

    `trusted`: a person vouches for `source`, so that what it compiles may enter the base. `kin`: keys of sources
    that it descends from. Their layers come along: whoever inherits a parent's code may as well run its kernels.
    """
    key, kin = source_key(source), tuple(filter(_KEY.fullmatch, kin))
    folder.mkdir(parents=True)
    layer = _layer(root, key)
    # Without it, kernels are compiled again.
    with contextlib.suppress(TooLarge, OSError), _locked(root):
        copy(_base(root), folder, files=2 * FILE_LIMIT, size=BASE_LIMIT + LAYER_LIMIT)
        for lent in (*(_layer(root, other) for other in kin), layer):
            copy(lent, folder)
            if lent.exists():
                os.utime(lent)
    warm = layer.exists() or (root / "trusted" / key).exists()
    return Loan(root, folder, key, trusted, warm, kin)


def copy(
    source: Path,
    target: Path,
    *,
    skip: Callable[[Path], bool] = lambda path: False,
    files: int = FILE_LIMIT,
    size: int = LAYER_LIMIT,
) -> None:
    """Copy the regular files below `source`, but those whose relative path is to be skipped, as new private files.

    Safe while somebody else changes `source`. Raises TooLarge beyond so many `files` or bytes (`size`);
    nothing at all is copied from a folder that is not there.
    """
    if not source.exists():
        return
    for folder, _, names, descriptor in os.fwalk(source, follow_symlinks=False):
        relative = Path(folder).relative_to(source)
        wanted = [name for name in names if not skip(relative / name)]
        files -= len(wanted)
        if files < 0:
            raise TooLarge("too many files")
        if not wanted:
            continue
        (target / relative).mkdir(parents=True, exist_ok=True)
        into = os.open(target / relative, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in wanted:
                size -= _copy_file(name, descriptor, into, size)
        finally:
            os.close(into)


def _copy_file(name: str, source: int, target: int, limit: int) -> int:
    """Copy one regular file between open folders, whole or not at all; returns its bytes, 0 for all else."""
    try:
        reader = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source
        )
    except OSError:  # a link, a socket, or gone: not ours to keep
        return 0
    try:
        facts = os.fstat(reader)
        if not stat.S_ISREG(facts.st_mode):
            return 0
        if facts.st_size > limit:
            raise TooLarge(f"more than {limit:,} bytes")
        writer = os.open(_PARTIAL, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, dir_fd=target)
        try:
            left = facts.st_size
            while left and (sent := os.sendfile(writer, reader, None, min(left, _CHUNK))):
                left -= sent
        finally:
            os.close(writer)
        os.rename(_PARTIAL, name, src_dir_fd=target, dst_dir_fd=target)
    finally:
        os.close(reader)
    return facts.st_size


def _is_in(folders: list[Path], path: Path) -> bool:
    """Whether one of the folders has a file of this relative path."""
    return any((folder / path).exists() for folder in folders)


def _base(root: Path) -> Path:
    return root / "base"


def _layer(root: Path, key: str) -> Path:
    return root / "layers" / key


def extent(folder: Path) -> tuple[int, int]:
    """Number and bytes of all files below, links not followed; none for what is not there, or goes meanwhile."""
    files = size = 0
    folders = [os.fspath(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
    return files, size


def _thin_out(layers: Path) -> None:
    """Remove the layers that nobody has used for longest, until the rest fits."""
    held = 0
    for layer in sorted(layers.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
        held += extent(layer)[1]
        if held > LAYERS_LIMIT:
            shutil.rmtree(layer)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Runners of several GPUs share this folder; what killed ones were about to keep is removed."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in root.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
