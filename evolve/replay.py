"""A recorded run as it was at any moment: a scratch workspace whose journal holds what had happened until then.

The rows of a recording arrive in a second journal, which the ordinary `Reader` and `Client` then read, so everything
that shows a live run shows a past one too. The recording itself is copied first and never touched.

How the past is known. Every step of the engine is one transaction that also writes an event, so the events, in their
order, say which rows arrive when, and `evolve.retelling` says what each did to rows that change later (states, verdicts,
scores, who lives, main, money). Requests, calls, settings and notes arrive by their own time. Where the journal keeps
no history the nearest honest thing is shown:

- a call under way costs nothing until it is answered, because what was committed for it is overwritten by its price;
- facts about the engine (sandbox, policy, proposers) are those of the end, from the start;
- a score that counts no more is taken out with the first word of drift after its training;
- progress between two points of a curve is not known, nor is that of a training in which the recording ends;
- the order of the queue is the one that the requests and promotions of the log lead to.

At the last moment everything equals the recording.
"""

from __future__ import annotations

import shutil
import sqlite3
from array import array
from bisect import bisect_left, bisect_right
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve.database import faults, open_writer
from evolve.model import NothingToDo, UsageError
from evolve.places import JOURNAL, state_folder
from evolve.progressing import ProgressWriter
from evolve.recordings import copy_journal, journal_at, lend_sources, unpack
from evolve.retelling import Retelling
from harness import scratch


class Replay:
    """One recording, at one moment. Not for several threads at once; a context manager."""

    def __init__(self, place: Path) -> None:
        """`place`: a journal, a workspace or its state folder, or a packed recording.

        Raises UsageError where there is no journal, NothingToDo where it has no run, EvolveError when it is damaged.
        """
        self._scratch = scratch.make("replay")
        try:
            packed = place.name.endswith(".tar.xz")
            self.recorded = unpack(place, self._scratch / "packed") if packed else journal_at(place)
            self._shown = place if packed else self.recorded  # what a sentence about a fault names
            self.workspace = self._scratch / "work"  # what a Client is opened on
            self.workspace.mkdir()
            lend_sources(self.recorded, self.workspace)
            copy_journal(self.recorded, self._scratch / JOURNAL)
            with faults(self._shown):
                self._db = self._connect()
                self._read_times()
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise

    def _connect(self) -> sqlite3.Connection:
        state = state_folder(self.workspace)
        open_writer(state / JOURNAL).close()
        db = sqlite3.connect(state / JOURNAL, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        # A scratch file: nothing in it has to survive, and a copy of the engine's work needs no guard.
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
        # Those that stamp what is new for clients stay.
        rules = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' "
            "AND name NOT IN ('candidate_begins', 'candidate_changes')"
        ).fetchall()
        for rule in rules:
            db.execute(f"DROP TRIGGER {rule['name']}")
        db.execute("ATTACH ? AS recorded", (str(self._scratch / JOURNAL),))
        run = db.execute("SELECT max(id) FROM recorded.run").fetchone()[0]
        if run is None:
            raise NothingToDo(f"{self._shown} has no run yet, so there is nothing to play.")
        self._run = int(run)
        self._retelling = Retelling(db, self._run)
        self._progress = ProgressWriter(db, state)
        return db

    def _read_times(self) -> None:
        self._ids, self._times = array("q"), array("d")
        created = "SELECT created FROM recorded.run WHERE id = ?"
        self.begins = latest = float(self._db.execute(created, (self._run,)).fetchone()[0])
        events = "SELECT id, time FROM recorded.event WHERE run IS NULL OR run = ? ORDER BY id"
        for number, time in self._db.execute(events, (self._run,)):
            latest = max(latest, time)  # a clock that was set back does not turn the story around
            self._ids.append(number)
            self._times.append(latest)
        self.ends = max(latest, self._retelling.latest())
        starts = "SELECT time FROM recorded.event WHERE run = ? AND kind = 'started' ORDER BY time"
        self._starts = array("d", (row[0] for row in self._db.execute(starts, (self._run,))))
        self._done = 0  # events that have been retold
        self._moment = self.begins
        self._retelling.begin()

    def close(self) -> None:
        """Remove the scratch workspace."""
        self._db.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ---- time ----------------------------------------------------------------------------------------------

    @property
    def changes(self) -> int:
        """Moves whenever the played journal changes."""
        return self._db.total_changes

    def at(self, moment: float) -> None:
        """Bring the played journal to `moment` (unix seconds).

        Forward only what is new arrives; back, everything begins anew.
        """
        with faults(self._shown):
            self._db.execute("BEGIN")
            if moment < self._moment:
                self._retelling.begin()
                self._progress.forget()
                self._done = 0
            self._moment = moment
            self._retelling.arrive(moment)
            wanted = bisect_right(self._times, moment)
            if wanted > self._done:
                self._retelling.tell(self._ids[self._done], self._ids[wanted - 1])
                self._done = wanted
            if moment >= self.ends:
                self._retelling.end()
            self._db.execute("COMMIT")
            self._progress.write_until(moment)

    def start_of(self, candidate: int) -> float:
        """When a candidate's first training began, or when it was made if it had none; UsageError without it."""
        row = self._db.execute(
            """SELECT time FROM recorded.event WHERE run = ? AND candidate = ? AND kind IN ('started', 'queued')
            ORDER BY kind = 'started' DESC, id LIMIT 1""",
            (self._run, candidate),
        ).fetchone()
        if row is None:
            raise UsageError(f"There is no candidate #{candidate} in {self._shown}.")
        return float(row[0])

    def neighbour(self, moment: float, direction: int) -> float:
        """The start of the next training after `moment`, or of the last one before it; else the end, or the beginning."""
        if direction > 0:
            place = bisect_right(self._starts, moment)
            return self._starts[place] if place < len(self._starts) else self.ends
        place = bisect_left(self._starts, moment) - 1
        return self._starts[place] if place >= 0 else self.begins
