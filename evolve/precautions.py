"""What is written down so that minutes are not wasted: smoke runs, and trainings that cannot win any more.

A part of the journal: each public method is one durable transaction. It decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from evolve.machines import SMOKE, IllegalMove
from evolve.model import CandidateState, Smoke, Verdict
from evolve.rows import as_json
from evolve.verdicts import Verdicts
from harness.spec import Outcome, SmokeResult


class Precautions(Verdicts):
    """The steps of a smoke run and of the pruning rule."""

    def start_smoke(self, candidate: int) -> Smoke:
        """A smoke run of a ready candidate begins; it stays ready meanwhile."""
        with self._transaction():
            if self.candidate(candidate).state is not CandidateState.READY:
                raise IllegalMove(f"#{candidate} is not ready, so it needs no smoke run")
            number = 1 + int(self._one("SELECT coalesce(max(id), 0) FROM smoke")[0])
            self._db.execute(
                "INSERT INTO smoke (id, run, candidate, directory, started) VALUES (?, ?, ?, ?, ?)",
                (number, self.run_id(), candidate, f"smoke-{number}", time.time()),
            )
            text = f"#{candidate} takes a few steps and an evaluation before it trains."
            self._event("smoke", text, candidate, {"smoke": number})
        running = self.running_smoke()
        assert running is not None  # noqa: S101 - it was written a moment ago
        return running

    def finish_smoke(self, smoke: Smoke, result: SmokeResult, note: str = "") -> None:
        """A smoke run has ended. A candidate that did not come through has failed; a void run says nothing of it.

        `note`: what a person should know besides, a sentence.
        """
        with self._transaction():
            row = self._one("SELECT outcome FROM smoke WHERE id = ?", (smoke.id,))
            SMOKE.check(f"smoke run {smoke.id}", row["outcome"], result.outcome)
            self._db.execute(
                """UPDATE smoke SET finished = ?, outcome = ?, reason = ?, seconds = ?, peak_memory_mb = ?,
                traceback = ? WHERE id = ?""",
                (
                    *(time.time(), str(result.outcome), result.reason, result.seconds),
                    *(result.peak_memory_mb, result.traceback, smoke.id),
                ),
            )
            text = f"#{smoke.candidate} {_ending(result)} {note}".rstrip()
            data = {
                "smoke": smoke.id,
                "outcome": str(result.outcome),
                "seconds": round(result.seconds, 3),
                "peak_memory_mb": result.peak_memory_mb,
            }
            event = self._event("smoke", text, smoke.candidate, data)
            ready = self.candidate(smoke.candidate).state is CandidateState.READY
            if result.outcome not in (Outcome.OK, Outcome.VOID) and ready:
                words = (
                    f"Its smoke run failed, before any training. {result.outcome}: {result.reason}"
                )
                self._update(smoke.candidate, outcome=str(result.outcome))
                self._verdict(smoke.candidate, Verdict.FAILED, words, event, alive=False)

    def note_pruning(self, experiment: int, said: Mapping[str, Any], text: str) -> None:
        """The pruning rule calls a running training hopeless; `said` is what `pruning.Doom.data` gave."""
        with self._transaction():
            running = self.running_experiment()
            if running is None or running.id != experiment:
                raise IllegalMove(f"experiment {experiment} is not running")
            self._db.execute(
                "UPDATE experiment SET pruning = ? WHERE id = ?", (as_json(said), experiment)
            )
            words = f"#{running.candidate} {text[:1].lower()}{text[1:]}"
            self._event("pruned", words, running.candidate, {"experiment": experiment, **said})


def _ending(result: SmokeResult) -> str:
    if result.outcome is Outcome.VOID:
        return f"could not be tried: {result.reason}"
    if result.outcome is not Outcome.OK:
        return f"failed its smoke run ({result.outcome}): {result.reason}"
    peak = result.peak_memory_mb
    memory = "" if peak is None else f", {peak:,.0f} MB of the device at its peak"
    return f"came through its smoke run in {result.seconds:.1f} s{memory}."
