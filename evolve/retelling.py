"""What each event of a recorded run did to rows that change later, told again from the recording's last state.

Works on one connection: `main` is the played journal, `recorded` the copy of the recording. `Replay` decides when. It
computes no score and judges nothing: what is in the recording is brought in when its event comes.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from evolve.model import CandidateState, Purpose, Verdict
from evolve.pace import META
from evolve.rowcopy import Rows
from evolve.rows import as_json
from evolve.seeds import measured
from harness.spec import Outcome

# Rows that their own time brings in, and what they do not know yet when they come.
TIMED: dict[str, dict[str, object]] = {
    "command": {"state": "pending", "answer": "", "answered": None},
    "llm_call": {
        **{"status": "reserved", "response": "", "stop_reason": "", "error": "", "category": ""},
        **{"outcome": "", "candidate": None, "dollars": 0.0, "seconds": 0.0},
        **{"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0},
    },
    "setting_change": {},
    "scratchpad": {},
    "prompt": {},
}
# What a candidate is when it is queued, and a training or a smoke run when it begins.
QUEUED: dict[str, object] = {
    **{"state": "ready", "alive": 0, "verdict": None, "verdict_reason": "", "judged": None},
    **{"provisional": 1, "pinned": 0, "banned": 0, "children": 0, "chances": 0, "voided": ""},
    **{"scores": "[]", "fitness": "[]", "outcome": None, "peak_memory_mb": None},
    **{"sealed_gain": None, "sealed_gap": None, "boosted": 0, "wanted": 0, "approved": 0},
}
BEGUN = ("id", "run", "candidate", "purpose", "seed", "started", "wished")
TRIED = ("id", "run", "candidate", "started")
_VERDICT = re.compile(
    r"#\d+ (?:is the )?(baseline|promoted|kept|rejected|failed|dropped)\b:? ?(.*)"
)
_MOVE = re.compile(r"#\d+ (joins|leaves) the population\.")
_MARK = re.compile(r"#\d+ is (no longer )?(pinned|banned)\.")


class Retelling:
    """Tells the events of one run again, in their order."""

    def __init__(self, db: sqlite3.Connection, run: int) -> None:
        """`db` has the played journal as `main` and the recording as `recorded`; `run` is the one that is told."""
        self._db, self._run = db, run
        self._rows = Rows(db)
        for table in TIMED:
            db.execute(f"CREATE INDEX IF NOT EXISTS recorded.{table}_time ON {table} (time)")
        self._before = 0.0  # timed rows until this moment are there
        self._measured = True  # the noise is that of the trainings so far
        self._ended = False
        self._kinds: dict[str, Callable[[sqlite3.Row, dict[str, Any]], None]] = {
            "run": self._run_state,
            "queued": self._queued,
            "started": self._started,
            "finished": self._finished,
            "smoke": self._smoke,
            "pruned": self._pruned,
            "verdict": self._verdict,
            "contender": self._reopened,
            "second chance": self._reopened,
            "population": self._population,
            "audit": self._audited,
            "drift": self._drift,
            "llm": self._call,
            "command": self._answered,
            "queue": self._queue,
            "remeasure": self._wished,
            "approval": self._approved,
        }

    # ---- for Replay ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Back to the moment before the first event."""
        self._rows.clear()
        later = {
            "state": "running",
            "reason": "It has just begun.",
            "incumbent": None,
            "promotion": 0,
        }
        self._rows.bring(
            "run", "id = ?", (self._run,), later | {"sigma": None, "dollars": 0.0, "finished": None}
        )
        drift = META.format(self._rows.one("SELECT name FROM main.run")[0])
        self._rows.bring("meta", "key != ?", (drift,))
        self._before, self._measured, self._ended = 0.0, True, False

    def latest(self) -> float:
        """When the last of the timed rows came, unix seconds."""
        return max(self._rows.latest(table, self._run) for table in TIMED)

    def arrive(self, moment: float) -> None:
        """Requests, calls, settings and notes until `moment` are there."""
        for table, unknown in TIMED.items():
            of_run = self._rows.of_run(table)
            given = {"run": self._run, "after": self._before, "until": moment}
            self._rows.bring(
                table, " AND ".join(["time > :after AND time <= :until", *of_run]), given, unknown
            )
        self._before = moment

    def tell(self, first: int, last: int) -> None:
        """The events from number `first` to `last`, with what they brought about."""
        told = "id BETWEEN ? AND ? AND (run IS NULL OR run = ?)"
        span = (first, last, self._run)
        self._rows.bring("event", told, span)
        found = self._db.execute(f"SELECT * FROM main.event WHERE {told} ORDER BY id", span)  # noqa: S608
        for event in found.fetchall():
            if apply := self._kinds.get(event["kind"]):
                apply(event, json.loads(event["data"]))
        if not self._measured:
            self._noise()

    def end(self) -> None:
        """Nothing comes any more: what was approximated is as the recording has it."""
        if self._ended:
            return
        self._ended = True
        for table in ("run", "candidate", "experiment", "llm_call", "command", "meta"):
            which = " AND ".join(["1", *self._rows.of_run(table)])
            self._rows.bring(table, which, {"run": self._run})

    # ---- what events bring about ---------------------------------------------------------------------------

    def _run_state(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        words = event["text"]
        if words.startswith("Run “"):
            return
        # Recordings of before the state was in the event tell of pauses only.
        state = data.get("state") or ("paused" if words.startswith("Paused") else "running")
        ended = event["time"] if state not in ("running", "paused") else None
        self._db.execute(
            "UPDATE main.run SET state = ?, reason = ?, finished = ?", (state, words, ended)
        )

    def _queued(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        number = event["candidate"]
        last = self._rows.one(
            "SELECT coalesce(max(priority), -1) FROM main.candidate WHERE state = 'ready'"
        )[0]
        which = "run = ? AND id = ?"
        self._rows.bring("candidate", which, (self._run, number), QUEUED | {"priority": last + 1})
        self._rows.bring("parent", "run = ? AND candidate = ?", (self._run, number))
        self._db.execute(
            """UPDATE main.candidate SET children = children + 1, boosted = max(0, boosted - 1) WHERE id IN
            (SELECT parent FROM main.parent WHERE candidate = ?)""",
            (number,),
        )
        self._db.execute(
            """UPDATE main.llm_call SET candidate = :of WHERE id IN
            (SELECT id FROM recorded.llm_call WHERE run = :run AND candidate = :of)""",
            {"run": self._run, "of": number},
        )

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
            fewer = "UPDATE main.candidate SET wanted = max(0, wanted - 1) WHERE id = ?"
            self._db.execute(fewer, (of,))
            if ended["peak_memory_mb"] is not None:
                self._update(of, peak_memory_mb=ended["peak_memory_mb"])
            self._count(of)
        self._update(of, state=str(self._afterwards(ended)))
        self._measured = False

    def _afterwards(self, ended: sqlite3.Row) -> CandidateState:
        """Where a candidate goes when a training of it has ended, as `settling` and `void_experiment` decide."""
        known = self._rows.one(
            "SELECT verdict FROM main.candidate WHERE id = ?", (ended["candidate"],)
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

    def _verdict(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        found = _VERDICT.match(event["text"])
        if found is None:
            return
        verdict, reason = Verdict(found[1]), found[2]
        number = event["candidate"]
        if verdict is Verdict.DROPPED:
            self._update(number, state="dropped", verdict="dropped", verdict_reason=reason, alive=0)
            return
        if verdict is Verdict.BASELINE:
            reason = "What children have to beat."
        if "sealed_gain" in data:
            self._update(number, sealed_gain=data["sealed_gain"], sealed_gap=data["sealed_gap"])
        self._judge(event, verdict, reason)
        if verdict in (Verdict.BASELINE, Verdict.PROMOTED):
            self._db.execute(
                "UPDATE main.run SET incumbent = ?, promotion = ?", (number, event["id"])
            )

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
            first = "UPDATE main.candidate SET judged = coalesce(judged, ?) WHERE id = ?"
            self._db.execute(first, (event["id"], event["candidate"]))

    def _reopened(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._update(event["candidate"], state="contender")
        if event["kind"] == "second chance":
            again = "UPDATE main.candidate SET chances = chances + 1 WHERE id = ?"
            self._db.execute(again, (event["candidate"],))

    def _population(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        number, words = event["candidate"], event["text"]
        if mark := _MARK.match(words):
            self._update(number, **{mark[2]: int(mark[1] is None)})
        elif move := _MOVE.match(words):
            stays = {} if move[1] == "joins" else {"boosted": 0}
            self._update(number, alive=int(move[1] == "joins"), **stays)
        elif "boosted" in data:
            self._update(number, boosted=data["boosted"])

    def _wished(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        again = {"chances": 0} if data["wanted"] else {}
        self._update(event["candidate"], wanted=data["wanted"], **again)

    def _approved(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        if "waiting" not in data:  # else it tells of those that wait
            self._update(event["candidate"], approved=1)

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

    def _call(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        if "call" not in data:
            return
        self._rows.complete("llm_call", data["call"], ("candidate",))
        self._db.execute("UPDATE main.run SET dollars = dollars + ?", (data.get("dollars", 0.0),))

    def _answered(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._rows.complete("command", data["command"])
        row = self._rows.one("SELECT * FROM main.command WHERE id = ?", (data["command"],))
        if row is not None and row["verb"] == "move" and row["state"] == "done":
            asked = json.loads(row["args"])
            queue = self._ready()
            if asked.get("candidate") in queue:
                place = queue.index(asked["candidate"])
                queue.insert(max(0, place + int(asked.get("by", -1))), queue.pop(place))
                self._order(queue)

    def _queue(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._order([int(number) for number in re.findall(r"#(\d+)", event["text"])])

    # ---- private -------------------------------------------------------------------------------------------

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

    def _ready(self) -> list[int]:
        found = self._db.execute(
            "SELECT id FROM main.candidate WHERE state = 'ready' ORDER BY priority, id"
        )
        return [row["id"] for row in found]

    def _order(self, numbers: list[int]) -> None:
        for place, number in enumerate(numbers):
            self._update(number, priority=place)
