"""What became of candidates: verdicts, the incumbent, and scores that count no more. A part of the journal.

Each public method is one durable transaction. It decides nothing: `judging` and `gates` do, and the blind audit.
"""

from __future__ import annotations

from evolve.machines import IllegalMove
from evolve.model import CandidateState, Verdict
from evolve.rows import as_json
from evolve.sealing import SealedGain
from evolve.spending import Spending
from harness.spec import AuditReport


class Verdicts(Spending):
    """The steps that end a candidate's way."""

    def judge(
        self,
        number: int,
        verdict: Verdict,
        reason: str,
        *,
        alive: bool,
        sealed: SealedGain | None = None,
    ) -> None:
        """Say what became of a candidate, whether it lives on, and what the sealed rows said if they were asked."""
        with self._transaction():
            event = self._event("verdict", f"#{number} {verdict}: {reason}", number, _data(sealed))
            self._verdict(number, verdict, reason, event, alive=alive)
            self._seal(number, sealed)

    def promote(self, number: int, reason: str, sealed: SealedGain | None = None) -> None:
        """A candidate is confirmed better: it becomes the incumbent, and main is to follow."""
        with self._transaction():
            event = self._event("verdict", f"#{number} promoted: {reason}", number, _data(sealed))
            self._verdict(number, Verdict.PROMOTED, reason, event, alive=True)
            self._seal(number, sealed)
            self._enthrone(number, event)

    def reopen(self, number: int, reason: str, *, confirms: bool = False) -> None:
        """A candidate that was kept or turned away is a contender; its verdict stands until there is another.

        `confirms`: it is the first time that it is to be repeated, which is no second chance.
        """
        with self._transaction():
            self._move(number, CandidateState.CONTENDER)
            if not confirms:
                self._update(number, chances=self.candidate(number).chances + 1)
            self._event("contender" if confirms else "second chance", reason, number)

    def void_score(self, number: int, report: AuditReport, reason: str) -> None:
        """The blind audit voids a score: the candidate has failed, and what it scored before counts no more."""
        with self._transaction():
            self._event(
                "audit",
                f"#{number} is disqualified: {reason}",
                number,
                {"claimed_bpb": report.claimed_bpb, "reason": report.reason},
            )
            self._update(number, voided=report.reason)
            self._discount("run = ? AND candidate = ?", (self.run_id(), number), report.reason)
            event = self._event("verdict", f"#{number} failed: {reason}", number)
            self._verdict(number, Verdict.FAILED, reason, event, alive=False)

    def discount(self, experiment: int, reason: str) -> None:
        """The score of a finished training counts no more; a second time changes nothing."""
        with self._transaction():
            self._discount("id = ?", (experiment,), reason)

    def crown_baseline(self, number: int) -> None:
        """The seed of the run has its first score: it is what children have to beat."""
        with self._transaction():
            if self.candidate(number).state is not CandidateState.JUDGED:
                self._move(number, CandidateState.JUDGED)
            reason = "What children have to beat."
            self._update(number, verdict=str(Verdict.BASELINE), verdict_reason=reason, alive=1)
            mean = self.candidate(number).mean
            score = "" if mean is None else f": {mean:.6f} bpb"
            event = self._event("verdict", f"#{number} is the baseline{score}.", number)
            self._enthrone(number, event)

    # ---- private -------------------------------------------------------------------------------------------

    def _verdict(
        self, number: int, verdict: Verdict, reason: str, event: int, *, alive: bool
    ) -> None:
        # Only a failed smoke run judges a candidate that was never trained.
        if verdict is not Verdict.FAILED and self.candidate(number).state is CandidateState.READY:
            raise IllegalMove(f"#{number} cannot go from ready to judged as {verdict}")
        self._move(number, CandidateState.JUDGED)
        boost = {} if alive else {"boosted": 0}  # it has no more children
        self._update(number, verdict=str(verdict), verdict_reason=reason, alive=int(alive), **boost)
        self._db.execute(
            "UPDATE candidate SET judged = coalesce(judged, ?) WHERE run = ? AND id = ?",
            (event, self.run_id(), number),
        )

    def _seal(self, number: int, sealed: SealedGain | None) -> None:
        if sealed is not None:
            self._update(number, sealed_gain=sealed.sealed, sealed_gap=sealed.gap)

    def _discount(self, condition: str, values: tuple[object, ...], reason: str) -> None:
        """Take scores out of what is known of their candidates; `condition` is our own words."""
        found = self._all(
            f"SELECT id, candidate FROM experiment WHERE {condition} "  # noqa: S608
            "AND outcome = 'ok' AND discounted = ''",
            values,
        )
        for row in found:
            self._db.execute(
                "UPDATE experiment SET discounted = ? WHERE id = ?", (reason, row["id"])
            )
        for number in {row["candidate"] for row in found}:
            scores = self._all(
                "SELECT val_bpb, fitness FROM experiment WHERE run = ? AND candidate = ? "
                "AND outcome = 'ok' AND discounted = '' ORDER BY id",
                (self.run_id(), number),
            )
            self._update(
                number,
                scores=as_json([row[0] for row in scores]),
                fitness=as_json([row[1] for row in scores]),
            )

    def _enthrone(self, number: int, event: int) -> None:
        self._db.execute(
            "UPDATE run SET incumbent = ?, promotion = ? WHERE id = ?",
            (number, event, self.run_id()),
        )


def _data(sealed: SealedGain | None) -> dict[str, float]:
    return {} if sealed is None else sealed.data()
