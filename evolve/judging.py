"""What is trained next, and what a finished experiment means: the bridge from pure policies to the journal.

Decisions come from `acceptance`, `population` and `noise`; this module feeds them snapshots and carries their
answers out in one order: journal first, then refs, worktrees and main. It starts no process.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from evolve import audits, comparable, fitness, gates, pace
from evolve.acceptance import Action, Judgement, Samples, policy
from evolve.drift import Drift
from evolve.model import (
    Candidate,
    CandidateState,
    EvolveError,
    Experiment,
    Purpose,
    Verdict,
)
from evolve.nursery import candidates_left
from evolve.places import EXPERIMENTS, WORKTREES
from evolve.population import survivors
from evolve.standing import members, refresh_noise
from harness.spec import Outcome, Result

if TYPE_CHECKING:
    from evolve.context import Context

VOIDS = 3  # trainings of one candidate that may be lost to outside causes before it is set aside
FAILURES = 3  # repeats of what main holds that may fail in a row before the run ends
CHECKS = 3  # measurements of a baseline that stays off before contenders are given up, with nothing else to do
BASELINE = 1  # the seed is candidate #1


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the slot trains next."""

    candidate: int
    purpose: Purpose
    seed: int


class Judge:
    """Reads the journal, asks the policies, writes verdicts."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._deferred = ""  # why main could not be moved when it last should have been
        self._waiting: set[int] = set()  # contenders of which it was told that they wait

    def next_assignment(self) -> Assignment | None:
        """Baseline repeats first, then the contenders at hand, then the next ready child."""
        context = self._context
        if len(context.journal.candidate(BASELINE).scores) < self._baseline_repeats():
            return self._assign(BASELINE, Purpose.BASELINE)
        drift = pace.current(context)
        if drift.due:
            return self._assign(BASELINE, Purpose.BASELINE)
        for contender in context.journal.candidates_in(CandidateState.CONTENDER):
            if (repeat := self._advance(contender, drift)) is not None:
                return repeat
        queue = context.journal.queue()
        if queue:
            return self._assign(queue[0].id, Purpose.SCREEN)
        return self._last_resort(drift)

    def settle(self, experiment: Experiment, result: Result, *, adopted: bool = False) -> None:
        """Write what a finished experiment came to, and its consequences; `adopted` from an earlier engine."""
        candidate = self._context.journal.candidate(experiment.candidate)
        if fault := comparable.fault(self._context, experiment, result, adopted=adopted):
            result = Result(Outcome.VOID, fault, seed=experiment.seed)
        result, worth = fitness.weighed(self._context, experiment, result)
        if result.outcome is Outcome.VOID:
            self._void(candidate, experiment, result)
        elif experiment.purpose is Purpose.BASELINE:
            self._baseline(experiment, result, worth)
        elif experiment.purpose is Purpose.INCUMBENT:
            self._incumbent(candidate, experiment, result, worth)
        elif result.outcome is not Outcome.OK:
            self._fail(candidate, experiment, result)
        else:
            self._context.journal.finish_experiment(
                experiment.id, result, CandidateState.CONTENDER, worth
            )
        self.look_back()
        if self._deferred:
            self.move_main()  # what was in the way may be gone

    def look_back(self) -> None:
        """Take in what all trainings so far say about noise and about the machine's speed."""
        pace.note(self._context)
        refresh_noise(self._context)

    def move_main(self) -> None:
        """Let main follow the incumbent; a dirty checkout only defers that."""
        context = self._context
        incumbent = context.incumbent()
        if incumbent is None or incumbent.id == BASELINE:
            return
        ratchet = context.lineage.ratchet(
            incumbent.commit, f"#{incumbent.id} {incumbent.title}", self._score_trailers(incumbent)
        )
        if ratchet.moved:
            context.journal.record_event(
                "ratchet",
                f"{context.lineage.branch} moved to #{incumbent.id} ({ratchet.kind}).",
                candidate=incumbent.id,
                data={"commit": ratchet.commit, "kind": ratchet.kind},
            )
            self._deferred = ""
        elif ratchet.kind == "deferred" and ratchet.reason != self._deferred:
            self._deferred = ratchet.reason
            context.journal.record_event("ratchet", ratchet.reason, candidate=incumbent.id)

    def trim(self) -> None:
        """Let the population shrink or grow to its size; leaving it costs a candidate nothing but its worktree."""
        context = self._context
        population = members(context)
        incumbent = context.journal.run().incumbent
        stay = survivors(population, context.settings.population.size, incumbent)
        for member in population:
            if member.id not in stay:
                context.journal.set_alive(member.id, False)
        context.lineage.sync_worktrees({c.id: c.commit for c in context.journal.living()})
        self.keep_logs()

    def keep_logs(self) -> None:
        """Put the last training's log beside each living train.py, where the ancestor's users look for it."""
        context = self._context
        for candidate in context.journal.living():
            worktree = context.state / WORKTREES / str(candidate.id)
            experiments = context.journal.experiments(candidate.id)
            if not experiments or not worktree.is_dir():
                continue
            directory = context.journal.directory(experiments[-1].id)
            log, copy = context.state / EXPERIMENTS / directory / "run.log", worktree / "run.log"
            if log.is_file() and (not copy.exists() or copy.stat().st_mtime < log.stat().st_mtime):
                shutil.copyfile(log, copy)

    # ---- private ---------------------------------------------------------------------------------------

    def _baseline_repeats(self) -> int:
        acceptance = self._context.settings.acceptance
        return 1 if acceptance.policy == "greedy" else acceptance.baseline_repeats

    def _advance(self, contender: Candidate, drift: Drift) -> Assignment | None:
        """The next training for a contender, or its verdict; while the machine drifts only a rejection is one."""
        context = self._context
        judgement = self._judge(contender)
        if drift.drifting and judgement.action is not Action.REJECT:
            self._wait(contender)
        elif judgement.action is Action.REPEAT_CHALLENGER:
            return self._assign(contender.id, Purpose.CONFIRM)
        elif judgement.action is Action.REPEAT_INCUMBENT:
            incumbent = context.incumbent()
            assert incumbent is not None  # noqa: S101 - a contender has a rival
            return self._assign(incumbent.id, Purpose.INCUMBENT, judgement.seed)
        else:
            self._carry_out(contender, judgement)
        return None

    def _wait(self, contender: Candidate) -> None:
        """Tell once that a contender waits for the machine to be itself again."""
        if contender.id not in self._waiting:
            self._waiting.add(contender.id)
            self._context.journal.record_event(
                "drift",
                f"{contender.label} may be better than main, and waits until the baseline trains at its first "
                "speed again.",
                candidate=contender.id,
            )

    def _last_resort(self, drift: Drift) -> Assignment | None:
        """Nothing but contenders that wait is left: look at the machine a few times more, then give them up."""
        context = self._context
        contenders = context.journal.candidates_in(CandidateState.CONTENDER)
        if not drift.drifting or not contenders or candidates_left(context):
            return None
        if drift.checks < CHECKS:
            return self._assign(BASELINE, Purpose.BASELINE)
        for contender in contenders:
            why = f"Not confirmed: the baseline now trains {drift.change}, so nothing can be compared with main."
            self._carry_out(contender, Judgement(Action.REJECT, 0.0, why))
        return None

    def _assign(self, candidate: int, purpose: Purpose, seed: int | None = None) -> Assignment:
        """Every candidate walks the same list of seeds, 0, 1, 2 …, so any two have their first ones in common."""
        if seed is None:
            known = self._context.journal.scores_by_seed(candidate)
            seed = next(s for s in count() if s not in known)
        return Assignment(candidate, purpose, seed)

    def _judge(self, contender: Candidate) -> Judgement:
        """Compare the contender with main at its own seeds: the luck that a seed brings, it brings to both."""
        context = self._context
        incumbent = context.incumbent()
        assert incumbent is not None  # noqa: S101 - the baseline is the first incumbent
        acceptance = context.settings.acceptance
        judgement = policy(
            acceptance.policy, confidence=acceptance.confidence, max_repeats=acceptance.max_repeats
        ).judge(
            Samples(context.journal.fitness_by_seed(contender.id), contender.lines),
            Samples(context.journal.fitness_by_seed(incumbent.id), incumbent.lines),
            context.noise,
        )
        if judgement.action is Action.PROMOTE:
            return gates.last(context, contender, incumbent, judgement)
        return judgement

    def _carry_out(self, contender: Candidate, judgement: Judgement) -> None:
        """Promote or reject; a rejected one may still live in the population."""
        context = self._context
        if judgement.action is Action.PROMOTE:
            context.journal.promote(contender.id, judgement.reason, judgement.sealed)
            self.trim()
            self.move_main()
            return
        barred = audits.objection(context, contender)
        if barred or judgement.sealed is not None:  # not audited, or better on the known rows only
            words = f"{judgement.reason} {barred}".strip()
            context.journal.judge(
                contender.id, Verdict.REJECTED, words, alive=False, sealed=judgement.sealed
            )
            return
        context.journal.judge(contender.id, Verdict.KEPT, judgement.reason, alive=True)
        self.trim()
        if not context.journal.candidate(contender.id).alive:
            context.journal.judge(
                contender.id,
                Verdict.REJECTED,
                f"{judgement.reason} Not among the {context.settings.population.size} that live.",
                alive=False,
            )

    def _baseline(self, experiment: Experiment, result: Result, worth: float | None) -> None:
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED, worth)
        if _voided(result):
            raise EvolveError(
                f"The baseline's own score does not stand. {result.reason} `autoresearch train` shows the figures; "
                "mend it, commit, and start again."
            )
        if result.outcome is not Outcome.OK:
            lines = (result.traceback or result.log_tail).strip().splitlines()
            raise EvolveError(
                f"The baseline does not train ({result.outcome}: {result.reason}"
                + (f" Its last words: {lines[-1][:200]}" if lines else "")
                + "). Run `autoresearch train` to see it alone, mend it, commit, and start again."
            )
        if journal.run().incumbent is None:
            journal.crown_baseline(BASELINE)
            self.trim()
        self._context.wake()

    def _incumbent(
        self, candidate: Candidate, experiment: Experiment, result: Result, worth: float | None
    ) -> None:
        """A repeat of what main holds; when it fails again and again, nothing can be compared with it."""
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED, worth)
        repeats = [e for e in journal.experiments(candidate.id) if e.purpose is Purpose.INCUMBENT]
        latest = [e.outcome for e in repeats if e.outcome is not Outcome.VOID][-FAILURES:]
        if len(latest) == FAILURES and Outcome.OK not in latest:
            raise EvolveError(
                f"{candidate.label}, which main holds, failed {FAILURES} times in a row when it was measured again "
                f"({result.outcome}: {result.reason}), so nothing can be compared with it. Look at it with "
                "`autoresearch train`, then start a new run with `autoresearch run --name NAME`."
            )

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

    def _void(self, candidate: Candidate, experiment: Experiment, result: Result) -> None:
        journal = self._context.journal
        voids = sum(e.outcome is Outcome.VOID for e in journal.experiments(candidate.id))
        journal.void_experiment(experiment.id, result.reason)
        if voids + 1 >= VOIDS and not self._context.stopping:
            raise EvolveError(
                f"Training #{candidate.id} was lost {VOIDS} times to causes outside it; the last one: "
                f"{result.reason} See `autoresearch doctor`, then `autoresearch run` goes on."
            )

    def _score_trailers(self, candidate: Candidate) -> dict[str, str]:
        mean, sealed = candidate.mean, candidate.sealed_gain
        trailers = {
            "Candidate": f"#{candidate.id}",
            "Run": self._context.journal.run().name,
            "Val-Bpb": f"{mean:.6f}" if mean is not None else "",
            "Experiments": str(len(candidate.scores)),
        }
        return trailers if sealed is None else trailers | {"Sealed-Gain": f"{sealed:+.6f}"}


def _voided(result: Result) -> bool:
    """Did the blind audit find that the score is none?"""
    return result.outcome is not Outcome.OK and result.audit is not None and not result.audit.passed
