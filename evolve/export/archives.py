"""All of a run as one file: the folder of `everything`, packed. Names are in order and times the run's, so equal folders
give equal archives."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evolve.export.everything import write_folder

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_MODE = 0o644
_LEVEL = 6  # of compression; Parquet and PNG are compressed already


def write_tar(gathered: Gathered, file: BinaryIO) -> None:
    """A gzipped tar archive with one folder in it."""
    with _filled(gathered) as folder:
        pack_tar(folder, _root(gathered), gathered.run.created, file)


def write_zip(gathered: Gathered, file: BinaryIO) -> None:
    """A zip archive with one folder in it."""
    with _filled(gathered) as folder:
        pack_zip(folder, _root(gathered), gathered.run.created, file)


def pack_tar(folder: Path, root: str, when: float, file: BinaryIO) -> None:
    """The files of `folder` below the name `root`, all of the time `when` (unix seconds) and of nobody."""
    with (
        gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path, name in _files(folder, root):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = path.stat().st_size, int(when), _MODE
            with path.open("rb") as content:
                archive.addfile(entry, content)


def pack_zip(folder: Path, root: str, when: float, file: BinaryIO) -> None:
    """The same; zip knows no time before 1980."""
    moment = time.gmtime(max(when, 315532800))[:6]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for path, name in _files(folder, root):
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, _MODE << 16
            with path.open("rb") as content, archive.open(entry, "w") as out:
                while chunk := content.read(1 << 20):
                    out.write(chunk)


# ---- private -------------------------------------------------------------------------------------------------


def _root(gathered: Gathered) -> str:
    return f"{gathered.run.name}-all"


def _files(folder: Path, root: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path, f"{root}/{path.relative_to(folder).as_posix()}"


@contextmanager
def _filled(gathered: Gathered) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="autoresearch-") as name:
        folder = Path(name) / "all"
        folder.mkdir()
        write_folder(gathered, folder)
        yield folder
