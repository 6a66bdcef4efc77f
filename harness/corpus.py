"""Sources of text: which documents a data set is made of, in which order, and which of them validate.

Three sources: the ancestor's shards from the Hugging Face hub, the text of this Python installation, and any
folder or file of the user's. A source only reads; it yields documents as strings, never tokens, and no
document (by content) is ever on both sides of the split.
"""

from __future__ import annotations

import hashlib
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from harness import climbmix
from harness.places import cache_dir
from harness.spec import HarnessError
from harness.textfiles import SUFFIXES, read_documents, read_parquet, text_bytes

Report = Callable[[str, float], None]  # a message for a person, and the fraction done of this stage
Documents = Callable[[], Iterator[str]]
LongDocuments = Literal["crop", "split"]

PYTHON_SUFFIXES = (".py", ".md", ".rst", ".txt")
PYTHON_FILE_BYTES = (200, 1_000_000)  # below: boilerplate; above: generated tables
# Packages that the app needs and no training imports: what validates the source `local` can be hidden from one.
PRIVATE_PACKAGES = ("anthropic", "git", "gitdb", "smmap", "textual")
# Below /usr, which every sandbox shows: packages of other Pythons.
OTHER_PACKAGES = ("lib/python3*/*-packages", "local/lib/python3*/*-packages")
VALIDATION_SHARE = 0.02  # of the text, when nothing pins the validation documents …
VALIDATION_SHARE_MAX = 0.15  # … or more, up to this, when the evaluation asks for it
BYTES_PER_TOKEN = 5  # upper bound for the tokenizers trained here (3.8 at a vocabulary of 8192)


class Corpus(Protocol):
    """Text, split in two. Both iterators may be started again and give the same documents each time."""

    @property
    def name(self) -> str:
        """`climbmix`, `local` or the base name of the path, for a person."""
        ...

    @property
    def identity(self) -> dict[str, object]:
        """What the documents are a function of: JSON, the same wherever the text is the same."""
        ...

    @property
    def long_documents(self) -> LongDocuments:
        """What packing does with a document longer than a row."""
        ...

    @property
    def private(self) -> tuple[str, ...]:
        """Packages of this Python that hold the validation text, to be hidden: see `private_paths`."""
        ...

    @property
    def approximate_bytes(self) -> int:
        """About how much training text there is, for progress and for estimates of disk space."""
        ...

    def train_documents(self) -> Iterator[str]:
        """Yield training documents, each once."""
        ...

    def val_documents(self) -> Iterator[str]:
        """Yield validation documents, each once."""
        ...


def choose_source(*, shards: int, gpu: bool) -> str:
    """What `auto` means here: `climbmix` or `local`. Takes at most about five seconds.

    climbmix when its shards are on disk already, or when this is a GPU machine and the hub answers.
    """
    if not climbmix.missing_shards(cache_dir() / "shards", shards):
        return "climbmix"
    return "climbmix" if gpu and climbmix.hub_answers() else "local"


def open_source(
    source: str, *, shards: int, local_mb: int, eval_tokens: int, report: Report
) -> Corpus:
    """Open `climbmix` (downloading what is missing), `local`, or a path.

    `shards` bounds the training shards of climbmix and of a folder in its format; `local_mb` bounds `local`;
    `eval_tokens` is what all validation text together should suffice for. Raises HarnessError when there is none.
    """
    if source == "climbmix":
        folder = cache_dir() / "shards"
        names = [*climbmix.train_shards(shards), climbmix.VALIDATION_SHARD]
        digests = climbmix.download_shards(names, folder, report)
        files = [folder / name for name in names]
        return PinnedCorpus(
            "climbmix", tuple(files[:-1]), files[-1], tuple(digests[n] for n in names)
        )
    if source == "local":
        report("Looking for text in this Python installation", 0.0)
        return _open_local(local_mb * 1_000_000, eval_tokens)
    return _open_path(Path(source).expanduser().absolute(), shards, eval_tokens, report)


def private_paths(packages: Iterable[str]) -> list[Path]:
    """Every folder in which a Python that a sandbox may show keeps one of `packages` (a corpus's `private`).

    A sandbox has to show the packages of Python; an empty folder bound over each of these hides what validates.
    """
    usr = Path("/usr")
    roots = {*_package_roots(), *(root for glob in OTHER_PACKAGES for root in usr.glob(glob))}
    roots |= {root.resolve() for root in roots}  # it may show a folder under both of its names
    found = (root / name for root in sorted(roots) for name in packages)
    return [path for path in found if path.is_dir() and not path.is_symlink()]


@dataclass(frozen=True)
class PinnedCorpus:
    """Parquet shards with one of them set aside for validation, as the ancestor has it."""

    name: str
    train_files: tuple[Path, ...]
    val_file: Path
    digests: tuple[str, ...]  # SHA-256 of the files, training first, in order
    # The ancestor's rows: only the beginning of a document longer than a row is used.
    long_documents: LongDocuments = "crop"
    private: tuple[str, ...] = ()

    @property
    def identity(self) -> dict[str, object]:
        """Hashes of the shards in reading order."""
        return {"train": list(self.digests[:-1]), "validation": self.digests[-1]}

    @cached_property
    def approximate_bytes(self) -> int:
        """Bytes of the training text before compression."""
        return sum(text_bytes(file) for file in self.train_files)

    def val_documents(self) -> Iterator[str]:
        """Documents of the pinned shard."""
        return _unique(read_parquet(self.val_file), set())

    def train_documents(self) -> Iterator[str]:
        """Documents of the other shards that are not in the pinned one."""
        seen = {_digest(text) for text in read_parquet(self.val_file)}
        return _unique((text for file in self.train_files for text in read_parquet(file)), seen)


@dataclass(frozen=True)
class SplitCorpus:
    """Documents without a given split: those with the smallest content hashes validate.

    So the split depends on nothing but the text, identical documents fall on one side, and a document that is
    added elsewhere does not move the others to and fro.
    """

    name: str
    documents: Documents
    identity: dict[str, object]
    approximate_bytes: int
    eval_tokens: int
    long_documents: LongDocuments = "split"
    private: tuple[str, ...] = ()

    @cached_property
    def _threshold(self) -> int:
        """The largest content hash that still validates; takes one pass over the documents."""
        sizes: dict[int, int] = {}
        for text in self.documents():
            sizes[_digest(text)] = len(text)  # near enough to bytes to share out
        total = sum(sizes.values())
        target = min(
            max(VALIDATION_SHARE * total, self.eval_tokens * BYTES_PER_TOKEN),
            VALIDATION_SHARE_MAX * total,
        )
        taken = 0
        for digest in sorted(sizes):
            taken += sizes[digest]
            if taken >= target:
                return digest
        return -1

    def val_documents(self) -> Iterator[str]:
        """Documents at or below the threshold."""
        limit = self._threshold
        return _unique(self.documents(), set(), lambda digest: digest <= limit)

    def train_documents(self) -> Iterator[str]:
        """Documents above the threshold."""
        limit = self._threshold
        return _unique(self.documents(), set(), lambda digest: digest > limit)


@dataclass(frozen=True)
class LocalCorpus:
    """Files of this Python installation; those of the private packages validate."""

    train_files: tuple[Path, ...]
    val_files: tuple[Path, ...]
    identity: dict[str, object]
    approximate_bytes: int
    name: str = "local"
    long_documents: LongDocuments = "split"
    private: tuple[str, ...] = PRIVATE_PACKAGES

    def val_documents(self) -> Iterator[str]:
        """Files of the private packages."""
        return _unique(_python_texts(self.val_files), set())

    def train_documents(self) -> Iterator[str]:
        """Files of everything else, but for copies of what validates."""
        seen = {_digest(text) for text in _python_texts(self.val_files)}
        return _unique(_python_texts(self.train_files), seen)


# ---- private ---------------------------------------------------------------------------------------------


def _open_path(path: Path, shards: int, eval_tokens: int, report: Report) -> Corpus:
    files = _files_of(path)
    base = path if path.is_dir() else path.parent
    val_file = base / climbmix.VALIDATION_SHARD
    report(f"Reading {path}", 0.0)
    if val_file in files:
        train = tuple(f for f in files if f.suffix == ".parquet" and f != val_file)[:shards]
        if not train:
            raise HarnessError(
                f"{path} holds the validation shard {val_file.name} but no training shard; add one."
            )
        return PinnedCorpus(path.name, train, val_file, _hash_files((*train, val_file), report))
    size = sum(text_bytes(file) for file in files)
    if not size:
        raise HarnessError(f"{path} holds no text: its files are empty.")
    return SplitCorpus(
        name=path.name,
        documents=lambda: (text for file in files for text in read_documents(file)),
        identity={"files": list(_hash_files(files, report))},
        approximate_bytes=size,
        eval_tokens=eval_tokens,
    )


def _files_of(path: Path) -> tuple[Path, ...]:
    """The files of text under `path`, sorted by their relative path; hidden ones are left out."""
    wanted = ", ".join(SUFFIXES)
    if not path.exists():
        raise HarnessError(
            f"There is no {path}; give --source a folder or file that holds {wanted}."
        )
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise HarnessError(f"{path} is not a kind of text known here; use one of {wanted}.")
        return (path,)
    found = sorted(_walk(path, SUFFIXES))
    if not found:
        raise HarnessError(f"{path} holds no text: none of its files ends in {wanted}.")
    return tuple(path / name for name in found)


def _walk(
    root: Path, suffixes: tuple[str, ...], skip: frozenset[str] = frozenset()
) -> Iterator[str]:
    """Relative paths of the files with these suffixes; plain strings, for there may be many thousands."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in skip and name[0] != "."]
        prefix = "" if folder == str(root) else f"{os.path.relpath(folder, root)}/"
        yield from (prefix + n for n in names if n[0] != "." and n.endswith(suffixes))


def _open_local(limit: int, eval_tokens: int) -> Corpus:
    """Take files of the standard library and of site-packages, in an order that only their names decide."""
    wanted = max(VALIDATION_SHARE * limit, eval_tokens * BYTES_PER_TOKEN)
    val = _take(_private_files(), min(wanted, VALIDATION_SHARE_MAX * limit))
    train = _take(_public_files(), limit - val.chars)
    if not train.files or not val.files:
        raise HarnessError(
            "This Python installation holds no sources; use --source with a folder of text."
        )
    return LocalCorpus(
        train_files=train.files,
        val_files=val.files,
        identity={"train": train.sha256, "validation": val.sha256},
        approximate_bytes=train.chars,
    )


class _Taken(NamedTuple):
    """Files, how many characters they hold, and a hash of what they say."""

    files: tuple[Path, ...]
    chars: int
    sha256: str


def _take(files: Iterable[Path], limit: float) -> _Taken:
    """The first of `files` that are text, until they hold `limit` characters."""
    chosen: list[Path] = []
    digest = hashlib.sha256()
    taken = 0
    for file in files:
        if taken >= limit:
            break
        text = _python_text(file)
        if text is None:
            continue
        chosen.append(file)
        digest.update(hashlib.sha256(text.encode()).digest())
        taken += len(text)
    return _Taken(tuple(chosen), taken, digest.hexdigest())


def _public_files() -> list[Path]:
    """Sources and docs of the standard library and of all packages but the private ones, shuffled."""
    packages = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    library = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")} - packages
    foreign = frozenset({"site-packages", "dist-packages", "__pycache__"})
    # A folder of a private package's name within another package is most likely a copy of it.
    private = frozenset({*PRIVATE_PACKAGES, "__pycache__"})
    found: dict[str, Path] = {}
    for root in sorted(library):
        found |= {name: root / name for name in _walk(root, PYTHON_SUFFIXES, foreign)}
    for root in sorted(packages):
        names = _walk(root, PYTHON_SUFFIXES, private)
        found |= {f"site-packages/{name}": root / name for name in names}
    return _shuffled(found)


def _private_files() -> Iterator[Path]:
    """Sources and docs of the private packages, each package shuffled, one of each in turn."""
    packages: list[list[Path]] = []
    for name in PRIVATE_PACKAGES:
        root = next((root for root in _package_roots() if (root / name).is_dir()), None)
        if root is not None:
            files = _walk(root / name, PYTHON_SUFFIXES, frozenset({"__pycache__"}))
            packages.append(_shuffled({file: root / name / file for file in files}))
    return (file for turn in zip_longest(*packages) for file in turn if file is not None)


def _package_roots() -> list[Path]:
    """Folders of packages, of this Python first and then of those that it is based on; each once."""
    base = {"base": sys.base_prefix, "platbase": sys.base_prefix}
    own = (sysconfig.get_path(name) for name in ("purelib", "platlib"))
    below = (sysconfig.get_path(name, vars=base) for name in ("purelib", "platlib"))
    return [Path(root) for root in dict.fromkeys((*own, *site.getsitepackages(), *below))]


def _shuffled(found: dict[str, Path]) -> list[Path]:
    """The files by a hash of their name: a shuffle that stays put, for a package that comes or goes moves no other."""
    return [found[name] for name in sorted(found, key=_name_hash)]


def _name_hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def _python_text(file: Path) -> str | None:
    """The text of a source file, or None when it is too small, too large or not UTF-8 text."""
    smallest, largest = PYTHON_FILE_BYTES
    try:
        if not smallest <= file.stat().st_size <= largest:
            return None
        text = file.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None  # a broken link, a file of another user, a test of encodings
    return None if "\0" in text else text


def _python_texts(files: Iterable[Path]) -> Iterator[str]:
    return (text for file in files if (text := _python_text(file)) is not None)


def _digest(text: str) -> int:
    """64 bits of a content hash."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _unique(
    texts: Iterator[str], seen: set[int], wanted: Callable[[int], bool] = lambda digest: True
) -> Iterator[str]:
    """The texts whose hash is wanted and not seen; each is hashed once."""
    for text in texts:
        digest = _digest(text)
        if wanted(digest) and digest not in seen:
            seen.add(digest)
            yield text


def _hash_files(files: tuple[Path, ...], report: Report) -> tuple[str, ...]:
    digests: list[str] = []
    for number, file in enumerate(files):
        report(f"Reading {file.name}", number / len(files))
        with file.open("rb") as content:
            digests.append(hashlib.file_digest(content, "sha256").hexdigest())
    return tuple(digests)
