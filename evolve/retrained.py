"""What the events of trainings did to a recorded run: states, scores, scores that count no more, the noise.

The lower half of `retelling`. Nothing is computed here that the engine did not compute; what it did is done again.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from evolve.model import CandidateState, Purpose, Verdict
from evolve.pace import META
from evolve.rowcopy import Rows
from evolve.rows import as_json
from evolve.seeds import measured
from harness.spec import Outcome

# What is known of a training or a smoke run when it begins.
BEGUN = ("id", "run", "candidate", "purpose", "seed", "started", "wished")
TRIED = ("id", "run", "candidate", "started")


class Trainings:
    """Tells what trainings came to."""

    def __init__(self, db: sqlite3.Connection, run: int) -> None:
        """`db` has the played journal as `main` and the recording as `recorded`; `run` is the one that is told."""
        self._db, self._run = db, run
        self._rows = Rows(db)
        self._measured = True  # the noise is that of the trainings so far

    def _started(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        number = data["experiment"]
        self._rows.begin("experiment", BEGUN, number)
        self._update(event["candidate"], state="training")

    def _finished(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        number, of = data["experiment"], event["candidate"]
        self._rows.complete("experiment", number, ("discounted",))
        self._rows.bring("curve", "experiment = ?", (number,))
        ended = self._rows.one("SELECT * FROM main.experiment WHERE id = ?", (number,))
        if ended["outcome"] != Outcome.VOID:
            self._update(of, outcome=ended["outcome"])
            fewer = "UPDATE main.candidate SET wanted = max(0, wanted - 1) WHERE run = ? AND id = ?"
            self._db.execute(fewer, (self._run, of))
            if ended["peak_memory_mb"] is not None:
                self._update(of, peak_memory_mb=ended["peak_memory_mb"])
            self._count(of)
        self._update(of, state=str(self._afterwards(ended)))
        self._measured = False

    def _afterwards(self, ended: sqlite3.Row) -> CandidateState:
        """Where a candidate goes when a training of it has ended, as `settling` and `void_experiment` decide."""
        known = self._rows.one(
            "SELECT verdict FROM main.candidate WHERE run = ? AND id = ?",
            (self._run, ended["candidate"]),
        )
        if ended["outcome"] == Outcome.VOID:
            if ended["purpose"] == Purpose.CONFIRM and not ended["wished"]:
                return CandidateState.CONTENDER
            return CandidateState.READY if known["verdict"] is None else CandidateState.JUDGED
        repeats = ended["purpose"] in (Purpose.BASELINE, Purpose.INCUMBENT)
        if repeats or ended["wished"] or ended["outcome"] != Outcome.OK:
            return CandidateState.JUDGED
        return CandidateState.CONTENDER

    def _smoke(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        number = data["smoke"]
        if self._rows.one("SELECT count(*) FROM main.smoke WHERE id = ?", (number,))[0] == 0:
            self._rows.begin("smoke", TRIED, number)
            return
        self._rows.complete("smoke", number)
        ended = self._rows.one("SELECT outcome, reason FROM main.smoke WHERE id = ?", (number,))
        if ended["outcome"] not in (Outcome.OK, Outcome.VOID):
            words = (
                f"Its smoke run failed, before any training. {ended['outcome']}: {ended['reason']}"
            )
            self._update(event["candidate"], outcome=ended["outcome"])
            self._judge(event, Verdict.FAILED, words)

    def _pruned(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._db.execute(
            """UPDATE main.experiment SET pruning =
            (SELECT pruning FROM recorded.experiment WHERE id = :id) WHERE id = :id""",
            {"id": data["experiment"]},
        )

    def _audited(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        if "claimed_bpb" in data:  # its score is void, and so are those from before
            self._update(event["candidate"], voided=data["reason"])
            self._discount("candidate = ?", (event["candidate"],))

    def _drift(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        if "drifting" in data:
            name = META.format(self._rows.one("SELECT name FROM main.run")[0])
            sentence = event["text"] if data["drifting"] else ""
            self._db.execute("INSERT OR REPLACE INTO main.meta VALUES (?, ?)", (name, sentence))
        self._discount("candidate NOT IN (SELECT id FROM main.candidate WHERE voided != '')", ())

    # ---- for both halves ------------------------------------------------------------------------------------

    def _judge(self, event: sqlite3.Row, verdict: Verdict, reason: str) -> None:
        lives = verdict in (Verdict.BASELINE, Verdict.PROMOTED, Verdict.KEPT)
        self._update(
            event["candidate"],
            **{
                "state": "judged",
                "verdict": str(verdict),
                "verdict_reason": reason,
                "alive": int(lives),
                **({} if lives else {"boosted": 0}),
            },
        )
        if verdict is not Verdict.BASELINE:
            first = (
                "UPDATE main.candidate SET judged = coalesce(judged, ?) WHERE run = ? AND id = ?"
            )
            self._db.execute(first, (event["id"], self._run, event["candidate"]))

    def _update(self, number: int, **columns: object) -> None:
        self._db.execute(
            f"UPDATE main.candidate SET {', '.join(f'{name} = :{name}' for name in columns)} "  # noqa: S608
            "WHERE run = :of_run AND id = :number",
            columns | {"of_run": self._run, "number": number},
        )

    def _count(self, number: int) -> None:
        """The scores that count, as a candidate's row keeps them."""
        found = self._db.execute(
            "SELECT val_bpb, coalesce(fitness, val_bpb) FROM main.experiment "
            "WHERE run = ? AND candidate = ? AND outcome = 'ok' AND discounted = '' ORDER BY id",
            (self._run, number),
        ).fetchall()
        self._update(
            number,
            scores=as_json([row[0] for row in found]),
            fitness=as_json([row[1] for row in found]),
        )
        if len(found) > 1:
            self._update(number, provisional=0)

    def _discount(self, which: str, values: tuple[object, ...]) -> None:
        """Scores that the recording no longer counts, of trainings that have ended, count no more from now on."""
        found = self._db.execute(
            f"""SELECT id, candidate, (SELECT discounted FROM recorded.experiment AS r WHERE r.id = e.id) AS why
            FROM main.experiment AS e WHERE outcome = 'ok' AND discounted = '' AND {which} AND EXISTS
            (SELECT 1 FROM recorded.experiment AS r WHERE r.id = e.id AND r.discounted != '')""",  # noqa: S608
            values,
        ).fetchall()
        for row in found:
            self._db.execute(
                "UPDATE main.experiment SET discounted = ? WHERE id = ?", (row["why"], row["id"])
            )
        for number in {row["candidate"] for row in found}:
            self._count(number)
        self._measured = False

    def _noise(self) -> None:
        """What the run knew of its noise: read off the repeats so far, as the engine does."""
        tables: dict[int, dict[int, float]] = {}
        for row in self._db.execute(
            "SELECT candidate, seed, coalesce(fitness, val_bpb) FROM main.experiment "
            "WHERE outcome = 'ok' AND discounted = '' ORDER BY id"
        ):
            tables.setdefault(row[0], {})[row[1]] = row[2]
        noise = measured(tables.values())
        self._db.execute("UPDATE main.run SET sigma = ?", (noise.sigma if noise.n else None,))
        self._measured = True
