"""Committed weights on the disk, so that a runner that is killed between the commit and the score loses no training.

They are put beside the experiment while it is scored, under the name of their hash, with a record of what the trusted
processes saw of the training. Another runner scores them and trains nothing. Nothing waits for that and nothing fails
for want of it: where there is no room, the training is simply repeated after such a kill. Both files are the runner's own,
in a folder that no cell shows; in the `process` sandbox, which is no cell, a script could write them as well as a result.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import device, rundir, wire
from harness.crashpoints import reached
from harness.dataset import Dataset
from harness.observed import Observed
from harness.spec import CurvePoint, ExperimentSpec, HarnessError

LIMIT = 4 << 30  # bytes of weights; a training that leaves more is repeated instead
SPARE = 1 << 30  # bytes that stay free on the disk beside them; on a small one a quarter
CHUNK = 16 << 20  # bytes between two looks whether they are still wanted
TRIES = 3  # runners that may die of the same weights


@dataclass(frozen=True, slots=True)
class Committed:
    """What is known of a training when its weights are stamped and hashed; every fact was seen by a trusted process."""

    asked: str  # SHA-256 of the spec, its source and its seed included
    fingerprint: dict[str, str]  # of device, software and data
    weights_sha256: str
    size: int  # bytes of them
    seconds: float  # on the budget's clock, when they were stamped
    fraction: float
    tokens: int
    epochs: int
    waited: float  # seconds for rows
    setup_seconds: float
    timeline: dict[str, float]  # seconds of each phase up to the commit
    memory_mb: float  # of the host, at its largest
    device_memory_mb: float | None
    curve: tuple[CurvePoint, ...] = ()
    tries: int = field(default=0, kw_only=True)  # runners that have begun to score them again

    @property
    def speed(self) -> float:
        """Tokens a second of the training."""
        return self.tokens / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """The facts with a hash of them; `from_json` is the inverse."""
        facts = asdict(self)
        return {"facts": facts, "sha256": _digest(facts)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Rebuild a record. Raises ValueError, KeyError or TypeError for what is none, or damaged."""
        facts = data["facts"]
        if _digest(facts) != data["sha256"]:
            raise ValueError("its hash is another")
        return cls(**{**facts, "curve": tuple(CurvePoint(**point) for point in facts["curve"])})


@dataclass(frozen=True, slots=True)
class Left:
    """Weights that an earlier runner has left, whole and checked."""

    weights: int  # descriptor of an immutable memory file, the caller's to close
    facts: Committed


def record(
    spec: ExperimentSpec,
    dataset: Dataset,
    observed: Observed,
    *,
    begun: float,
    launched: float,
    memory_mb: float,
) -> Committed:
    """What is known now of a training whose weights are in; `begun` and `launched` are on the monotonic clock."""
    assert observed.weights is not None  # noqa: S101 - they are in
    assert observed.committed is not None  # noqa: S101
    spent, end = observed.spent, observed.committed
    timeline = observed.timeline(begun, launched, end)
    timeline.pop("report", None)  # the rest of it, which is to come
    return Committed(
        asked=_digest(spec.to_json()),
        fingerprint=device.fingerprint(spec, dataset),
        weights_sha256=observed.weights_sha256,
        size=os.fstat(observed.weights).st_size,
        seconds=spent.seconds,
        fraction=spent.fraction,
        tokens=spent.tokens,
        epochs=spent.epoch,
        waited=spent.waited,
        setup_seconds=(spent.start or end) - launched,
        timeline=timeline,
        memory_mb=memory_mb,
        device_memory_mb=observed.device_memory_mb,
        curve=tuple(observed.curve),
    )


class Safe:
    """Keeps the weights of one experiment on the disk from their commit on; leaving its context ends the writing."""

    def __init__(self, directory: Path) -> None:
        """`directory` is that of the experiment; its lock is ours."""
        self._directory = directory
        self._unwanted = threading.Event()
        self._writer: threading.Thread | None = None

    def __enter__(self) -> Self:
        """The safe itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop writing. What is on the disk stays there."""
        self._stop()

    def put(self, weights: int, facts: Committed) -> None:
        """Begin to write the weights, which nobody can change any more, and then the record. Returns at once."""
        if facts.size > LIMIT or self._writer is not None:
            return
        try:
            held = os.dup(weights)  # its owner may close it any time
        except OSError:  # out of descriptors, and so without
            return
        self._writer = threading.Thread(target=self._keep, args=(held, facts), name="weights")
        self._writer.start()

    def holds(self) -> bool:
        """Whether weights and record are on the disk; waits until they are written, should they be under way."""
        if self._writer is not None:
            self._writer.join()
        return rundir.has_committed(self._directory)

    def clear(self) -> None:
        """The weights are wanted no more: stop writing, within the time of one chunk, and remove them."""
        self._stop()
        rundir.forget_committed(self._directory)

    def _stop(self) -> None:
        self._unwanted.set()
        if self._writer is not None:
            self._writer.join()

    def _keep(self, weights: int, facts: Committed) -> None:
        """The writer's thread. A disk that takes them not is no fault of the experiment."""
        name = rundir.WEIGHTS + facts.weights_sha256
        temporary = self._directory / f".{name}.tmp"
        try:
            if not _has_room(self._directory, facts.size):
                return
            if _copy(weights, temporary, facts.size, self._unwanted):
                temporary.replace(self._directory / name)
                reached("committed.before-record")
                rundir.write_committed(self._directory, facts.to_json())
                reached("runner.after-commit")
        except OSError as fault:
            print(f"The committed weights are not kept on the disk: {fault}.", file=sys.stderr)
            rundir.forget_committed(self._directory)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(weights)


def take(directory: Path, spec: ExperimentSpec, dataset: Dataset) -> Left:
    """The weights that an earlier runner of the same experiment has left in `directory`; counts as a try.

    Raises HarnessError when there are none, they are damaged, or the experiment, the machine's software or the data is not
    what they were trained with.
    """
    try:
        facts = Committed.from_json(json.loads((directory / rundir.COMMITTED).read_text()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise _useless(f"{rundir.COMMITTED} cannot be read: {fault}") from fault
    if facts.asked != _digest(spec.to_json()):
        raise _useless("they belong to another experiment")
    now = device.fingerprint(spec, dataset)
    if odd := sorted(
        key for key in now | facts.fingerprint if now.get(key) != facts.fingerprint.get(key)
    ):
        raise _useless(f"{odd[0]} has changed since")
    if facts.tries >= TRIES:
        raise _useless(f"{facts.tries} runners died of scoring them")
    facts = replace(facts, tries=facts.tries + 1)
    rundir.write_committed(directory, facts.to_json())
    try:
        return Left(_restored(directory / (rundir.WEIGHTS + facts.weights_sha256), facts), facts)
    except OSError as fault:
        raise _useless(str(fault)) from fault


# ---- private ---------------------------------------------------------------------------------------------


def _digest(data: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _useless(why: str) -> HarnessError:
    return HarnessError(
        f"Its runner died before it was scored, and its weights are of no use ({why}); it is trained again."
    )


def _has_room(directory: Path, size: int) -> bool:
    """Whether the disk takes so many bytes and keeps what others need."""
    disk = shutil.disk_usage(directory)
    return disk.free >= size + min(SPARE, disk.total // 4)


def _copy(weights: int, path: Path, size: int, unwanted: threading.Event) -> bool:
    """Copy a memory file to the disk, durably; False when it was `unwanted` before it was done."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    copy = os.open(path, flags, 0o600)
    try:
        done = 0
        while done < size and not unwanted.is_set():
            end = min(size, done + CHUNK)
            while done < end:
                done += os.sendfile(copy, weights, done, end - done)
            os.fdatasync(
                copy
            )  # a little at a time, so that whoever stops us waits for a little only
            os.posix_fadvise(copy, 0, done, os.POSIX_FADV_DONTNEED)  # the memory is the training's
        os.fsync(copy)
    finally:
        os.close(copy)
    return not unwanted.is_set()


def _restored(path: Path, facts: Committed) -> int:
    """The weights in `path` as an immutable memory file. Raises HarnessError when they are not what was committed."""
    stored = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    weights = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        found = os.fstat(stored)
        if not stat.S_ISREG(found.st_mode) or found.st_size != facts.size or facts.size > LIMIT:
            raise _useless("their file has another size")
        digest, at = hashlib.sha256(), 0
        while data := os.pread(stored, CHUNK, at):
            digest.update(data)
            at += len(data)
            while data:
                data = data[os.write(weights, data) :]
        if at != facts.size or digest.hexdigest() != facts.weights_sha256:
            raise _useless("their hash is another")
        wire.seal(weights)
    except BaseException:
        os.close(weights)
        raise
    finally:
        os.close(stored)
    return weights
