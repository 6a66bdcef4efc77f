"""Faults that pass: how each is recognised, what the engine says while it lasts, and how it knows that it is over.

An engine that meets one cancels its loops, leaves the training in the slot alone, keeps its lock and its sign of life,
waits here, and boots anew from the journal, which is the same road that it takes after a kill (crash-only software,
Candea and Fox 2003). What becomes of faults in the loops:

| fault | consequence |
|---|---|
| no room, no inode, no quota (`DiskFull`), also where a runner met it | waits for room, boots anew |
| the journal's write lock is held by another process (`JournalBusy`) | waits for it, boots anew |
| the data set is gone or cut short (`DataMissing`) | boots anew, which builds it again or says what is missing |
| trainings lost to causes outside them | `outages`: again, later, or the run pauses and looks by itself |
| a proposer fails, a setting is off, results.tsv cannot be written, main cannot move | an event; the run goes on |
| the baseline does not train at all, or its score does not stand | the run ends: a person has to mend the script |
| journal damaged or not ours to write, repository or workspace gone | the run ends with a sentence |
| any other exception | a fault of the program: the keeper starts a fresh engine |
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from evolve import room
from evolve.holders import writer_of
from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import DataMissing, DiskFull, EvolveError, JournalBusy, Passing
from evolve.places import EXPERIMENTS, JOURNAL, LOCK, STATE
from evolve.slot import ask_to_end
from harness.places import cache_dir, is_full
from harness.spec import Cause, HarnessError

LOOK = 2.0  # seconds between two looks whether it is over, and between two signs of life
TRY = 0.2  # seconds that a look at a busy journal waits for its lock


def passing(error: BaseException) -> Passing | None:
    """The fault that passes by itself which `error` is a sign of, wherever it came up; None for all others."""
    if isinstance(error, Passing):
        return error
    if isinstance(error, HarnessError):
        return fault_of(error.cause, str(error))
    if isinstance(error, OSError) and is_full(error):
        where = f" ({error.filename})" if error.filename else ""
        folder = Path(str(error.filename)).parent if error.filename else None
        return DiskFull(
            f"The disk is full{where}; free some space, then `autoresearch run` goes on.", folder
        )
    return None


def places(workspace: Path) -> list[Path]:
    """The folders that a run writes to: the state, the cache of data and kernels, temporary files."""
    return [workspace / STATE, cache_dir(), Path(tempfile.gettempdir())]


def waits_for(fault: Passing, workspace: Path) -> str:
    """For what an engine waits while the fault lasts, for `status` and the app: there is no journal to say it in."""
    if isinstance(fault, DiskFull):
        short = [str(left) for left in room.rooms(_concerned(fault, workspace)) if left.low]
        return f"room on the disk ({', '.join(short) or 'almost there'}); it goes on by itself"
    if isinstance(fault, JournalBusy):
        who = writer_of(fault.journal) or "another process"
        return f"the journal, which {who} has locked; it goes on by itself"
    return f"the end of a fault: {fault}"


def is_over(fault: Passing, workspace: Path) -> bool:
    """Whether the cause is gone. A fault without a test of its own is over at once: the next boot says more."""
    if isinstance(fault, DiskFull):
        return room.is_back(_concerned(fault, workspace))
    if isinstance(fault, JournalBusy):
        return _can_write(fault.journal)
    return True


def told(fault: Passing, began: float, seconds: float) -> str:
    """What is written into the log once it is over; `began` in unix seconds, of which a clock may have changed."""
    since = time.strftime("%H:%M:%S", time.localtime(began))
    lasted = f"from {since} on, for {_duration(seconds)}"
    if isinstance(fault, DiskFull):
        return (
            f"The disk was full {lasted}; nothing that was recorded is lost, and the run goes on."
        )
    if isinstance(fault, JournalBusy):
        return f"Another process held the journal {lasted}; the run goes on."
    if isinstance(fault, DataMissing):
        return "The data set is whole again; the run goes on."
    return f"{fault} That is over after {_duration(seconds)}; the run goes on."


def fault_of(cause: Cause, reason: str) -> Passing | None:
    """The fault that passes to which a training was lost, or None for causes of other kinds."""
    if cause is Cause.DISK_FULL:
        return DiskFull(reason)
    return DataMissing(reason) if cause is Cause.DATA_MISSING else None


async def outlast(
    fault: Passing, workspace: Path, lock: EngineLock, *, at_least: float = 0.0
) -> signal.Signals | None:
    """Wait until the fault is over; returns None then, or the signal that asked this process to end before that.

    Not before `at_least` seconds, lest a fault that seems to be over at once keeps an engine booting. A stop that a client could still write into the journal counts as SIGTERM.
    """
    asked: list[signal.Signals] = []
    woken = asyncio.Event()

    def take(number: signal.Signals) -> None:
        asked.append(number)
        woken.set()

    on_signals(take)
    earliest = time.monotonic() + at_least
    while not asked:
        lock.beat(waits=await asyncio.to_thread(waits_for, fault, workspace))
        if time.monotonic() >= earliest and await asyncio.to_thread(is_over, fault, workspace):
            lock.beat("starts again")
            return None
        if await asyncio.to_thread(_stop_is_asked, workspace):
            return signal.SIGTERM
        try:
            await asyncio.wait_for(woken.wait(), min(LOOK, max(0.1, earliest - time.monotonic())))
        except TimeoutError:
            continue
    return asked[0]


def on_signals(ask: Callable[[signal.Signals], None]) -> None:
    """SIGINT and SIGTERM ask the engine to end cleanly; SIGHUP is no reason to end. Inside a running event loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)


def leave(workspace: Path, asked: signal.Signals) -> int:
    """End as a signal asked while a fault lasts: the training too, and the journal says so if it can be written.

    Returns the exit code. Where it cannot, clients see that the engine is gone, and the next start goes on.
    """
    state = workspace / STATE
    with contextlib.suppress(EvolveError, HarnessError, OSError, sqlite3.Error):
        with Journal.reader(state / JOURNAL) as reader:
            training, smoke = reader.running_experiment(), reader.running_smoke()
            held = [] if training is None else [reader.directory(training.id)]
            held += [] if smoke is None else [smoke.directory]
        for name in held:
            ask_to_end(state / EXPERIMENTS / name)
        with Journal.open(state / JOURNAL) as journal:
            journal.set_run_state("stopped", f"Stopped by {asked.name}.")
            journal.refuse_pending("The engine has ended; ask again.")
    return 130 if asked is signal.SIGINT else 0


def bury(workspace: Path, reason: str) -> None:
    """Write down why the engine is gone and no other one was started. Raises EvolveError where one works again."""
    state = workspace / STATE
    with EngineLock(state / LOCK), Journal.open(state / JOURNAL) as journal:
        if journal.run().state in ("running", "paused"):
            journal.set_run_state("failed", reason)
        journal.refuse_pending("The engine has ended; ask again.")


# ---- private ---------------------------------------------------------------------------------------------


def _concerned(fault: DiskFull, workspace: Path) -> list[Path]:
    known = places(workspace)
    return known if fault.folder is None or fault.folder in known else [*known, fault.folder]


def _can_write(journal: Path) -> bool:
    """Whether the journal's write lock can be had. Any fault but a held lock is for the boot to tell."""
    db = sqlite3.connect(journal, isolation_level=None, timeout=TRY)
    try:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY
    finally:
        db.close()
    return True


def _stop_is_asked(workspace: Path) -> bool:
    """Whether somebody asked for a stop meanwhile: a request may find room, or a lock, where a training does not."""
    try:
        with Journal.reader(workspace / STATE / JOURNAL) as reader:
            return any(command.verb == "stop" for command in reader.pending_commands())
    except (EvolveError, sqlite3.Error):
        return False


def _duration(seconds: float) -> str:
    """`12 s`, `8 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
