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

from evolve.model import Verdict
from evolve.pace import META
from evolve.retrained import Trainings

# Rows that their own time brings in, and what they do not know yet when they come.
TIMED: dict[str, dict[str, object]] = {
    "command": {"state": "pending", "answer": "", "answered": None},
    "llm_call": {
        **{"status": "reserved", "response": "", "stop_reason": "", "error": "", "category": ""},
        **{"outcome": "", "candidate": None, "dollars": 0.0, "seconds": 0.0},
        **{"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0},
    },
    "ratchet": {"state": "intended", "reason": "", "ended": None},
    "setting_change": {},
    "scratchpad": {},
    "prompt": {},
}
# What a candidate is when it is queued.
QUEUED: dict[str, object] = {
    **{"state": "ready", "alive": 0, "verdict": None, "verdict_reason": "", "judged": None},
    **{"provisional": 1, "pinned": 0, "banned": 0, "children": 0, "chances": 0, "voided": ""},
    **{"scores": "[]", "fitness": "[]", "outcome": None, "peak_memory_mb": None},
    **{"sealed_gain": None, "sealed_gap": None, "boosted": 0, "wanted": 0, "approved": 0},
}
_VERDICT = re.compile(
    r"#\d+ (?:is the )?(baseline|promoted|kept|rejected|failed|dropped)\b:? ?(.*)"
)
_MOVE = re.compile(r"#\d+ (joins|leaves) the population\.")
_PLACE = re.compile(r": #(\d+) is now number (\d+) in the queue\.$")
_MARK = re.compile(r"#\d+ is (no longer )?(pinned|banned)\.")


class Retelling(Trainings):
    """Tells the events of one run again, in their order."""

    def __init__(self, db: sqlite3.Connection, run: int) -> None:
        """`db` has the played journal as `main` and the recording as `recorded`; `run` is the one that is told."""
        super().__init__(db, run)
        for table in TIMED:
            db.execute(f"CREATE INDEX IF NOT EXISTS recorded.{table}_time ON {table} (time)")
        db.execute("CREATE INDEX IF NOT EXISTS recorded.llm_call_of ON llm_call (run, candidate)")
        self._before = 0.0  # timed rows until this moment are there
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
        """Requests, calls, settings, notes and moves of the branch until `moment` are there."""
        for table, unknown in TIMED.items():
            of_run = self._rows.of_run(table)
            given = {"run": self._run, "after": self._before, "until": moment}
            self._rows.bring(
                table, " AND ".join(["time > :after AND time <= :until", *of_run]), given, unknown
            )
        # Not all of them tell how they ended. There is one at a time, so those that are over come in last.
        over = "run = :run AND ended > :after AND ended <= :until"
        self._rows.bring("ratchet", over, given)
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
        for table in ("run", "candidate", "experiment", "llm_call", "command", "ratchet", "meta"):
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
            "SELECT coalesce(max(priority), -1) FROM main.candidate WHERE run = ? AND state = 'ready'",
            (self._run,),
        )[0]
        which = "run = ? AND id = ?"
        self._rows.bring("candidate", which, (self._run, number), QUEUED | {"priority": last + 1})
        self._rows.bring("parent", "run = ? AND candidate = ?", (self._run, number))
        self._db.execute(
            """UPDATE main.candidate SET children = children + 1, boosted = max(0, boosted - 1)
            WHERE run = :run AND id IN (SELECT parent FROM main.parent WHERE run = :run AND candidate = :child)""",
            {"run": self._run, "child": number},
        )
        self._db.execute(
            """UPDATE main.llm_call SET candidate = :of WHERE id IN
            (SELECT id FROM recorded.llm_call WHERE run = :run AND candidate = :of)""",
            {"run": self._run, "of": number},
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

    def _reopened(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._update(event["candidate"], state="contender")
        if event["kind"] == "second chance":
            again = "UPDATE main.candidate SET chances = chances + 1 WHERE run = ? AND id = ?"
            self._db.execute(again, (self._run, event["candidate"]))

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

    def _call(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        if "call" not in data:
            return
        self._rows.complete("llm_call", data["call"], ("candidate",))
        self._db.execute("UPDATE main.run SET dollars = dollars + ?", (data.get("dollars", 0.0),))

    def _answered(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._rows.complete("command", data["command"])
        if place := _PLACE.search(event["text"]):
            number, wanted = int(place[1]), int(place[2]) - 1
            queue = [waiting for waiting in self._ready() if waiting != number]
            self._order([*queue[:wanted], number, *queue[wanted:]])

    def _queue(self, event: sqlite3.Row, data: dict[str, Any]) -> None:
        self._order([int(number) for number in re.findall(r"#(\d+)", event["text"])])

    # ---- private -------------------------------------------------------------------------------------------

    def _ready(self) -> list[int]:
        found = self._db.execute(
            "SELECT id FROM main.candidate WHERE run = ? AND state = 'ready' ORDER BY priority, id",
            (self._run,),
        )
        return [row["id"] for row in found]

    def _order(self, numbers: list[int]) -> None:
        for place, number in enumerate(numbers):
            self._update(number, priority=place)
