"""Reads the journal: every question that the engine and its clients ask, on the newest run unless said otherwise.

It never writes. It imports nothing heavy, because `status` starts through here. Here stand the questions about the
run itself; candidates, trainings, changes, the slot and calls have books of their own, which it joins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve import rows
from evolve.candidatebook import CandidateBook
from evolve.changes import ChangeBook
from evolve.database import faults, open_reader, version
from evolve.model import Command, Event, Note, NothingToDo, Run, Template, UsageError
from evolve.slotbook import SlotBook
from evolve.toml_text import flat, is_live
from evolve.trialbook import TrialBook

IMPORTED = "imported of {}"  # key of the fact from where and when a run was imported


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run has come to so far, in numbers."""

    candidates: int  # made, the baseline included
    settled: int  # children with a verdict after at least one training
    since_promotion: int  # settled since main moved last
    experiments: int  # finished, void ones included
    failures: int  # candidates without a score
    voided: int  # of those, by the blind audit
    promotions: int
    crossovers: int
    llm_calls: int
    dollars: float  # paid


class Reader(CandidateBook, TrialBook, ChangeBook, SlotBook):
    """A connection for questions."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the journal for reading; raises EvolveError when that cannot be."""
        return cls(open_reader(path), path)

    @property
    def made(self) -> bool:
        """Are its tables there? An engine makes them in one transaction, some milliseconds after the file."""
        return version(self._db) > 0

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def data_version(self) -> int:
        """A number that changes when another connection has written; costs microseconds."""
        return int(self._one("PRAGMA data_version")[0])

    def written(self) -> tuple[int, int]:
        """As `data_version`, but it changes when this connection has written, too."""
        return self.data_version(), self._db.total_changes

    @contextmanager
    def instant(self) -> Iterator[None]:
        """Every question inside is answered from the same moment, whatever is written meanwhile."""
        with faults(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    # ---- runs ----------------------------------------------------------------------------------------------

    def current_run(self) -> Run | None:
        """The newest run, or None."""
        found = self._all(f"{rows.RUN} ORDER BY id DESC LIMIT 1")
        return rows.run(found[0]) if found else None

    def run(self) -> Run:
        """The newest run; raises NothingToDo without one."""
        run = self.current_run()
        if run is None:
            raise NothingToDo("There is no run here yet; start one with `autoresearch run`.")
        return run

    def run_names(self) -> frozenset[str]:
        """The names that are taken."""
        return frozenset(row[0] for row in self._all("SELECT name FROM run"))

    def settings_in_force(self) -> dict[str, str]:
        """Dotted key to TOML: the settings at the run's start with every change since."""
        run = self.run()
        changes = self._all(
            "SELECT key, new FROM setting_change WHERE run = ? ORDER BY id", (run.id,)
        )
        return flat(run.settings) | {row["key"]: row["new"] for row in changes}

    def live_settings(self) -> dict[str, str]:
        """Those of `settings_in_force` that may change while the engine runs."""
        return {k: v for k, v in self.settings_in_force().items() if is_live(k)}

    def meta(self, key: str) -> str:
        """A fact about the engine, `""` when it was never told."""
        found = self._all("SELECT value FROM meta WHERE key = ?", (key,))
        return str(found[0][0]) if found else ""

    def imported_from(self, run: str) -> str:
        """From where a run was imported, in words; `""` for one that was searched here."""
        told = self.meta(IMPORTED.format(run))
        return str(json.loads(told)["from"]) if told else ""

    def tally(self) -> Tally:
        """Count what has happened in the run."""
        run = self._one("SELECT max(id) AS id, promotion, dollars FROM run")
        counts = self._one(
            """SELECT
            (SELECT coalesce(max(id), 0) FROM candidate WHERE run = :run) AS candidates, -- numbered without gaps
            (SELECT count(*) FROM candidate WHERE run = :run AND judged IS NULL) AS unsettled,
            (SELECT count(*) FROM candidate WHERE run = :run AND judged > :promotion) AS since,
            (SELECT count(*) FROM experiment WHERE run = :run) AS experiments,
            (SELECT count(*) FROM experiment WHERE run = :run AND finished IS NULL) AS running,
            (SELECT count(*) FROM candidate WHERE run = :run AND operator = 'crossover') AS crossovers,
            (SELECT count(*) FROM candidate WHERE run = :run AND verdict = 'failed') AS failures,
            (SELECT count(*) FROM candidate WHERE run = :run AND verdict = 'failed' AND voided != '') AS voided,
            (SELECT count(*) FROM candidate WHERE run = :run AND verdict = 'promoted') AS promotions,
            (SELECT count(*) FROM llm_call WHERE run = :run) AS calls""",
            {"run": run["id"], "promotion": run["promotion"]},
        )
        return Tally(
            candidates=counts["candidates"],
            settled=counts["candidates"] - counts["unsettled"],
            since_promotion=counts["since"],
            experiments=counts["experiments"] - counts["running"],
            failures=counts["failures"],
            voided=counts["voided"],
            promotions=counts["promotions"],
            crossovers=counts["crossovers"],
            llm_calls=counts["calls"],
            dollars=run["dollars"] or 0.0,
        )

    # ---- events, commands ----------------------------------------------------------------------------------

    def events(self, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        """What happened after event `after`, oldest first, in this run and before it began."""
        found = self._all(
            f"{rows.EVENT} WHERE id > ? AND (run IS NULL OR run = ?) ORDER BY id LIMIT ?",
            (after, self.run_id(), limit),
        )
        return tuple(rows.event(row) for row in found)

    def recent_events(self, limit: int = 50) -> tuple[Event, ...]:
        """The last ones, newest last."""
        found = self._all(
            f"{rows.EVENT} WHERE run IS NULL OR run = ? ORDER BY id DESC LIMIT ?",
            (self.run_id(), limit),
        )
        return tuple(rows.event(row) for row in reversed(found))

    def last_event_id(self) -> int:
        """The newest event's number, 0 without one."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM event")[0])

    def pending_commands(self) -> tuple[Command, ...]:
        """What clients asked for and the engine has not answered, oldest first."""
        found = self._all(f"{rows.COMMAND} WHERE state = 'pending' ORDER BY id")
        return tuple(rows.command(row) for row in found)

    def command(self, number: int) -> Command:
        """One request; raises UsageError when there is none of that number."""
        found = self._all(f"{rows.COMMAND} WHERE id = ?", (number,))
        if not found:
            raise UsageError(f"There is no request {number}.")
        return rows.command(found[0])

    def stop_granted(self, since: float) -> bool:
        """Has the engine agreed to a stop after `since` (unix seconds), which was not taken back?"""
        found = self._all(
            "SELECT verb FROM command WHERE verb IN ('stop', 'resume') AND state = 'done' "
            "AND answered >= ? ORDER BY id DESC LIMIT 1",
            (since,),
        )
        return bool(found) and found[0]["verb"] == "stop"

    def last_command(self) -> int:
        """The number of the newest request, 0 without one."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM command")[0])

    def last_granted(self, verbs: tuple[str, ...], after: int) -> Command | None:
        """The newest request with one of these verbs that was granted, of those after request `after`."""
        marks = ", ".join("?" * len(verbs))
        found = self._all(
            f"{rows.COMMAND} WHERE id > ? AND state = 'done' AND verb IN ({marks}) ORDER BY id DESC LIMIT 1",
            (after, *verbs),
        )
        return rows.command(found[0]) if found else None

    # ---- what proposers are told -------------------------------------------------------------------------------

    def refusals(self, parent: int, limit: int) -> tuple[Event, ...]:
        """The last proposals of children of `parent` that were refused unseen, newest last."""
        found = self._all(
            f"{rows.EVENT} WHERE run = ? AND kind = 'refused' AND candidate = ? ORDER BY id DESC LIMIT ?",
            (self.run_id(), parent, limit),
        )
        return tuple(rows.event(row) for row in reversed(found))

    def scratchpad(self) -> Note | None:
        """The scratchpad in force, None before the first one."""
        found = self.scratchpads(1)
        return found[0] if found else None

    def scratchpads(self, limit: int = 1000) -> tuple[Note, ...]:
        """The last versions of the scratchpad, newest first."""
        found = self._all(
            f"{rows.NOTE} WHERE run = ? ORDER BY id DESC LIMIT ?", (self.run_id(), limit)
        )
        return tuple(Note(**dict(row)) for row in found)

    def templates(self) -> tuple[Template, ...]:
        """Every template of a prompt that was ever in force here, oldest first."""
        found = self._all(f"{rows.TEMPLATE} ORDER BY time, version")
        return tuple(Template(**dict(row)) for row in found)
