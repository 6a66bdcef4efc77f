"""The folder of one experiment as its readers see it: lock, progress and result.

Light on purpose (no numpy, no torch): clients import it at start. It owns the file formats and never
interprets what they say.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.crashpoints import reached
from harness.places import is_full
from harness.spec import ExperimentSpec, HarnessError, Progress, Result, SmokeResult

SPEC, LOCK, PROGRESS, RESULT, LOG = (
    "spec.json",
    "lock",
    "progress.jsonl",
    "result.json",
    "run.log",
)
SMOKE = "smoke.json"  # what a smoke run came to
PRUNE = "prune.json"  # the wish that a training be stopped early
COMMITTED, WEIGHTS = "committed.json", "weights-"  # what a training has come to until it is scored
AUDIT, AGAIN = "audit", "again"  # folders of the replay, and of a scoring by a second runner
WORKING = ("job", "data", "nothing", "kernels")  # folders that a candidate works with
LINES_A_SECOND = 2  # of progress


def read_spec(directory: Path) -> ExperimentSpec:
    """Read spec.json. Raises HarnessError when it is missing or damaged."""
    try:
        return ExperimentSpec.from_json(json.loads((directory / SPEC).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise HarnessError(
            f"{directory / SPEC} is no experiment ({fault}); start it through the engine again."
        ) from fault


def read_result(directory: Path) -> Result | None:
    """Read result.json, or None when the experiment has left none."""
    try:
        text = (directory / RESULT).read_text()
    except FileNotFoundError:
        return None
    return Result.from_json(json.loads(text))


def write_spec(directory: Path, spec: ExperimentSpec) -> None:
    """Write spec.json durably, for the runner to read."""
    _write(directory, SPEC, spec.to_json())


def write_result(directory: Path, result: Result) -> None:
    """Write result.json durably: it is there as a whole or not at all."""
    _write(directory, RESULT, result.to_json())


def read_smoke(directory: Path) -> SmokeResult | None:
    """Read smoke.json, or None when the smoke run has left none."""
    try:
        text = (directory / SMOKE).read_text()
    except FileNotFoundError:
        return None
    return SmokeResult.from_json(json.loads(text))


def write_smoke(directory: Path, result: SmokeResult) -> None:
    """Write smoke.json durably: it is there as a whole or not at all."""
    _write(directory, SMOKE, result.to_json())


def ask_to_prune(directory: Path, reason: str) -> None:
    """Ask the runner of a training, whoever started it, to stop it early as PRUNED; `reason` is a sentence."""
    _write(directory, PRUNE, {"reason": reason})


def asked_to_prune(directory: Path) -> str | None:
    """The reason for which the training in `directory` is to be stopped early, or None."""
    try:
        text = (directory / PRUNE).read_text()
    except FileNotFoundError:
        return None
    return str(json.loads(text)["reason"])


def has_committed(directory: Path) -> bool:
    """Whether a training in `directory` has left its weights, and nobody has said yet what they are worth."""
    return (directory / COMMITTED).is_file()


def only_trained(directory: Path) -> bool:
    """Whether a runner has died there between the commit and the score, so that another one can score the weights."""
    left = has_committed(directory) and not (directory / RESULT).exists()
    return left and not is_running(directory)


def write_committed(directory: Path, record: dict[str, Any]) -> None:
    """Write committed.json durably, and with it the name of the weights."""
    _write(directory, COMMITTED, record)


def forget_committed(directory: Path) -> None:
    """Remove the record of committed weights, then these; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        (directory / COMMITTED).unlink(missing_ok=True)
    for pattern in (f"{WEIGHTS}*", f".{WEIGHTS}*.tmp"):
        for path in directory.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


def tidy(directory: Path) -> None:
    """Remove what a killed runner could not: working folders, up to a gigabyte of kernels, and committed weights.

    For an experiment that is over, whatever it came to: nobody may hold its lock.
    """
    forget_committed(directory)
    clear_work(directory)


def clear_work(directory: Path) -> None:
    """Remove the working folders of a runner that was killed, and of its audit or its scoring."""
    for attempt in (directory, directory / AUDIT, directory / AGAIN):
        for name in WORKING:
            shutil.rmtree(attempt / name, ignore_errors=True)


def _write(directory: Path, name: str, data: dict[str, Any]) -> None:
    """Temporary file, fsync, rename, fsync of the folder."""
    temporary = directory / f".{name}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        os.fsync(file.fileno())
    reached("rundir.before-rename")
    temporary.replace(directory / name)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def forget_result(directory: Path) -> None:
    """Remove what an earlier attempt left, so that nobody takes it for the outcome of this one."""
    for name in (RESULT, SMOKE, PRUNE):
        (directory / name).unlink(missing_ok=True)


def read_progress(directory: Path, offset: int = 0) -> tuple[list[Progress], int]:
    """Progress lines that were written after byte `offset`, and the offset to go on from.

    A last line without its end is left for the next call; a missing file is an empty one.
    """
    try:
        with (directory / PROGRESS).open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return [Progress(**json.loads(line)) for line in whole.splitlines()], offset + len(whole)


def is_running(directory: Path) -> bool:
    """Whether a live runner holds this experiment."""
    return is_held(directory / LOCK)


def is_held(path: Path) -> bool:
    """Whether a live process holds an exclusive flock on `path`; a missing file is held by nobody."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)  # which also unlocks
    return False


@contextlib.contextmanager
def progress_writer(directory: Path) -> Iterator[Callable[[Progress], None]]:
    """A callback that writes progress.jsonl anew: every change of phase, else at most two lines a second.

    Where the disk is full a line is left out: nothing depends on any of them.
    """
    written, phase = -1.0, ""
    # Not buffered: what did not fit would be tried again for ever.
    with (directory / PROGRESS).open("wb", buffering=0) as file:

        def write(progress: Progress) -> None:
            nonlocal written, phase
            now = time.monotonic()
            if progress.phase == phase and now - written < 1 / LINES_A_SECOND:
                return
            line, before = f"{json.dumps(progress.to_json())}\n".encode(), file.tell()
            try:
                whole = file.write(line) == len(line)
            except OSError as fault:
                if not is_full(fault):
                    raise
                whole = False
            if whole:
                written, phase = now, progress.phase
            else:  # half a line would spoil the next one
                file.truncate(file.seek(before))

        yield write
