"""The progress of a recorded training, written as the harness writes it while the training runs.

A journal keeps only the curve of a training, and only when it has ended; from that, and from how long its parts took,
the lines of progress.jsonl are made again as the played time passes.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from pathlib import Path

from evolve.places import EXPERIMENTS
from harness.rundir import PROGRESS
from harness.spec import Progress


class ProgressWriter:
    """Follows the training in the slot of the played journal."""

    def __init__(self, db: sqlite3.Connection, state: Path) -> None:
        """`db` has the played journal as `main` and the recording as `recorded`; `state` is the played state folder."""
        self._db, self._folder = db, state / EXPERIMENTS
        self.forget()

    def forget(self) -> None:
        """The played time went back: the training in the slot is told from its start."""
        self._experiment = 0
        self._lines: deque[Progress] = deque()

    def write_until(self, moment: float) -> None:
        """Write what was known of the training in the slot by `moment` (unix seconds)."""
        running = self._db.execute(
            "SELECT id FROM main.experiment WHERE finished IS NULL"
        ).fetchone()
        if running is None:
            return
        path = self._folder / str(running["id"]) / PROGRESS
        if running["id"] != self._experiment:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            self._experiment, self._lines = running["id"], deque(self._told(running["id"]))
        fresh = []
        while self._lines and self._lines[0].time <= moment:
            fresh.append(json.dumps(self._lines.popleft().to_json()) + "\n")
        if fresh:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(fresh)

    def _told(self, number: int) -> list[Progress]:
        """The lines of a training, oldest first: its start, the points of its curve, its scoring."""
        row = self._db.execute(
            "SELECT * FROM recorded.experiment WHERE id = ?", (number,)
        ).fetchone()
        lines = [Progress("starting", row["started"])]
        if row["finished"] is None:
            return lines
        began = row["started"] + row["setup_seconds"]
        curve = self._db.execute(
            "SELECT fraction, seconds, tokens, loss FROM recorded.curve WHERE experiment = ? ORDER BY position",
            (number,),
        ).fetchall()
        whole = row["train_tokens"] or (curve[-1]["tokens"] if curve else 0)
        for point in curve:
            share = point["tokens"] / whole if whole else 0.0
            lines.append(
                Progress(
                    phase="training",
                    time=began + point["seconds"],
                    fraction=point["fraction"],
                    tokens=point["tokens"],
                    seconds=point["seconds"],
                    step=None if row["steps"] is None else round(row["steps"] * share),
                    loss=point["loss"],
                    tokens_per_second=row["tokens_per_second"] or None,
                    mfu_percent=row["mfu_percent"],
                )
            )
        if row["eval_seconds"]:
            trained, tokens = row["train_seconds"], row["train_tokens"]
            lines.append(Progress("scoring", began + trained, 1.0, tokens, trained))
        return lines
