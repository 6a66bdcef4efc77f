"""The ancestor's shards from the Hugging Face hub: parallel, resumable, retried and verified.

Written on the standard library because `huggingface_hub` 2.4 keeps no partial file across calls, does not
retry a 503 and checks only the size, never the SHA-256. A shard stands under its name only when it is whole:
until then it is a `.part` named for the version it belongs to.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import threading
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from harness import hub
from harness.places import is_full
from harness.spec import HarnessError

REPOSITORY = "datasets/karpathy/climbmix-400b-shuffle"
TRAIN_SHARDS = 6542  # shard_00000 … shard_06541
VALIDATION_SHARD = "shard_06542.parquet"
WORKERS = 8
CHUNK = 1 << 20
SOCKET_SECONDS = 20.0  # without a byte from the server
PROBE_SECONDS = 5.0
ATTEMPTS = 6  # in a row without a single new byte
LONGEST_WAIT = 60.0  # seconds between two attempts
REFRESH_SECONDS = 0.25  # of the progress report

Report = Callable[[str, float], None]


class _Interrupted(Exception):
    """Another shard has failed for good, so this one stops too; its part stays for the next time."""


class _Damaged(Exception):
    """All bytes are there, and they are not the right ones."""


def train_shards(count: int) -> list[str]:
    """File names of the first `count` training shards."""
    return [f"shard_{index:05d}.parquet" for index in range(min(count, TRAIN_SHARDS))]


def missing_shards(folder: Path, count: int) -> list[str]:
    """Names of what `count` training shards and the validation shard lack in `folder`."""
    return [
        n for n in (*train_shards(count), VALIDATION_SHARD) if _known_digest(folder / n) is None
    ]


def hub_answers(seconds: float = PROBE_SECONDS) -> bool:
    """Whether the hub serves the validation shard; takes at most about `seconds`."""
    found: list[hub.RemoteFile] = []

    def ask() -> None:
        try:
            found.append(hub.describe(REPOSITORY, VALIDATION_SHARD, seconds))
        except (OSError, http.client.HTTPException, HarnessError):
            return

    # A thread, because no socket timeout covers a resolver that hangs.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(found)


def download_shards(
    names: Sequence[str],
    folder: Path,
    report: Report,
    *,
    workers: int = WORKERS,
    backoff: float = 1.0,
) -> dict[str, str]:
    """Bring the named shards into `folder` and return the SHA-256 of each.

    What is there already is left alone; what was begun is gone on with. `backoff` is the first wait in
    seconds between attempts; it doubles. Raises HarnessError when a shard cannot be had; OSError of a full disk
    is passed on, with the parts removed.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(folder / ".lock"):  # two processes must not append to the same part
        wanted = [name for name in names if _known_digest(folder / name) is None]
        if wanted:
            _Download(folder, wanted, report, backoff).run(min(workers, len(wanted)))
    return {name: digest for name in names if (digest := _known_digest(folder / name))}


# ---- private ---------------------------------------------------------------------------------------------


class _Download:
    """One batch of shards, a thread each; progress is reported by the calling thread alone."""

    def __init__(self, folder: Path, names: Sequence[str], report: Report, backoff: float) -> None:
        self._folder = folder
        self._names = names
        self._report = report
        self._backoff = backoff
        self._stop = threading.Event()
        self._done: dict[str, int] = {}  # bytes on disk, by name
        self._size: dict[str, int] = {}  # bytes to have, by name, once the server has said so

    def run(self, workers: int) -> None:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="shard")
        futures = [pool.submit(self._fetch, name) for name in self._names]
        try:
            while not self._finished(futures):
                self._report(*self._progress())
        except OSError as error:
            self._end(pool)
            if is_full(error):
                self._discard()
            raise
        finally:
            self._end(pool)
        self._report(*self._progress())

    def _end(self, pool: ThreadPoolExecutor) -> None:
        self._stop.set()
        pool.shutdown(wait=True, cancel_futures=True)

    def _discard(self) -> None:
        """Remove all parts: on a full disk they are only in the way."""
        for name in self._names:
            for part in self._folder.glob(f"{name}.*.part"):
                part.unlink()

    @staticmethod
    def _finished(futures: list[Future[None]]) -> bool:
        """Wait a moment; raise the fault of a shard that cannot be had."""
        done, pending = wait(futures, timeout=REFRESH_SECONDS, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        return not pending

    def _progress(self) -> tuple[str, float]:
        done, known = sum(self._done.values()), list(self._size.values())
        total = sum(known) / len(known) * len(self._names) if known else 0.0
        text = f"Downloading {len(self._names)} shards: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
        return text, min(1.0, done / total) if total else 0.0

    def _fetch(self, name: str) -> None:
        """Try until the shard is whole, or until ATTEMPTS in a row have brought nothing."""
        failures, damaged = 0, 0
        while True:
            before = self._done.get(name, 0)
            try:
                self._attempt(name)
                return
            except _Damaged as error:
                damaged += 1
                if damaged == 2:  # once may be an unlucky resumption, twice is the server
                    raise HarnessError(
                        f"{name} arrives damaged from {hub.endpoint()} ({error}); try again later, or use "
                        "--source local or a folder."
                    ) from error
                delay = self._backoff
            except (OSError, http.client.HTTPException) as error:
                delay = _delay_or_raise(error, name)
                failures = 0 if self._done.get(name, 0) > before else failures + 1
                if failures == ATTEMPTS:
                    raise _unreachable(error) from error
                delay = max(delay, min(LONGEST_WAIT, self._backoff * 2.0 ** max(0, failures - 1)))
            if self._stop.wait(delay):
                raise _Interrupted(name)

    def _attempt(self, name: str) -> None:
        remote = hub.describe(REPOSITORY, name, SOCKET_SECONDS)
        self._size[name] = remote.size
        part = self._folder / f"{name}.{_short(remote.version)}.part"
        for stale in self._folder.glob(f"{name}.*.part"):
            if stale != part:
                stale.unlink()
        self._continue(name, remote, part)
        self._finish(name, remote, part)

    def _continue(self, name: str, remote: hub.RemoteFile, part: Path) -> None:
        """Append to `part` what is missing of it, as far as the connection carries."""
        held = part.stat().st_size if part.exists() else 0
        if held > remote.size:
            part.unlink()
            held = 0
        self._done[name] = held
        if held == remote.size:
            return
        with hub.open_file(remote.url, held, SOCKET_SECONDS) as response:
            if held and not hub.continues_at(response, held):
                held = 0  # the server does not resume: from the start
            with part.open("r+b" if held else "wb") as file:
                file.seek(held)
                self._done[name] = held
                while chunk := response.read(min(CHUNK, remote.size - held)):
                    if self._stop.is_set():
                        raise _Interrupted(name)
                    file.write(chunk)
                    held += len(chunk)
                    self._done[name] = held
        if held < remote.size:
            raise ConnectionError(f"the connection ended at byte {held:,} of {remote.size:,}")

    def _finish(self, name: str, remote: hub.RemoteFile, part: Path) -> None:
        """Verify the whole, note its hash, and give it its name."""
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if remote.sha256 is not None and digest != remote.sha256:
            part.unlink()
            self._done[name] = 0
            raise _Damaged(f"SHA-256 {digest[:12]}… instead of {remote.sha256[:12]}…")
        target = self._folder / name
        note = _note(target)
        unnamed = note.with_suffix(".tmp")
        unnamed.write_text(json.dumps({"size": remote.size, "sha256": digest}))
        unnamed.replace(note)
        part.replace(target)


def _delay_or_raise(error: OSError | http.client.HTTPException, name: str) -> float:
    """Seconds that the server asks to wait (0 = none named); raises what no repetition can mend."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in (401, 403):
            raise HarnessError(
                f"{hub.endpoint()} refuses {name} ({error.code}); set HF_TOKEN to a valid token or unset it, or use "
                "--source local or a folder."
            ) from error
        if error.code < 500 and error.code not in (408, 416, 425, 429):
            raise HarnessError(
                f"{hub.endpoint()} does not serve {REPOSITORY}/{name} ({error.code}); check HF_ENDPOINT, or use "
                "--source local or a folder."
            ) from error
        asked = error.headers.get("Retry-After", "")
        return min(LONGEST_WAIT, float(asked)) if asked.isdecimal() else 0.0
    if _is_local(error):
        raise error
    return 0.0


def _is_local(error: OSError | http.client.HTTPException) -> bool:
    """Whether the fault is this machine's disk: network faults of the system carry no file name."""
    return isinstance(error, OSError) and (error.filename is not None or is_full(error))


def _unreachable(error: Exception) -> HarnessError:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return HarnessError(
        f"Cannot reach {hub.endpoint()} ({reason}); use --source local or a folder, or try again when the network "
        "is back: the download goes on where it ended."
    )


def _known_digest(file: Path) -> str | None:
    """The SHA-256 noted when the shard was verified, or None where it is absent or of another size."""
    try:
        note = json.loads(_note(file).read_text())
        return str(note["sha256"]) if file.stat().st_size == note["size"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _note(file: Path) -> Path:
    return file.with_name(f".{file.name}.json")


def _short(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest()[:12]


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
