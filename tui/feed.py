"""Reads the journal for the app, in one thread of its own, so that a slow disk never freezes the keys.

A look costs one `PRAGMA data_version` while nothing happens. The feed never decides what is shown and never
touches a widget; a fault in reading becomes a sentence in the reading, and the next look tries again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from evolve.beliefs import Belief
from evolve.concealing import conceal_keys
from evolve.model import (
    Candidate,
    Command,
    CommandState,
    Event,
    EvolveError,
    Experiment,
    SettingChange,
    Smoke,
)
from evolve.provenance import Asking, LogText
from evolve.roster import FIRST_PAGE, Roster
from evolve.view import Snapshot
from tui.state import EVENTS_KEPT, STALE_AFTER, Details, Reading

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from evolve.export.gather import Gathered
    from evolve.promptbook import Prompt
    from evolve.tunable import Tuning

T = TypeVar("T")

HEARTBEAT_LOOK = 2.0  # seconds between full looks while the journal does not change
SAME_LOOK = 10.0  # seconds for which nothing but time passes before that is painted
EVENTS_PAGE = 1000
PAGE = 10_000  # rows of a roster in one look, once its first rows are on the screen
FAULTS = (EvolveError, sqlite3.Error, OSError)  # what reading and writing a journal can meet


@dataclass(frozen=True, slots=True)
class Fault:
    """Why something could not be read."""

    sentence: str


class Source(Protocol):
    """What the app needs of `evolve.client.Client`; a recording can stand in for it."""

    def data_version(self) -> int:
        """Changes when the journal changes."""
        ...

    def snapshot(self) -> Snapshot:
        """Everything on the first screen."""
        ...

    def events(self, after: int = 0, limit: int = EVENTS_PAGE) -> Sequence[Event]:
        """Events with an id above `after`, oldest first."""
        ...

    def roster(self, known: Roster, limit: int = FIRST_PAGE) -> Roster:
        """`known` brought up to date by at most `limit` rows; the same object when there is nothing new."""
        ...

    def candidates(self, after: int = 0, limit: int | None = None) -> Sequence[Candidate]:
        """Those with a number above `after`, at most `limit`: for a filter, which reads their texts."""
        ...

    def candidates_of(self, numbers: Sequence[int]) -> Sequence[Candidate]:
        """Those of the numbers that exist: the rows on the screen."""
        ...

    def beliefs(self, only: Collection[int] | None = None) -> Mapping[int, Belief]:
        """What is believed of every candidate that has a score, or of those in `only`."""
        ...

    def candidate(self, number: int) -> Candidate:
        """One candidate; raises UsageError when there is none of that number."""
        ...

    def experiments(self, candidate: int) -> Sequence[Experiment]:
        """The trainings of a candidate, oldest first."""
        ...

    def smokes(self, candidate: int) -> Sequence[Smoke]:
        """The smoke runs of a candidate, oldest first."""
        ...

    def gathered(self) -> AbstractContextManager[Gathered]:
        """All of the run at one instant, for exports; raises NothingToDo where there is none."""
        ...

    def source(self, number: int) -> str:
        """The text of a candidate's train.py; raises EvolveError when it is gone."""
        ...

    def calls_of(self, number: int) -> Sequence[Asking]:
        """The calls to language models that a candidate came of, oldest first."""
        ...

    def log_of(self, number: int) -> LogText | None:
        """The end of what a candidate printed last."""
        ...

    def worktree(self, number: int) -> Path | None:
        """The folder in which a living candidate is checked out."""
        ...

    def tuning(self) -> Tuning | None:
        """What can be tuned, and who changed what; None before there is a run."""
        ...

    def prompts(self) -> Sequence[Prompt]:
        """Every template of a prompt with what came of it."""
        ...

    def checked(self, key: str, value: str) -> str:
        """A value as the engine would take it, as TOML; raises UsageError in the engine's words."""
        ...

    def setting_changes(self, limit: int) -> Sequence[SettingChange]:
        """The last changes of live settings, newest first."""
        ...

    def send(self, verb: str, args: dict[str, Any], who: str) -> int:
        """Write a command row and return its id."""
        ...

    def wait_for(self, command_id: int, timeout: float) -> Command | None:
        """The command with its answer, once there is one."""
        ...


class Feed:
    """One source, one thread. Every method is called in that thread, through `submit`."""

    def __init__(self, open_source: Callable[[], Source], who: str) -> None:
        """`open_source` is called in the reading thread, because SQLite connections stay in theirs."""
        self._open = open_source
        self._who = who
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feed")
        self._source: Source | None = None
        self._version: int | None = None
        self._looked = 0.0
        self._running = False
        self._handed: Snapshot | None = None  # the last snapshot that was worth a painting
        self._newest = 0  # id of the newest event of the run
        self._last_event = 0  # id of the last one handed over
        self._roster = Roster()
        self._listed: int | None = None  # data version at which the roster was complete
        self._waiting: dict[int, Path | None] = {}  # with the file that holds the text, if one does

    @property
    def who(self) -> str:
        """Who asks, as the run's log tells it."""
        return self._who

    @property
    def thread(self) -> ThreadPoolExecutor:
        """Where the methods below belong."""
        return self._thread

    def close(self) -> None:
        """Let the thread go; a look in progress is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def reopen(self) -> None:
        """Begin anew with a fresh source: what it holds is of another time than what was handed over."""
        self._source, self._version = None, None
        self._newest = self._last_event = 0
        self._roster, self._listed = Roster(), None

    def look(self, *, roster: bool = False, events: bool = False) -> Reading:
        """Look at the journal once. `roster` and `events` ask for what only some views show.

        A long roster comes in several looks: until it is `complete` the next look brings more of it.
        """
        try:
            return self._look(roster=roster, events=events)
        except FAULTS as error:
            self._version = None
            return Reading(error=f"The journal cannot be read: {_sentence(error)} Trying again.")

    def _look(self, *, roster: bool, events: bool) -> Reading:
        source = self._opened()
        version = source.data_version()
        now = time.monotonic()
        changed = version != self._version
        answers = self._answers(source) if changed else ()
        snapshot = None
        if changed or self._running or now - self._looked >= HEARTBEAT_LOOK:
            snapshot = source.snapshot()
            self._running = snapshot.running is not None
            self._version, self._looked = version, now
            self._newest = snapshot.recent[-1].id if snapshot.recent else 0
            if snapshot.outlook.hurried:
                self._version = None  # the next look brings the rest
            if self._handed is not None and only_time_passed(self._handed, snapshot):
                snapshot = None
            else:
                self._handed = snapshot
        listed = self._list(source, version) if roster and self._listed != version else None
        fresh = self._events(source) if events else ()
        return Reading(snapshot=snapshot, roster=listed, events=fresh, answers=answers)

    def _opened(self) -> Source:
        if self._source is None:
            self._source = self._open()
        return self._source

    def _list(self, source: Source, version: int) -> Roster | None:
        known = self._roster
        self._roster = source.roster(known, PAGE if len(known) else FIRST_PAGE)
        self._listed = version if self._roster.complete or not len(self._roster) else None
        return None if self._roster is known else self._roster

    def _events(self, source: Source) -> tuple[Event, ...]:
        if self._newest <= self._last_event:
            return ()
        after = max(self._last_event, self._newest - EVENTS_KEPT)
        found: list[Event] = []
        while page := source.events(after, EVENTS_PAGE):
            found += page
            after = page[-1].id
        self._last_event = after
        return tuple(found)

    def _answers(self, source: Source) -> tuple[Command, ...]:
        found = []
        for number in tuple(self._waiting):
            command = source.wait_for(number, 0.0)
            if command is not None and command.state is not CommandState.PENDING:
                found.append(_with_text(command, self._waiting.pop(number)))
        return tuple(found)

    def send(self, verb: str, args: dict[str, Any], kept: Path | None = None) -> int | str:
        """Write a command. Returns its id, or a sentence that says why it could not be written.

        `kept` is a file with what a person wrote for it: it goes once the engine has taken that, else its place is told.
        """
        try:
            number = self._opened().send(verb, args, self._who)
        except FAULTS as error:
            where = f"Your text is in {kept}. " if kept else ""
            return f"{where}That could not be sent: {_sentence(error)}"
        self._waiting[number] = kept
        return number

    def fetch(self, work: Callable[[Source], T], about: str) -> T | Fault:
        """Ask the source something that only one view needs, or say why that could not be."""
        try:
            return work(self._opened())
        except FAULTS as error:
            return Fault(f"{about} cannot be shown: {_sentence(error)}")

    def details(self, number: int) -> Details | str:
        """Everything about a candidate, or a sentence that says why not."""
        try:
            return details_of(self._opened(), number)
        except FAULTS as error:
            return f"#{number} cannot be shown: {_sentence(error)}"


def details_of(source: Source, number: int) -> Details:
    """Everything about a candidate; raises one of `FAULTS` when it cannot be read."""
    return Details(
        source.candidate(number),
        tuple(_concealed(run) for run in source.experiments(number)),
        source.beliefs((number,)).get(number),
        tuple(source.smokes(number)),
    )


def _concealed(run: Experiment) -> Experiment:
    """A training whose texts show no key, should a script ever have come by one."""
    return replace(run, log_tail=conceal_keys(run.log_tail), traceback=conceal_keys(run.traceback))


def only_time_passed(before: Snapshot, after: Snapshot) -> bool:
    """True when nobody would see a difference: nothing but a little time, and the engine was alive all along."""
    ages = (before.engine.heartbeat_age or 0.0, after.engine.heartbeat_age or 0.0)
    if after.time - before.time >= SAME_LOOK or max(ages) >= STALE_AFTER or after.running:
        return False
    engine = replace(after.engine, heartbeat_age=before.engine.heartbeat_age)
    same = replace(after, time=before.time, engine=engine, standings=before.standings)
    return same == before


def _sentence(error: BaseException) -> str:
    """What went wrong, with a full stop."""
    return f"{str(error).rstrip('.')}."


def _with_text(command: Command, kept: Path | None) -> Command:
    """The answer to a command with a text in a file: what was taken is thrown away, what was refused is named."""
    if kept is None:
        return command
    if command.state is CommandState.REFUSED:
        return replace(command, answer=f"Your text is in {kept}. {command.answer}")
    kept.unlink(missing_ok=True)
    return command
