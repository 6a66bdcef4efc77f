"""The data set folder: found by a key of everything that shapes it, or built once and for all.

A folder appears under its name only when it is whole, and is never changed afterwards; its manifest holds the
hash of every file. Building takes minutes and memory, so it happens before a search, never during a training.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.building import fill, sha256_of, stage, write_file
from harness.corpus import Corpus, choose_source, open_source
from harness.crashpoints import reached
from harness.places import cache_dir, is_full
from harness.spec import Cause, HarnessError

RECIPE = 2  # part of every key: raise it when the same configuration begins to give other bytes
MANIFEST = "manifest.json"
LEAST_VAL_ROWS = 8  # for which validation text is asked for, whatever the evaluation needs
SMALLEST_VOCABULARY, LARGEST_VOCABULARY = 257, 65_536  # all bytes and BOS; what uint16 can count
SHARD_BYTES = (
    340_000_000  # one of climbmix, with the rows made from it: for the message of a full disk
)

Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What a data set is to be made of."""

    source: str = "auto"  # "auto", "climbmix", "local", or a path
    shards: int = 10  # training shards of climbmix, or of a folder in its format, at most
    sequence_length: int = 2048  # T
    vocabulary: int = 8192  # V, with BOS
    eval_tokens: int = 20_971_520  # validation tokens that selection sees, at most
    sealed_tokens: int | None = None  # and that it never sees, at most; None = half of eval_tokens
    local_mb: int = 400  # text of the source `local`, at most
    tokenizer_mb: int = 20  # text that the tokenizer is trained on, at most


@dataclass(frozen=True)
class Dataset:
    """A finished folder. `train()`, `val()` and `sealed()` map its rows; nothing is read before."""

    path: Path
    source: str  # "climbmix", "local", or the base name of the path
    vocabulary: int
    sequence_length: int
    train_rows: int
    val_rows: int
    sealed_rows: int  # 0 in a folder of an earlier version
    train_tokens: int  # targets: train_rows * sequence_length
    bos_id: int
    manifest: dict[str, Any]
    manifest_sha256: str

    def train(self) -> npt.NDArray[np.uint16]:
        """Training rows, uint16 [train_rows, T + 1], mapped read-only."""
        return self._rows("train.bin", self.train_rows)

    def val(self) -> npt.NDArray[np.uint16]:
        """Validation rows, uint16 [val_rows, T + 1], mapped read-only. Never for a candidate's eyes."""
        return self._rows("val.bin", self.val_rows)

    def sealed(self) -> npt.NDArray[np.uint16]:
        """Rows that selection never sees either, uint16 [sealed_rows, T + 1], mapped read-only.

        They come from documents of which nothing is in `val()`. Raises HarnessError where there are none.
        """
        if not self.sealed_rows:
            raise HarnessError(
                f"The data set {self.path} has no sealed rows, for an earlier version made it; make a new one with "
                "`autoresearch prepare`, and start a new run with `autoresearch run --name NAME`."
            )
        return self._rows("sealed.bin", self.sealed_rows)

    def _rows(self, name: str, count: int) -> npt.NDArray[np.uint16]:
        shape = (count, self.sequence_length + 1)
        return np.memmap(self.path / name, dtype=np.uint16, mode="r", shape=shape)


def prepare_dataset(cfg: DataConfig, progress: Report) -> Dataset:
    """Find the data set of `cfg`, or build it; `progress(message, fraction)` is told how far it is, 0…1.

    May be killed at any time and run twice at once: a second process waits for the first. A damaged folder is
    built anew. Raises HarnessError when there is no text, too little of it, no network, or a full disk.
    """
    _check(cfg)
    folder = cache_dir() / "datasets"
    corpus: Corpus | None = None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        corpus = _open(cfg, stage(progress, 0.0, 0.3))
        recipe = _recipe(cfg, corpus)
        key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
        with _exclusive(folder, key, progress):
            found = _find(folder / key)
            return found or _build(cfg, corpus, recipe, folder / key, progress)
    except OSError as error:
        raise _explained(error, cfg, corpus, folder) from error


def load_dataset(path: Path) -> Dataset:
    """Open a finished folder; checks the manifest, every file's size, and the hash of the small files.

    Raises HarnessError that says what to do when there is none or it is damaged.
    """
    try:
        text = (path / MANIFEST).read_bytes()
        manifest = json.loads(text)
        files: dict[str, dict[str, Any]] = manifest["files"]
        damage = next(
            (why for name, facts in files.items() if (why := _damage(path, name, facts))),
            _miscounted(manifest),
        )
        dataset = Dataset(
            path=path,
            source=manifest["source"],
            vocabulary=manifest["vocabulary"],
            sequence_length=manifest["sequence_length"],
            train_rows=manifest["train_rows"],
            val_rows=manifest["val_rows"],
            sealed_rows=manifest.get("sealed_rows", 0),
            train_tokens=manifest["train_rows"] * manifest["sequence_length"],
            bos_id=manifest["bos_id"],
            manifest=manifest,
            manifest_sha256=hashlib.sha256(text).hexdigest(),
        )
    except FileNotFoundError as error:
        raise HarnessError(
            f"There is no data set in {path}; make one with `autoresearch prepare`.",
            Cause.DATA_MISSING,
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{MANIFEST} cannot be read") from error
    if damage:
        raise _damaged(path, damage)
    return dataset


# ---- private: opening ------------------------------------------------------------------------------------


def _check(cfg: DataConfig) -> None:
    if not SMALLEST_VOCABULARY <= cfg.vocabulary <= LARGEST_VOCABULARY:
        raise HarnessError(
            f"A vocabulary of {cfg.vocabulary:,} cannot be made; set [data] vocabulary to "
            f"{SMALLEST_VOCABULARY}…{LARGEST_VOCABULARY:,}."
        )


def _open(cfg: DataConfig, report: Report) -> Corpus:
    source = cfg.source
    if source == "auto":
        from harness.device import detect

        source = choose_source(shards=cfg.shards, gpu=bool(detect().gpus))
    wanted = cfg.eval_tokens + _sealed_tokens(cfg)
    return open_source(
        source,
        shards=cfg.shards,
        local_mb=cfg.local_mb,
        eval_tokens=max(wanted, LEAST_VAL_ROWS * cfg.sequence_length),
        report=report,
    )


def _sealed_tokens(cfg: DataConfig) -> int:
    return cfg.eval_tokens // 2 if cfg.sealed_tokens is None else cfg.sealed_tokens


def _recipe(cfg: DataConfig, corpus: Corpus) -> dict[str, Any]:
    """Everything that shapes the folder; machine and time do not."""
    return {
        "recipe": RECIPE,
        "tokenizers": version("tokenizers"),
        "source": corpus.name,
        "identity": corpus.identity,
        "long_documents": corpus.long_documents,
        "sequence_length": cfg.sequence_length,
        "vocabulary": cfg.vocabulary,
        "eval_tokens": cfg.eval_tokens,
        "sealed_tokens": _sealed_tokens(cfg),
        "tokenizer_mb": cfg.tokenizer_mb,
    }


def _find(path: Path) -> Dataset | None:
    """The folder if it is whole; a damaged one is removed."""
    if not path.exists():
        return None
    try:
        return load_dataset(path)
    except HarnessError:
        doomed = path.with_name(f".{path.name}.tmp")
        path.replace(doomed)  # at once out of sight; who has it mapped keeps it
        shutil.rmtree(doomed)
        return None


def _damage(path: Path, name: str, facts: dict[str, Any]) -> str:
    """What is wrong with a file of the folder, or an empty string."""
    file = path / name
    if not file.is_file():
        return f"{name} is missing"
    if file.stat().st_size != facts["bytes"]:
        return f"{name} has {file.stat().st_size:,} bytes instead of {facts['bytes']:,}"
    # Rows are checked by size alone: hashing gigabytes at the start of every training would cost seconds.
    if file.suffix != ".bin" and sha256_of(file) != facts["sha256"]:
        return f"{name} has been changed"
    return ""


def _miscounted(manifest: dict[str, Any]) -> str:
    """Which rows the manifest counts otherwise than it sizes their file, or an empty string."""
    row = 2 * (manifest["sequence_length"] + 1)  # bytes
    for name in ("train", "val", "sealed"):
        size = manifest["files"].get(f"{name}.bin", {"bytes": 0})["bytes"]
        if size != row * manifest.get(f"{name}_rows", 0):
            return f"{name}.bin has {size // row:,} rows, which {MANIFEST} counts otherwise"
    return ""


def _damaged(path: Path, what: str) -> HarnessError:
    return HarnessError(
        f"The data set {path} is damaged: {what}. Run `autoresearch prepare`, which makes it anew.",
        Cause.DATA_MISSING,
    )


# ---- private: building -----------------------------------------------------------------------------------


def _build(
    cfg: DataConfig, corpus: Corpus, recipe: dict[str, Any], path: Path, progress: Report
) -> Dataset:
    """Build into a hidden sibling and rename it; on any fault the sibling is removed."""
    unnamed = path.with_name(f".{path.name}.tmp")
    unnamed.mkdir(mode=0o700)
    try:
        reached("dataset.before-fill")
        facts = fill(
            unnamed,
            corpus,
            sequence_length=cfg.sequence_length,
            vocabulary=cfg.vocabulary,
            eval_tokens=cfg.eval_tokens,
            sealed_tokens=_sealed_tokens(cfg),
            tokenizer_mb=cfg.tokenizer_mb,
            progress=stage(progress, 0.3, 1.0),
        )
        manifest = json.dumps({**recipe, **facts}, indent=1) + "\n"
        reached("dataset.before-manifest")
        write_file(unnamed / MANIFEST, manifest.encode())
        _sync_folder(unnamed)
        reached("dataset.before-rename")
        unnamed.replace(path)
        _sync_folder(path.parent)
    finally:
        if unnamed.exists():
            shutil.rmtree(unnamed)
    progress("The data set is ready", 1.0)
    return load_dataset(path)


def _explained(
    error: OSError, cfg: DataConfig, corpus: Corpus | None, folder: Path
) -> HarnessError:
    if not is_full(error):
        return HarnessError(
            f"Cannot read or write {error.filename or folder}: {error.strerror or error}."
        )
    # Two bytes a token of at least two and a half characters.
    needed = int(corpus.approximate_bytes * 0.8) if corpus else cfg.shards * SHARD_BYTES
    free = shutil.disk_usage(folder).free
    return HarnessError(
        f"The disk of {folder} is full: about {_mb(needed)} are needed and {_mb(free)} are free; free some space, "
        "point AUTORESEARCH_CACHE at another disk, or lower [data] shards or local_mb.",
        Cause.DISK_FULL,
    )


def _mb(count: int) -> str:
    return f"{max(1, count // 1_000_000):,} MB"


def _sync_folder(folder: Path) -> None:
    """Make renames within `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _exclusive(folder: Path, key: str, progress: Report) -> Iterator[None]:
    """Let one process at a time build `key`; what a killed one left of it is removed.

    The system lets go of the lock when its process ends, however it ends.
    """
    with (folder / f".{key}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("Another process prepares this data set; waiting for it", 0.3)
            fcntl.flock(lock, fcntl.LOCK_EX)
        leftover = folder / f".{key}.tmp"
        if leftover.exists():
            shutil.rmtree(leftover)
        yield
