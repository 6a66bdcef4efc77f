"""What the app and the commands see of a run, and how they ask the engine for something.

Reads the journal, the engine's lock and the running experiment's progress; writes nothing but rows of the
`command` table. It imports neither settings nor git nor numpy, because `status` starts through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve import provenance
from evolve.beliefs import Belief
from evolve.database import faults, open_reader, open_sender, version
from evolve.lock import holder
from evolve.model import (
    Candidate,
    Command,
    CommandState,
    Event,
    EvolveError,
    Experiment,
    Note,
    NothingToDo,
    Passing,
    SettingChange,
    Smoke,
    Template,
    UsageError,
)
from evolve.outlook import Watch
from evolve.places import JOURNAL, LOCK, STATE
from evolve.reader import Reader
from evolve.roster import FIRST_PAGE, Roster
from evolve.rows import as_json
from evolve.snapshots import Snapshots
from evolve.toml_text import texts
from evolve.trends import Trend
from evolve.view import Snapshot

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.promptbook import Prompt
    from evolve.tunable import Tuning

_LOOK = 0.05  # seconds between looks for an answer


class Client:
    """A look at one workspace, from any thread. The workspace need not have a run yet."""

    def __init__(self, workspace: Path, read_only: bool = False, *, hurry: bool = False) -> None:
        """`read_only`: every request is refused. `hurry`: for who looks again and again, the first snapshot of a long
        run lacks what is believed of scores (its outlook says so), which takes seconds with 100,000 candidates.
        """
        self.state = workspace / STATE
        self._hurry = hurry
        self._read_only = read_only
        self._journal: Reader | None = None
        self._busy = threading.RLock()
        self._watch = Watch()
        self._snapshots = Snapshots(self.state, self._watch)

    def close(self) -> None:
        """Let go of the journal."""
        with self._busy:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    # ---- questions -----------------------------------------------------------------------------------------

    def data_version(self) -> int:
        """A number that changes when the journal has changed; 0 before there is one. Progress is not in it."""
        with self._reading() as journal:
            return 0 if journal is None else journal.data_version()

    def snapshot(self, curve: bool = True) -> Snapshot:
        """Everything on the first screen at one instant; without `curve` no curves are read."""
        with self._reading() as journal:
            if journal is None:
                return self._snapshots.empty()
            with journal.instant():
                run = journal.current_run()
                if run is None:
                    return self._snapshots.empty()
                hurry, self._hurry = self._hurry, False
                return self._snapshots.take(journal, run, curves=curve, hurry=hurry)

    def events(self, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        """What happened after event `after`, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.events(after, limit)

    def candidates(self, after: int = 0, limit: int | None = None) -> tuple[Candidate, ...]:
        """Those with a number above `after`, in the order of their numbers, at most `limit`."""
        with self._reading() as journal:
            return () if journal is None else journal.candidates(after, limit)

    def candidate(self, number: int) -> Candidate:
        """One candidate; raises UsageError when there is none of that number."""
        with self._reading() as journal:
            if journal is None:
                raise UsageError(f"There is no candidate #{number}.")
            return journal.candidate(number)

    def experiments(self, candidate: int, curve: bool = False) -> tuple[Experiment, ...]:
        """Every training of a candidate, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.experiments(candidate, curve=curve)

    def smokes(self, candidate: int) -> tuple[Smoke, ...]:
        """The smoke runs of a candidate, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.smokes(candidate)

    def source(self, number: int) -> str:
        """The text of a candidate's train.py. Raises EvolveError when git no longer has it."""
        with self._reading() as journal:
            if journal is None:
                raise UsageError(f"There is no candidate #{number}.")
            run, candidate = journal.run(), journal.candidate(number)
        return provenance.script(self.state.parent, run, candidate)

    def calls_of(self, number: int) -> tuple[provenance.Asking, ...]:
        """The calls to language models that a candidate came of, oldest first, with what was said."""
        with self._reading() as journal:
            return () if journal is None else provenance.askings(journal, number)

    def log_of(self, number: int, most: int = provenance.LOG_SHOWN) -> provenance.LogText | None:
        """The last `most` bytes that a candidate printed in its last training; None when there is nothing."""
        with self._reading() as journal:
            return None if journal is None else provenance.log(journal, self.state, number, most)

    def worktree(self, number: int) -> Path | None:
        """The folder in which a living candidate is checked out; None for all others."""
        return provenance.worktree(self.state, self.candidate(number))

    def candidates_of(self, numbers: Sequence[int]) -> tuple[Candidate, ...]:
        """Those of the numbers that exist, in the order of their numbers; a few hundred at most."""
        with self._reading() as journal:
            return () if journal is None else journal.candidates_of(numbers)

    def roster(self, known: Roster, limit: int = FIRST_PAGE) -> Roster:
        """Every candidate: `known` brought up to date by `limit` rows or more; the same object when nothing is new.

        There is one roster a client, from which beliefs are computed too, so it may be further than `known` already.
        """
        with self._reading() as journal:
            if journal is None:
                return known
            with journal.instant():
                return self._watch.roster(journal, limit)

    def beliefs(self, only: Collection[int] | None = None) -> dict[int, Belief]:
        """What is believed of every candidate that has a score, by number, or of those in `only`."""
        with self._reading() as journal:
            if journal is None:
                return {}
            with journal.instant():
                run = journal.current_run()
                return {} if run is None else self._watch.beliefs(journal, run, only)

    def trends(self, by: str) -> tuple[Trend, ...]:
        """What each kind of child has come to, by one of `evolve.trends.KEYS`."""
        with self._reading() as journal:
            run = None if journal is None else journal.current_run()
            if journal is None or run is None:
                return ()
            with journal.instant():
                return self._watch.trends(journal, run, by)

    def scratchpads(self, limit: int = 1000) -> tuple[Note, ...]:
        """The last versions of the scratchpad, newest first."""
        with self._reading() as journal:
            return () if journal is None else journal.scratchpads(limit)

    @contextmanager
    def gathered(self) -> Iterator[Gathered]:
        """All of the newest run at one instant, for exports; raises NothingToDo where there is none.

        It reads through a connection of its own, so that a long export keeps nobody else waiting.
        """
        from evolve.export.gather import gather

        with self._reading() as journal:
            if journal is None or journal.current_run() is None:
                raise NothingToDo("There is no run here yet; start one with `autoresearch run`.")
        with gather(self.state / JOURNAL, self.state.parent) as gathered:
            yield gathered

    def templates(self) -> tuple[Template, ...]:
        """Every template of a prompt that was ever in force here, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.templates()

    def tuning(self) -> Tuning | None:
        """What a person can tune, with who changed what; None before there is a run. Imports the settings."""
        from evolve import tunable

        with self._reading() as journal:
            run = None if journal is None else journal.current_run()
            if journal is None or run is None:
                return None
            with journal.instant():
                return tunable.look(journal, run, self.state.parent)

    def setting_changes(self, limit: int = 1000) -> tuple[SettingChange, ...]:
        """The last changes of live settings, newest first."""
        with self._reading() as journal:
            return () if journal is None else journal.setting_changes(limit)

    def checked(self, key: str, value: str) -> str:
        """`value` as the engine would take it for a setting, as TOML. Raises UsageError in the engine's own words."""
        from evolve import tunable

        with self._reading() as journal:
            return tunable.checked(
                {} if journal is None else journal.settings_in_force(), key, value
            )

    def prompts(self) -> tuple[Prompt, ...]:
        """Every template of a prompt that is or was in force, with what its children have come to."""
        from evolve import promptbook

        with self._reading() as journal:
            own = {} if journal is None else texts(journal.live_settings(), "prompts.")
        found = promptbook.versions(own, self.templates(), self.trends("prompt"))
        return promptbook.prompts(own, found)

    # ---- requests ------------------------------------------------------------------------------------------

    def send(self, verb: str, args: Mapping[str, Any], who: str) -> int:
        """Ask the engine for something; returns the request's number. It is pending until the engine answers."""
        if self._read_only:
            raise UsageError("this is a look without acting; attach without --read-only to act")
        path = self.state / JOURNAL
        if not path.is_file():
            raise NothingToDo("There is no run here yet; start one with `autoresearch run`.")
        try:
            with faults(path), closing(open_sender(path)) as db:
                cursor = db.execute(
                    "INSERT INTO command (time, who, verb, args) VALUES (?, ?, ?, ?)",
                    (time.time(), who, verb, as_json(dict(args))),
                )
                return int(cursor.lastrowid or 0)
        except Passing as error:
            engine = holder(self.state / LOCK)
            end = (
                f"`kill {engine.pid}` ends it"
                if engine and engine.alive
                else "no engine works here"
            )
            raise EvolveError(
                f"The engine cannot be asked: {error} Ask again when that is over; {end}."
            ) from error

    def wait_for(self, command: int, timeout: float) -> Command | None:
        """The request once it is answered, or None after `timeout` seconds without an answer."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()  # never set: waits between two looks
        while True:
            with self._reading() as journal:
                found = None if journal is None else journal.command(command)
            if found is not None and found.state is not CommandState.PENDING:
                return found
            if time.monotonic() > deadline:
                return None
            pause.wait(_LOOK)

    # ---- private -------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Reader | None]:
        """The journal at one instant for one thread, or None before there is one."""
        with self._busy:
            if self._journal is None:
                self._journal = self._open()
            yield self._journal

    def _open(self) -> Reader | None:
        path = self.state / JOURNAL
        if not path.is_file():
            return None
        db = open_reader(path)
        if version(db) == 0:  # an engine is making it at this moment
            db.close()
            return None
        return Reader(db, path)
