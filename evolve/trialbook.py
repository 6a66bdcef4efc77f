"""Questions about trainings and smoke runs: their figures, scores by seed, curves and folders, and the run's pace.

A part of the journal's reader. It writes nothing and imports nothing heavy, because `status` starts through here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from evolve import rows
from evolve.callbook import CallBook
from evolve.drift import Speed
from evolve.model import Experiment, Purpose, Smoke
from evolve.stop import Pace
from harness.spec import CurvePoint

_DAY = 86400  # seconds; more than a training or a gap takes, short of a clock that was set


class TrialBook(CallBook):
    """A connection to the journal that knows about experiments."""

    def fitness_rows(self, only: Sequence[int] | None = None) -> Iterator[sqlite3.Row]:
        """Candidate, seed and fitness of every score that counts, oldest first; of all, or of those in `only`."""
        those = "" if only is None else "AND candidate IN (SELECT value FROM json_each(?)) "
        asked = () if only is None else (json.dumps(list(only)),)
        # The plus keeps SQLite from walking through all of them in the order of their numbers.
        order = "id" if only is None else "+id"
        return self._each(
            "SELECT candidate, seed, fitness FROM experiment WHERE run = ? "  # noqa: S608 - our own words
            f"{those}AND outcome = 'ok' AND discounted = '' ORDER BY {order}",
            (self.run_id(), *asked),
        )

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

    def sealed_by_seed(self, candidate: int) -> dict[int, float]:
        """Seed to the score on the sealed rows, of those trainings that were scored there and count."""
        return self._by_seed("sealed_bpb", candidate)

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
        """How fast the run has come along during its last finished trainings, gaps and pauses among them included.

        The clock of the machine may have been set meanwhile: what no training or gap can have taken is not counted.
        """
        row = self._one(
            f"""SELECT count(*) AS trainings, sum(purpose = 'screen') AS children, min(started) AS since,
            total(CASE WHEN finished - started BETWEEN 0 AND {_DAY} THEN finished - started ELSE total_seconds END)
            + total(CASE WHEN gap BETWEEN 0 AND {_DAY} THEN gap ELSE 0 END) AS seconds
            FROM (SELECT purpose, started, finished, total_seconds,
                started - lag(finished) OVER (ORDER BY id) AS gap FROM
                (SELECT id, purpose, started, finished, total_seconds FROM experiment
                WHERE run = ? AND finished IS NOT NULL ORDER BY id DESC LIMIT ?))""",  # noqa: S608 - a number of ours
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

    def doomed_experiments(self) -> tuple[Experiment, ...]:
        """Those of `all_experiments` in which the pruning rule had a say."""
        found = self._all(
            f"{rows.EXPERIMENT_BRIEF} WHERE run = ? AND (outcome = 'pruned' OR pruning != '') ORDER BY id",
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

    def _by_seed(self, column: str, candidate: int) -> dict[int, float]:
        found = self._all(
            f"SELECT seed, {column} FROM experiment WHERE run = ? AND candidate = ? "  # noqa: S608 - our own words
            f"AND outcome = 'ok' AND discounted = '' AND {column} IS NOT NULL ORDER BY id",
            (self.run_id(), candidate),
        )
        return {row[0]: row[1] for row in found}
