"""Trainings in the journal: they begin, end once with or without a score, or are lost to something outside them.

A part of the journal: each public method is one durable transaction. What an ending means is `settling`'s to say.
"""

from __future__ import annotations

import time

from evolve import rows
from evolve.machines import EXPERIMENT, IllegalMove
from evolve.model import CandidateState, Experiment, Purpose
from evolve.rows import as_json
from evolve.writer import Writer
from harness.spec import Cause, CurvePoint, Outcome, Result


class Trials(Writer):
    """The steps of a training."""

    def start_experiment(self, candidate: int, purpose: Purpose, seed: int) -> Experiment:
        """A training begins: the candidate takes the slot. One that was judged trains because a person wished so."""
        with self._transaction():
            before = self.candidate(candidate)
            wished = before.wanted > 0 and before.state is CandidateState.JUDGED
            self._move(candidate, CandidateState.TRAINING)
            number = 1 + int(self._one("SELECT coalesce(max(id), 0) FROM experiment")[0])
            self._db.execute(
                """INSERT INTO experiment (id, run, candidate, purpose, seed, directory, started, wished)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(number, self.run_id(), candidate, str(purpose), seed, str(number)),
                    *(time.time(), int(wished)),
                ),
            )
            asked = ", as somebody wished" if wished else ""
            self._event(
                "started",
                f"#{candidate} trains ({purpose}, seed {seed}{asked}).",
                candidate,
                {
                    "experiment": number,
                    "purpose": str(purpose),
                    "seed": seed,
                    "wished": wished,
                },
            )
        running = self.running_experiment()
        assert running is not None  # noqa: S101 - it was written a moment ago
        return running

    def finish_experiment(
        self,
        experiment: int,
        result: Result,
        next_state: CandidateState,
        fitness: float | None = None,
    ) -> None:
        """A training ended, with or without a score; the candidate moves on to `next_state`.

        `fitness` is what selection goes by; None = its val_bpb.
        """
        with self._transaction():
            row = self._one("SELECT candidate, outcome FROM experiment WHERE id = ?", (experiment,))
            if row is None:
                raise IllegalMove(f"there is no experiment {experiment}")
            EXPERIMENT.check(f"experiment {experiment}", row["outcome"], result.outcome)
            counted = result.val_bpb if fitness is None or result.val_bpb is None else fitness
            columns = rows.result_columns(result) | {"finished": time.time(), "fitness": counted}
            self._db.execute(
                f"UPDATE experiment SET {', '.join(f'{c} = :{c}' for c in columns)} WHERE id = :id",  # noqa: S608
                columns | {"id": experiment},
            )
            self._add_curve(experiment, result.curve)
            self._move(row["candidate"], next_state)
            self._count(row["candidate"], result, counted, columns["peak_memory_mb"])
            self._event(
                "finished",
                _ending(row["candidate"], result),
                row["candidate"],
                {
                    "experiment": experiment,
                    "outcome": str(result.outcome),
                    "val_bpb": result.val_bpb,
                    "seconds": round(result.total_seconds, 3),
                    "audit": None if result.audit is None else result.audit.passed,
                },
            )

    def void_experiment(self, experiment: int, reason: str, cause: Cause = Cause.NONE) -> None:
        """A training was lost to something outside it: its candidate goes back to where it came from."""
        running = self.running_experiment()
        if running is None or running.id != experiment:
            raise IllegalMove(f"experiment {experiment} is not running")
        if running.purpose is Purpose.CONFIRM and not running.wished:
            back = CandidateState.CONTENDER
        elif self.candidate(running.candidate).verdict is not None:
            back = CandidateState.JUDGED
        else:
            back = CandidateState.READY
        lost = Result(Outcome.VOID, reason, seed=running.seed, cause=cause)
        self.finish_experiment(experiment, lost, back)

    # ---- private -------------------------------------------------------------------------------------------

    def _add_curve(self, experiment: int, curve: tuple[CurvePoint, ...]) -> None:
        self._db.executemany(
            "INSERT INTO curve VALUES (?, ?, ?, ?, ?, ?)",
            [(experiment, i, p.fraction, p.seconds, p.tokens, p.loss) for i, p in enumerate(curve)],
        )

    def _count(
        self, number: int, result: Result, fitness: float | None, peak: float | None
    ) -> None:
        """Keep on the candidate what its trainings came to; a void one says nothing about it, and fulfils no wish."""
        if result.outcome is Outcome.VOID:
            return
        known = self.candidate(number)
        scores = known.scores if result.val_bpb is None else (*known.scores, result.val_bpb)
        counted = known.fitness if fitness is None else (*known.fitness, fitness)
        self._update(
            number,
            outcome=str(result.outcome),
            scores=as_json(scores),
            fitness=as_json(counted),
            wanted=max(0, known.wanted - 1),
        )
        if len(scores) > 1:
            self._update(number, provisional=0)
        if peak is not None:
            self._update(number, peak_memory_mb=peak)


def _ending(candidate: int, result: Result) -> str:
    if result.val_bpb is not None:
        return f"#{candidate} scored {result.val_bpb:.6f} bpb in {result.total_seconds:.0f} s."
    return f"#{candidate} ended without a score ({result.outcome}): {result.reason}"
