"""What people ask of candidates, written down: marks, boosts, wishes for another training, approvals, kills.

A part of the journal: each public method is one durable transaction that tells its part of the story. It decides
nothing: `acts` does.
"""

from __future__ import annotations

from collections.abc import Sequence

from evolve.model import CandidateState, Experiment, UsageError, Verdict
from evolve.verdicts import Verdicts


class Wishes(Verdicts):
    """The steps by which a person has a say."""

    def mark(self, number: int, *, pinned: bool | None = None, banned: bool | None = None) -> None:
        """Pin a candidate (it always lives) or ban it (it has no more children); None leaves a mark alone."""
        with self._transaction():
            for column, value in (("pinned", pinned), ("banned", banned)):
                if value is not None:
                    self._update(number, **{column: int(value)})
                    no_longer = "" if value else "no longer "
                    self._event("population", f"#{number} is {no_longer}{column}.", number)

    def order_queue(self, numbers: Sequence[int]) -> None:
        """Let the ready candidates train in this order; the answer to the person's request tells of it."""
        with self._transaction():
            for place, number in enumerate(numbers):
                self._update(number, priority=place)

    def drop_candidate(self, number: int, reason: str) -> None:
        """Take a candidate out of the queue; raises UsageError when it is not in it."""
        with self._transaction():
            self._drop(number, reason)

    def reject_candidate(self, number: int, who: str, reason: str) -> None:
        """A person turns a child down before it trains. Whoever makes the next child of its parent is told why."""
        candidate = self.candidate(number)
        words = f"Turned down by {who}{f': {reason}' if reason else '.'}"
        with self._transaction():
            self._drop(number, words)
            if reason and candidate.parents:
                data = {"title": candidate.title, "category": candidate.category, "reason": reason}
                parent = candidate.parents[0]
                text = (
                    f"Whoever makes the next child of #{parent} is told that “{candidate.title}” was turned down: "
                    f"{reason}"
                )
                self._event("refused", text, parent, data)

    def approve(self, number: int, who: str) -> None:
        """A person lets a child train."""
        with self._transaction():
            self._update(number, approved=1)
            self._event("approval", f"#{number} may train, says {who}.", number)

    def boost(self, number: int, times: int, reason: str) -> None:
        """So many children to come are to have this parent; `add_candidate` counts them. `reason`: a sentence."""
        with self._transaction():
            self._update(number, boosted=times)
            self._event("population", reason, number, {"boosted": times})

    def want(self, number: int, times: int, reason: str) -> None:
        """So many more trainings of this candidate are wished for; each that ends counts one down.

        It also gets its second chance back: what is measured at a person's wish may make it a contender.
        """
        with self._transaction():
            self._update(number, wanted=times)
            if times:
                self._update(number, chances=0)
            self._event("remeasure", reason, number, {"wanted": times})

    def kill_training(self, experiment: Experiment, reason: str, *, again: bool) -> None:
        """A person ends the running training: what becomes of its candidate is settled when it has ended.

        `reason`: who did, a sentence.
        """
        with self._transaction():
            self._db.execute(
                "UPDATE experiment SET killed = ?, reason = ? WHERE id = ? AND finished IS NULL",
                ("again" if again else "drop", reason, experiment.id),
            )

    # ---- private -------------------------------------------------------------------------------------------

    def _drop(self, number: int, reason: str) -> None:
        state = self.candidate(number).state
        if state is not CandidateState.READY:
            raise UsageError(
                f"#{number} is {state}, not ready; only a candidate that waits in the queue can be dropped."
            )
        self._move(number, CandidateState.DROPPED)
        self._update(number, verdict=str(Verdict.DROPPED), verdict_reason=reason, alive=0)
        self._event("verdict", f"#{number} dropped: {reason}", number)
