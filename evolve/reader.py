"""Reads the journal: every question that the engine and its clients ask, on the newest run unless said otherwise.

It never writes. It imports nothing heavy, because `status` starts through here. Lists of candidates are one
query each, so they stay cheap with 100,000 of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve import rows
from evolve.changes import ChangeBook
from evolve.database import faults, open_reader
from evolve.drift import Speed
from evolve.model import (
    Candidate,
    CandidateState,
    Command,
    Event,
    Experiment,
    Note,
    NothingToDo,
    Purpose,
    Run,
    Smoke,
    Template,
    UsageError,
)
from evolve.slotbook import SlotBook
from evolve.stop import Pace
from evolve.toml_text import flat, is_live
from harness.spec import CurvePoint


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


@dataclass(frozen=True, slots=True)
class CallCost:
    """What one finished call of a language model was for, and what it cost."""

    time: float  # unix seconds
    model: str
    operator: str
    dollars: float
    candidate: int | None  # that came of it


class Reader(ChangeBook, SlotBook):
    """A connection for questions."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the journal for reading; raises EvolveError when that cannot be."""
        return cls(open_reader(path), path)

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

    def screened(self) -> int:
        """Children whose first training has begun; not those of which it was killed."""
        return int(
            self._one(
                """SELECT (SELECT count(DISTINCT candidate) FROM experiment WHERE run = :run AND purpose = 'screen')
                - (SELECT count(*) FROM candidate AS c WHERE run = :run AND verdict = 'dropped' AND EXISTS (SELECT 1
                    FROM experiment AS e WHERE e.run = c.run AND e.candidate = c.id))""",
                {"run": self.run_id()},
            )[0]
        )

    # ---- candidates ----------------------------------------------------------------------------------------

    def next_candidate_id(self) -> int:
        """The number that the next candidate gets; counts from 1 within the run."""
        return 1 + int(
            self._one("SELECT coalesce(max(id), 0) FROM candidate WHERE run = ?", (self.run_id(),))[
                0
            ]
        )

    def has_candidate(self, number: int) -> bool:
        """Is there a candidate of that number?"""
        return bool(
            self._all("SELECT 1 FROM candidate WHERE run = ? AND id = ?", (self.run_id(), number))
        )

    def candidate(self, number: int) -> Candidate:
        """One candidate; raises UsageError when there is none of that number."""
        found = self._candidates("AND id = ?", number)
        if not found:
            raise UsageError(f"There is no candidate #{number}.")
        return found[0]

    def candidates(self, after: int = 0, limit: int | None = None) -> tuple[Candidate, ...]:
        """Those with a number above `after`, in the order of their numbers, at most `limit`."""
        most = -1 if limit is None else limit
        return self._candidates("AND id > ? ORDER BY id LIMIT ?", after, most)

    def candidates_of(self, numbers: Sequence[int]) -> tuple[Candidate, ...]:
        """Those of the numbers that exist, in the order of their numbers; a few hundred at most."""
        return self._candidates(
            "AND id IN (SELECT value FROM json_each(?)) ORDER BY id", json.dumps(list(numbers))
        )

    def lines_of(self, numbers: Sequence[int]) -> dict[int, int]:
        """How long the scripts of these candidates are, by number."""
        found = self._all(
            "SELECT id, lines FROM candidate WHERE run = ? AND id IN (SELECT value FROM json_each(?))",
            (self.run_id(), json.dumps(list(numbers))),
        )
        return {row[0]: row[1] for row in found}

    def fitness_rows(self, only: Sequence[int] | None = None) -> Iterator[sqlite3.Row]:
        """Candidate, seed and fitness of every score that counts, oldest first; of all, or of those in `only`."""
        those = "" if only is None else "AND candidate IN (SELECT value FROM json_each(?)) "
        asked = () if only is None else (json.dumps(list(only)),)
        return self._each(
            "SELECT candidate, seed, fitness FROM experiment WHERE run = ? "  # noqa: S608 - our own words
            f"{those}AND outcome = 'ok' AND discounted = '' ORDER BY id",
            (self.run_id(), *asked),
        )

    def roster_page(self, after: int, limit: int) -> Iterator[sqlite3.Row]:
        """The `rows.ROSTER` of at most `limit` candidates with a number above `after`, by number."""
        return self._each(
            f"{rows.ROSTER} WHERE run = ? AND id > ? ORDER BY id LIMIT ?",
            (self.run_id(), after, limit),
        )

    def touched_since(self, stamp: int) -> Iterator[sqlite3.Row]:
        """`rows.ROSTER` of every candidate that was written after `stamp`, by number."""
        return self._each(
            f"{rows.ROSTER} WHERE run = ? AND touched > ? ORDER BY id",
            (self.run_id(), stamp),
        )

    def newest_touch(self) -> int:
        """The stamp of the last write of a candidate of the run, 0 before the first."""
        return int(
            self._one(
                "SELECT coalesce(max(touched), 0) FROM candidate WHERE run = ?", (self.run_id(),)
            )[0]
        )

    def candidates_in(self, state: CandidateState) -> tuple[Candidate, ...]:
        """Those in one state, in the order in which they would train."""
        return self._candidates("AND state = ? ORDER BY priority, id", str(state))

    def queue(self) -> tuple[Candidate, ...]:
        """Those that wait for the slot, next first."""
        return self.candidates_in(CandidateState.READY)

    def living(self) -> tuple[Candidate, ...]:
        """The population, in the order of their numbers."""
        return self._candidates("AND alive ORDER BY id")

    def wished(self) -> tuple[Candidate, ...]:
        """Those that a person wants to have measured again, in the order of their numbers."""
        return self._candidates("AND wanted ORDER BY id")

    # ---- experiments ---------------------------------------------------------------------------------------

    def experiments(self, candidate: int, *, curve: bool = False) -> tuple[Experiment, ...]:
        """Every training of a candidate, oldest first; the curves only when asked for."""
        found = self._all(
            f"{rows.EXPERIMENT} WHERE run = ? AND candidate = ? ORDER BY id",
            (self.run_id(), candidate),
        )
        return tuple(rows.experiment(r, self.curve(r["id"]) if curve else ()) for r in found)

    def scores_by_seed(self, candidate: int) -> dict[int, float]:
        """Seed to val_bpb of a candidate's scored trainings that count, oldest first."""
        return self._by_seed("val_bpb", candidate)

    def fitness_by_seed(self, candidate: int) -> dict[int, float]:
        """As `scores_by_seed`, but what selection goes by."""
        return self._by_seed("fitness", candidate)

    def fitness_tables(self) -> dict[int, dict[int, float]]:
        """Candidate to `fitness_by_seed`, of all that have a score that counts."""
        tables: dict[int, dict[int, float]] = {}
        for number, seed, fitness in self.fitness_rows():
            tables.setdefault(number, {})[seed] = fitness
        return tables

    def trained_since(self, candidate: int) -> int:
        """Trainings of others that ended, void ones aside, since this candidate's last one began."""
        row = self._one(
            """SELECT count(*) FROM experiment WHERE run = :run AND outcome IS NOT NULL AND outcome != 'void'
            AND id > (SELECT coalesce(max(id), 0) FROM experiment
                WHERE run = :run AND candidate = :candidate)""",
            {"run": self.run_id(), "candidate": candidate},
        )
        return int(row[0])

    def seconds_per_training(self) -> float:
        """Mean wall seconds of the run's last scored trainings, preparation and scoring included; 0 without one."""
        row = self._one(
            """SELECT coalesce(avg(total_seconds), 0) FROM (SELECT total_seconds FROM experiment
                WHERE run = ? AND outcome = 'ok' ORDER BY id DESC LIMIT 20)""",
            (self.run_id(),),
        )
        return float(row[0])

    def pace(self, trainings: int = 40) -> Pace:
        """How fast the run has come along during its last finished trainings, gaps and pauses among them included."""
        row = self._one(
            """SELECT count(*) AS trainings, sum(purpose = 'screen') AS children, min(started) AS since,
            max(finished) - min(started) AS seconds FROM (SELECT purpose, started, finished FROM experiment
                WHERE run = ? AND finished IS NOT NULL ORDER BY id DESC LIMIT ?)""",
            (self.run_id(), trainings),
        )
        if not row["trainings"] or row["seconds"] <= 0:
            return Pace()
        spent = self._one(
            "SELECT total(dollars) FROM llm_call WHERE run = ? AND time >= ? AND status != 'reserved'",
            (self.run_id(), row["since"]),
        )[0]
        hours = row["seconds"] / 3600
        return Pace(row["children"] / hours, row["trainings"] / hours, spent / hours)

    def sealed_by_seed(self, candidate: int) -> dict[int, float]:
        """Seed to the score on the sealed rows, of those trainings that were scored there and count."""
        return self._by_seed("sealed_bpb", candidate)

    def speeds(self) -> tuple[Speed, ...]:
        """How fast every scored training of the run was, oldest first."""
        found = self._all(
            "SELECT id, candidate, purpose, tokens_per_second FROM experiment WHERE run = ? "
            "AND outcome = 'ok' AND tokens_per_second > 0 ORDER BY id",
            (self.run_id(),),
        )
        return tuple(Speed(row[0], row[1], Purpose(row[2]), row[3]) for row in found)

    def all_experiments(self) -> tuple[Experiment, ...]:
        """Every training of the run, oldest first, without logs, tracebacks and curves."""
        found = self._all(
            f"{rows.EXPERIMENT_BRIEF} WHERE run = ? ORDER BY id",
            (self.run_id(),),
        )
        return tuple(rows.experiment(row) for row in found)

    def has_pruned(self) -> bool:
        """Has the pruning rule had a say in any training of the run?"""
        return bool(
            self._all(
                "SELECT 1 FROM experiment WHERE run = ? AND (outcome = 'pruned' OR pruning != '') LIMIT 1",
                (self.run_id(),),
            )
        )

    def running_experiment(self) -> Experiment | None:
        """The training that has begun and not ended, as far as the journal knows."""
        found = self._all(
            f"{rows.EXPERIMENT} WHERE run = ? AND finished IS NULL",
            (self.run_id(),),
        )
        return rows.experiment(found[0]) if found else None

    def experiment_before(self, number: int) -> Experiment | None:
        """The training that ended last before experiment `number` began."""
        found = self._all(
            f"{rows.EXPERIMENT_BRIEF} WHERE run = ? AND id < ? "
            "AND finished IS NOT NULL ORDER BY id DESC LIMIT 1",
            (self.run_id(), number),
        )
        return rows.experiment(found[0]) if found else None

    def screening_seconds(self, after: int = 0) -> dict[int, float]:
        """Candidate to the seconds that its first training took, with whatever it took to get one."""
        found = self._all(
            "SELECT candidate, sum(total_seconds) FROM experiment "
            "WHERE run = ? AND candidate > ? AND purpose = 'screen' GROUP BY candidate",
            (self.run_id(), after),
        )
        return {row[0]: row[1] for row in found}

    def smokes(self, candidate: int) -> tuple[Smoke, ...]:
        """The smoke runs of a candidate, oldest first."""
        found = self._all(
            f"{rows.SMOKE} WHERE run = ? AND candidate = ? ORDER BY id", (self.run_id(), candidate)
        )
        return tuple(rows.smoke(row) for row in found)

    def running_smoke(self) -> Smoke | None:
        """The smoke run that has begun and not ended, as far as the journal knows."""
        found = self._all(
            f"{rows.SMOKE} WHERE run = ? AND finished IS NULL ORDER BY id", (self.run_id(),)
        )
        return rows.smoke(found[0]) if found else None

    def directory(self, experiment: int) -> str:
        """The name of an experiment's folder under `.autoresearch/experiments`."""
        return str(self._one("SELECT directory FROM experiment WHERE id = ?", (experiment,))[0])

    def last_directory(self, candidate: int) -> str | None:
        """The name of the folder of a candidate's last training, None before the first."""
        found = self._all(
            "SELECT directory FROM experiment WHERE run = ? AND candidate = ? ORDER BY id DESC LIMIT 1",
            (self.run_id(), candidate),
        )
        return str(found[0][0]) if found else None

    def curve(self, experiment: int) -> tuple[CurvePoint, ...]:
        """An experiment's training curve."""
        return tuple(
            CurvePoint(*row)
            for row in self._all(
                "SELECT fraction, seconds, tokens, loss FROM curve WHERE experiment = ? ORDER BY position",
                (experiment,),
            )
        )

    def peak_memory(self) -> dict[int, float]:
        """Candidate to the memory that it reported, in MB, where it did."""
        found = self._all(
            "SELECT id, peak_memory_mb FROM candidate WHERE run = ? AND peak_memory_mb IS NOT NULL",
            (self.run_id(),),
        )
        return {row[0]: row[1] for row in found}

    def baselines(self) -> frozenset[str]:
        """The commits from which the runs of this journal started."""
        return frozenset(row[0] for row in self._all("SELECT base_commit FROM run"))

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

    def call_costs(self, limit: int) -> tuple[CallCost, ...]:
        """The latest calls that have ended, oldest first, without their texts."""
        found = self._all(
            "SELECT time, model, operator, dollars, candidate FROM llm_call "
            "WHERE run = ? AND status != 'reserved' ORDER BY id DESC LIMIT ?",
            (self.run_id(), limit),
        )
        return tuple(CallCost(*row) for row in reversed(found))

    # ---- private -------------------------------------------------------------------------------------------

    def _by_seed(self, column: str, candidate: int) -> dict[int, float]:
        found = self._all(
            f"SELECT seed, {column} FROM experiment WHERE run = ? AND candidate = ? "  # noqa: S608 - our own words
            f"AND outcome = 'ok' AND discounted = '' AND {column} IS NOT NULL ORDER BY id",
            (self.run_id(), candidate),
        )
        return {row[0]: row[1] for row in found}

    def _candidates(self, condition: str, *values: object) -> tuple[Candidate, ...]:
        found = self._all(
            f"{rows.CANDIDATE} WHERE run = ? {condition}",
            (self.run_id(), *values),
        )
        return tuple(rows.candidate(row) for row in found)
