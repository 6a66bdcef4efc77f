"""What people may do to candidates while the engine runs: pin, ban, boost, measure again, approve, drop, move, kill.

Each verb validates its request, has the journal write it down, and answers in words; a refused one raises and changes
nothing. What follows in the search (who is chosen, trained, dropped) is for the rooms that read the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from evolve import audits
from evolve.model import CandidateState, Purpose, UsageError, Verdict
from evolve.standing import BASELINE
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate, Command, Experiment

Verb = Callable[["Command"], str]
MOST = 20  # of boosts and of further trainings that can be asked for at once
REASON = 300  # characters of a reason


class Acts:
    """The verbs about candidates, by name in `verbs`."""

    def __init__(
        self, context: Context, *, on_trim: Callable[[], None], on_kill: Callable[[str], None]
    ) -> None:
        """`on_trim`: the population may have to change; `on_kill`: end what runs in the slot."""
        self._context = context
        self._on_trim = on_trim
        self._on_kill = on_kill
        self.verbs: dict[str, Verb] = {
            "drop": self._drop,
            "reject": self._reject,
            "approve": self._approve,
            "pin": self._pin,
            "unpin": self._unpin,
            "ban": self._ban,
            "unban": self._unban,
            "boost": self._boost,
            "remeasure": self._remeasure,
            "move": self._move,
            "kill": self._kill,
        }

    # ---- the queue ---------------------------------------------------------------------------------------

    def _drop(self, command: Command) -> str:
        candidate = self._candidate(command)
        self._context.journal.drop_candidate(candidate.id, f"Dropped by {command.who}.")
        return f"{candidate.label} dropped."

    def _reject(self, command: Command) -> str:
        candidate = self._candidate(command)
        reason = one_line(str(command.args.get("reason", "")), REASON)
        self._context.journal.reject_candidate(candidate.id, command.who, reason)
        told = " Whoever makes the next child of its parent is told why." if reason else ""
        return f"{candidate.label} turned down.{told}"

    def _approve(self, command: Command) -> str:
        candidate = self._candidate(command)
        if candidate.state is not CandidateState.READY:
            raise UsageError(
                f"{candidate.label} is {candidate.state}; only a child that waits in the queue can be approved."
            )
        if not self._context.settings.approval.required:
            raise UsageError(
                "Children need no approval in this run; `set approval.required true` makes them wait for it."
            )
        if candidate.approved:
            return f"{candidate.label} was approved already."
        self._context.journal.approve(candidate.id, command.who)
        return f"{candidate.label} may train."

    def _move(self, command: Command) -> str:
        candidate = self._candidate(command)
        queue = [c.id for c in self._context.journal.queue()]
        if candidate.id not in queue:
            raise UsageError(f"{candidate.label} is not in the queue.")
        place = _place(command, queue.index(candidate.id), len(queue))
        queue.remove(candidate.id)
        queue.insert(place, candidate.id)
        self._context.journal.order_queue(queue)
        return f"{candidate.label} is now number {queue.index(candidate.id) + 1} in the queue."

    # ---- the population ----------------------------------------------------------------------------------

    def _pin(self, command: Command) -> str:
        candidate = self._candidate(command)
        if candidate.banned:
            raise UsageError(f"{candidate.label} is banned; unban it first.")
        if candidate.pinned:
            return f"{candidate.label} is pinned already."
        judged = candidate.state in (CandidateState.JUDGED, CandidateState.DROPPED)
        if judged and not candidate.alive and (why := self._cannot_live(candidate)):
            raise UsageError(f"{candidate.label} cannot live: {why}")
        self._context.journal.mark(candidate.id, pinned=True)
        if judged and not candidate.alive:
            self._revive(candidate, f"Pinned by {command.who}.")
        self._on_trim()
        return f"{candidate.label} is pinned: it lives whatever comes."

    def _unpin(self, command: Command) -> str:
        candidate = self._candidate(command)
        if not candidate.pinned:
            return f"{candidate.label} is not pinned."
        self._context.journal.mark(candidate.id, pinned=False)
        self._on_trim()
        return f"{candidate.label} is no longer pinned."

    def _ban(self, command: Command) -> str:
        candidate = self._candidate(command)
        if candidate.banned:
            return f"{candidate.label} is banned already."
        unpinned = False if candidate.pinned else None
        self._context.journal.mark(candidate.id, banned=True, pinned=unpinned)
        if candidate.boosted:
            self._context.journal.boost(
                candidate.id, 0, f"The boost of {candidate.label} ends: it is banned."
            )
        self._on_trim()
        return f"{candidate.label} is banned: it has no more children."

    def _unban(self, command: Command) -> str:
        candidate = self._candidate(command)
        if not candidate.banned:
            return f"{candidate.label} is not banned."
        self._context.journal.mark(candidate.id, banned=False)
        living = (Verdict.KEPT, Verdict.PROMOTED, Verdict.BASELINE)
        if not candidate.alive and candidate.verdict in living and not self._cannot_live(candidate):
            self._context.journal.set_alive(
                candidate.id, True
            )  # until somebody better needs its place
        self._on_trim()
        return f"{candidate.label} is no longer banned."

    def _boost(self, command: Command) -> str:
        candidate, times = self._candidate(command), _times(command, 3)
        if times == 0:
            if not candidate.boosted:
                return f"{candidate.label} is not boosted."
            self._context.journal.boost(
                candidate.id, 0, f"{candidate.label} is no longer boosted, says {command.who}."
            )
            return f"{candidate.label} is no longer boosted."
        if not (candidate.alive and candidate.scores) or candidate.banned:
            raise UsageError(
                f"{candidate.label} does not live in the population, so it has no children; "
                "boost one of those that do, or pin it first."
            )
        children = "child has" if times == 1 else f"{times} children have"
        self._context.journal.boost(
            candidate.id, times, f"The next {children} {candidate.label} as a parent, at the wish of {command.who}."
        )  # fmt: skip
        return f"{candidate.label} is boosted: the next {children} it as a parent."

    # ---- the slot ----------------------------------------------------------------------------------------

    def _remeasure(self, command: Command) -> str:
        candidate, times = self._candidate(command), _times(command, 1)
        if times == 0:
            if not candidate.wanted:
                return f"{candidate.label} is not waiting to be measured again."
            words = f"{candidate.label} is not measured again after all, says {command.who}."
            self._context.journal.want(candidate.id, 0, words)
            return f"{candidate.label} is not measured again after all."
        if why := _unmeasurable(candidate):
            raise UsageError(why)
        often = "once more" if times == 1 else f"{times} times more"
        self._context.journal.want(
            candidate.id, times, f"{candidate.label} is to be measured {often}, at the wish of {command.who}."
        )  # fmt: skip
        return f"{candidate.label} is measured {often} with fresh seeds, when nothing more urgent trains."

    def _kill(self, command: Command) -> str:
        """End what runs in the slot; its candidate goes with it, unless it is to be tried `again` or is needed."""
        journal, again = self._context.journal, command.args.get("again") is True
        reason = f"Killed by {command.who}."
        if (running := journal.running_experiment()) is not None:
            journal.kill_training(running, reason, again=again)
            answer = (
                f"Ending the training of #{running.candidate}; {_after_kill(running, again=again)}."
            )
        elif (smoke := journal.running_smoke()) is not None:
            queued = any(c.id == smoke.candidate for c in journal.queue())
            if not again and queued:
                journal.drop_candidate(smoke.candidate, reason)
            then = "it is tried again or trains at once" if again else "it is dropped"
            answer = f"Ending the smoke run of #{smoke.candidate}; {then}."
        else:
            raise UsageError("No training is running.")
        self._on_kill(reason)
        return answer

    # ---- private -----------------------------------------------------------------------------------------

    def _candidate(self, command: Command) -> Candidate:
        number = command.args.get("candidate")
        if not isinstance(number, int) or not self._context.journal.has_candidate(number):
            raise UsageError(f"There is no candidate #{number}.")
        return self._context.journal.candidate(number)

    def _cannot_live(self, candidate: Candidate) -> str:
        """Why a judged candidate may not join the population at a person's wish, a sentence; empty = it may."""
        if candidate.voided:
            return f"the blind audit voided its score: {candidate.voided}."
        if not candidate.scores:
            return f"it has no score ({candidate.verdict_reason.rstrip('.') or candidate.state})."
        if audits.objection(self._context, candidate):
            return (
                "no blind audit has looked at its score, which was too poor for one; "
                f"`remeasure {candidate.id}` measures it again, audited."
            )
        return ""

    def _revive(self, candidate: Candidate, reason: str) -> None:
        """It lives again; a verdict that said otherwise is replaced."""
        if candidate.verdict in (Verdict.REJECTED, Verdict.FAILED):
            self._context.journal.judge(candidate.id, Verdict.KEPT, reason, alive=True)
        else:
            self._context.journal.set_alive(candidate.id, True)


def _times(command: Command, default: int) -> int:
    times = command.args.get("times", default)
    if not isinstance(times, int) or isinstance(times, bool) or not 0 <= times <= MOST:
        raise UsageError(f"TIMES is a whole number from 0 (take it back) to {MOST}, not {times}.")
    return times


def _place(command: Command, now: int, count: int) -> int:
    """Where in the queue, from 0: `to` first, last or a number from 1; else `by` so many places from `now`."""
    to, by = command.args.get("to"), command.args.get("by", -1)
    if to == "first":
        return 0
    if to == "last":
        return count - 1
    wanted = (
        to - 1 if isinstance(to, int) else now + by if to is None and isinstance(by, int) else None
    )
    if wanted is None:
        raise UsageError(
            f"“{by if to is None else to}” is no place in the queue; say first, last or a number."
        )
    return max(0, min(count - 1, wanted))


def _unmeasurable(candidate: Candidate) -> str:
    """Why a candidate cannot be measured again; empty = it can."""
    if candidate.scores:
        return ""
    if candidate.voided:
        return f"The blind audit voided the score of {candidate.label}: {candidate.voided}. It is not trained again."
    if candidate.state is CandidateState.READY:
        return f"{candidate.label} has not trained yet; `move {candidate.id} first` lets it train next."
    if candidate.state is CandidateState.TRAINING:
        return f"{candidate.label} is in its first training."
    if candidate.state is CandidateState.DROPPED:
        return f"{candidate.label} was dropped and has no score; there is nothing to measure again."
    why = candidate.verdict_reason.rstrip(".")
    return f"{candidate.label} has no score ({why}); there is nothing to measure again."


def _after_kill(running: Experiment, *, again: bool) -> str:
    """What becomes of the candidate whose training is killed."""
    if running.wished and not again:
        return "it stays as it was, and is not measured again"
    if running.purpose is Purpose.BASELINE or running.candidate == BASELINE:
        return "it is measured again, because all others are compared with it"
    if running.purpose is Purpose.INCUMBENT:
        return "main holds it, so it stays"
    if again:
        return "it trains again"
    return "it is dropped" if running.purpose is Purpose.SCREEN else "it is turned away"
