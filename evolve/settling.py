"""What a finished experiment means, and what a verdict brings about: journal first, then refs, worktrees and main.

Decisions come from `acceptance` and the gates; this module carries them out. It starts no process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve import audits, comparable, fitness, pace, ratcheting
from evolve.acceptance import Action, Judgement
from evolve.census import trim
from evolve.model import (
    Candidate,
    CandidateState,
    EvolveError,
    Experiment,
    Purpose,
    Verdict,
)
from evolve.outages import DEVICE, EXPLAINED
from evolve.restock import after_promotion
from evolve.standing import BASELINE, refresh_noise
from harness.crashpoints import reached
from harness.spec import Cause, Outcome, Result

if TYPE_CHECKING:
    from evolve.context import Context

VOIDS = 3  # trainings of one candidate that may be lost, to causes that may be its own, before it is set aside
FAILURES = 3  # repeats of main or of the baseline that may fail in a row before the run pauses
# What no script brings about. A full disk is not among them: a script that fills one does so again.
NOT_ITS_OWN = EXPLAINED | DEVICE | {Cause.DATA_MISSING}


class Settling:
    """Writes down what trainings came to. The half of `judging.Judge` that has consequences."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deferred = ""  # why main could not be moved when it last should have been
        self._main_measured = (
            True  # since those turned away were looked at; so they are at every start
        )

    def settle(self, experiment: Experiment, result: Result, *, adopted: bool = False) -> str:
        """Write what a finished experiment came to, and its consequences; `adopted` from an earlier engine.

        Returns why the run should pause, a sentence, or nothing. Raises EvolveError when the run cannot go on at all,
        because its baseline has never trained.
        """
        why = ""
        candidate = self._context.journal.candidate(experiment.candidate)
        if fault := comparable.fault(self._context, experiment, result, adopted=adopted):
            result = Result(Outcome.VOID, fault, seed=experiment.seed)
        result, worth = fitness.weighed(self._context, experiment, result)
        if result.outcome is Outcome.VOID:
            why = self._void(candidate, experiment, result)
        elif experiment.purpose is Purpose.BASELINE:
            why = self._baseline(candidate, experiment, result, worth)
        elif experiment.purpose is Purpose.INCUMBENT:
            why = self._incumbent(candidate, experiment, result, worth)
        elif experiment.wished:
            self._wished(candidate, experiment, result, worth)
        elif result.outcome is not Outcome.OK:
            self._fail(candidate, experiment, result)
        else:
            self._context.journal.finish_experiment(
                experiment.id, result, CandidateState.CONTENDER, worth
            )
        self.look_back()
        if self._deferred:
            self.move_main()  # what was in the way may be gone
        return why

    def look_back(self) -> None:
        """Take in what all trainings so far say about noise and about the machine's speed."""
        pace.note(self._context)
        refresh_noise(self._context)

    def move_main(self) -> None:
        """Let main follow the incumbent; whatever is in the way only defers that."""
        incumbent = self._context.incumbent()
        if incumbent is None or incumbent.id == BASELINE:
            return
        waits = ratcheting.follow(self._context, incumbent, self._score_trailers(incumbent))
        if waits and waits != self._deferred:
            self._context.journal.record_event("ratchet", waits, candidate=incumbent.id)
        self._deferred = waits

    # ---- private ---------------------------------------------------------------------------------------

    def _baseline(
        self, candidate: Candidate, experiment: Experiment, result: Result, worth: float | None
    ) -> str:
        """The seed; a script that never trained ends the run, one that trained before may do so again."""
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED, worth)
        first = not candidate.scores
        if _voided(result) and (first or not experiment.wished):
            raise EvolveError(
                f"The baseline's own score does not stand. {result.reason} `autoresearch train` shows the figures; "
                "mend it, commit, and start again."
            )
        if result.outcome is not Outcome.OK and not first:
            return "" if experiment.wished else self._unsteady(candidate, Purpose.BASELINE, result)
        if result.outcome is not Outcome.OK:
            lines = (result.traceback or result.log_tail).strip().splitlines()
            raise EvolveError(
                f"The baseline does not train ({result.outcome}: {result.reason}"
                + (f" Its last words: {lines[-1][:200]}" if lines else "")
                + "). Run `autoresearch train` to see it alone, mend it, commit, and start again."
            )
        if journal.run().incumbent is None:
            journal.crown_baseline(BASELINE)
            trim(self._context)
        self._context.wake()
        return ""

    def _incumbent(
        self, candidate: Candidate, experiment: Experiment, result: Result, worth: float | None
    ) -> str:
        """A repeat of what main holds; when it fails again and again, nothing can be compared with it."""
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED, worth)
        self._main_measured = True
        return self._unsteady(candidate, Purpose.INCUMBENT, result)

    def _unsteady(self, candidate: Candidate, purpose: Purpose, result: Result) -> str:
        """Why nothing can be compared with this candidate at the moment, if so: repeats of it failed time and again."""
        repeats = [
            e.outcome
            for e in self._context.journal.experiments(candidate.id)
            if e.purpose is purpose and e.outcome is not Outcome.VOID
        ]
        if Outcome.OK in repeats[-FAILURES:] or len(repeats) < FAILURES:
            return ""
        what = (
            "The baseline" if candidate.id == BASELINE else f"{candidate.label}, which main holds,"
        )
        return (
            f"{what} failed {FAILURES} times in a row when it was measured again ({result.outcome}: "
            f"{result.reason}), so nothing can be compared with it; `autoresearch show {candidate.id}` tells more."
        )

    def _wished(
        self, candidate: Candidate, experiment: Experiment, result: Result, worth: float | None
    ) -> None:
        """Measured again at a person's wish: its verdict stands, until what is believed by now says otherwise."""
        context, journal = self._context, self._context.journal
        won = candidate.verdict is Verdict.PROMOTED  # that it was better once stays true
        if result.outcome is not Outcome.OK and (not won or _voided(result)):
            self._fail(candidate, experiment, result)
            return
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED, worth)
        self._main_measured = True  # so that those turned away are looked at again
        again = journal.candidate(candidate.id)
        if again.alive:
            refresh_noise(context)
            trim(context)
        elif again.verdict is Verdict.REJECTED and not again.banned and again.sealed_gain is None:
            self._consider(again)

    def _consider(self, candidate: Candidate) -> None:
        """One that was turned away joins the population if it is now believed to be better than the worst there."""
        context, journal = self._context, self._context.journal
        refresh_noise(context)
        believed = context.believed().field()
        living = [believed[c.id] for c in journal.living() if c.id in believed]
        room = len(living) < context.settings.population.size
        better = room or believed[candidate.id] < max(living)
        if better and not audits.objection(context, candidate):
            self._keep(candidate.id, "Measured again, it is good enough to live.")

    def _fail(self, candidate: Candidate, experiment: Experiment, result: Result) -> None:
        """A child without a score; one whose score the audit voids has none from before either."""
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)
        if result.audit is not None and _voided(result):
            journal.void_score(candidate.id, result.audit, result.reason)
        elif result.outcome is Outcome.PRUNED:  # it works, and could not win any more
            journal.judge(candidate.id, Verdict.REJECTED, result.reason, alive=False)
        else:
            words = f"{result.outcome}: {result.reason}"
            journal.judge(candidate.id, Verdict.FAILED, words, alive=False)

    def _void(self, candidate: Candidate, experiment: Experiment, result: Result) -> str:
        """It was lost to something outside it, or a person ended it: back into the queue, but not for ever."""
        journal = self._context.journal
        trained = journal.experiments(candidate.id)
        told = next(e for e in trained if e.id == experiment.id)
        if told.killed:
            journal.void_experiment(experiment.id, told.reason)
            if told.killed == "drop":
                self._set_aside(candidate, experiment, told.reason)
            return ""
        journal.void_experiment(experiment.id, result.reason, result.cause)
        voids = [e for e in trained if e.outcome is Outcome.VOID and not e.killed]
        strange = sum(e.cause not in NOT_ITS_OWN for e in voids) + (result.cause not in NOT_ITS_OWN)
        if strange < VOIDS or result.cause in NOT_ITS_OWN or self._context.stopping:
            return ""
        words = f"its training was lost {strange} times, the last one so: {result.reason}"
        if experiment.purpose in (Purpose.SCREEN, Purpose.CONFIRM) or experiment.wished:
            self._set_aside(candidate, experiment, words)
            return ""
        return f"Without {candidate.label} nothing can be compared, and {words}"

    def _set_aside(self, candidate: Candidate, experiment: Experiment, reason: str) -> None:
        """No more trainings of it for this purpose. It is nobody's failure, and there is no score."""
        journal = self._context.journal
        if experiment.wished:
            journal.want(candidate.id, 0, f"{candidate.label} is not measured again: {reason}")
        elif experiment.purpose is Purpose.SCREEN:
            journal.drop_candidate(candidate.id, reason)
        elif experiment.purpose is Purpose.CONFIRM:
            words = f"Not confirmed: {reason}"
            journal.judge(candidate.id, Verdict.REJECTED, words, alive=False)

    def _score_trailers(self, candidate: Candidate) -> dict[str, str]:
        mean, sealed = candidate.mean, candidate.sealed_gain
        trailers = {
            "Candidate": f"#{candidate.id}",
            "Run": self._context.journal.run().name,
            "Val-Bpb": f"{mean:.6f}" if mean is not None else "",
            "Experiments": str(len(candidate.scores)),
        }
        return trailers if sealed is None else trailers | {"Sealed-Gain": f"{sealed:+.6f}"}

    def _carry_out(self, contender: Candidate, judgement: Judgement) -> None:
        """Promote or reject; a rejected one may still live in the population."""
        context = self._context
        if judgement.action is Action.PROMOTE:
            context.journal.promote(contender.id, judgement.reason, judgement.sealed)
            reached("settle.promoted")
            trim(context)
            self.move_main()
            after_promotion(context)
            return
        barred = audits.objection(context, contender)
        if barred or judgement.sealed is not None:  # not audited, or better on the known rows only
            words = f"{judgement.reason} {barred}".strip()
            context.journal.judge(
                contender.id, Verdict.REJECTED, words, alive=False, sealed=judgement.sealed
            )
            return
        self._keep(contender.id, judgement.reason)

    def _keep(self, number: int, reason: str) -> None:
        """Let it live among the best, if it is one of them."""
        context = self._context
        context.journal.judge(number, Verdict.KEPT, reason, alive=True)
        trim(context)
        if not context.journal.candidate(number).alive:
            words = f"{reason} Not among the {context.settings.population.size} that live."
            context.journal.judge(number, Verdict.REJECTED, words, alive=False)


def _voided(result: Result) -> bool:
    """Did the blind audit find that the score is none?"""
    return result.outcome is not Outcome.OK and result.audit is not None and not result.audit.passed
