"""What is trained next, and what a finished experiment means: the bridge from pure policies to the journal.

Decisions come from `acceptance`, `population` and `noise`; this module feeds them snapshots and carries their
answers out in one order: journal first, then refs, worktrees and main. It starts no process.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from evolve.acceptance import Action, Judgement, Samples, policy
from evolve.model import (
    Candidate,
    CandidateState,
    EvolveError,
    Experiment,
    Purpose,
    Verdict,
)
from evolve.noise import at_seeds
from evolve.places import EXPERIMENTS, WORKTREES
from evolve.population import survivors
from evolve.standing import members, paired_noise, refresh_noise
from harness.spec import Outcome, Result

if TYPE_CHECKING:
    from evolve.context import Context

VOIDS = 3  # trainings of one candidate that may be lost to outside causes before it is set aside
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

    def next_assignment(self) -> Assignment | None:
        """Baseline repeats first, then the contender at hand, then the next ready child."""
        context = self._context
        if len(context.journal.candidate(BASELINE).scores) < self._baseline_repeats():
            return self._assign(BASELINE, Purpose.BASELINE)
        while (contender := self._contender()) is not None:
            judgement = self._judge(contender)
            if judgement.action is Action.REPEAT_CHALLENGER:
                return self._assign(contender.id, Purpose.CONFIRM)
            if judgement.action is Action.REPEAT_INCUMBENT:
                incumbent = context.incumbent()
                assert incumbent is not None  # noqa: S101 - a contender has a rival
                return self._assign(incumbent.id, Purpose.INCUMBENT)
            self._carry_out(contender, judgement)
        queue = context.journal.queue()
        return self._assign(queue[0].id, Purpose.SCREEN) if queue else None

    def settle(self, experiment: Experiment, result: Result) -> None:
        """Write what a finished experiment came to, and its consequences."""
        candidate = self._context.journal.candidate(experiment.candidate)
        if result.outcome is Outcome.VOID:
            self._void(candidate, experiment, result)
        elif experiment.purpose is Purpose.BASELINE:
            self._baseline(experiment, result)
        elif experiment.purpose is Purpose.INCUMBENT:
            self._context.journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)
        elif result.outcome is not Outcome.OK:
            self._context.journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)
            self._context.journal.judge(
                candidate.id, Verdict.FAILED, f"{result.outcome}: {result.reason}", alive=False
            )
        else:
            self._context.journal.finish_experiment(experiment.id, result, CandidateState.CONTENDER)
        refresh_noise(self._context)
        if self._deferred:
            self.move_main()  # what was in the way may be gone

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

    def _contender(self) -> Candidate | None:
        contenders = self._context.journal.candidates_in(CandidateState.CONTENDER)
        return contenders[0] if contenders else None

    def _assign(self, candidate: int, purpose: Purpose) -> Assignment:
        """Every candidate walks the same list of seeds, 0, 1, 2 …, so any two have their first ones in common."""
        known = self._context.journal.scores_by_seed(candidate)
        return Assignment(candidate, purpose, next(s for s in count() if s not in known))

    def _judge(self, contender: Candidate) -> Judgement:
        """Compare the contender with main at its own seeds: the luck that a seed brings, it brings to both."""
        context = self._context
        incumbent = context.incumbent()
        assert incumbent is not None  # noqa: S101 - the baseline is the first incumbent
        ours = context.journal.scores_by_seed(contender.id)
        theirs = context.journal.scores_by_seed(incumbent.id)
        between = paired_noise(context)
        acceptance = context.settings.acceptance
        return policy(
            acceptance.policy, confidence=acceptance.confidence, max_repeats=acceptance.max_repeats
        ).judge(
            Samples(tuple(ours.values()), contender.lines),
            Samples(at_seeds(theirs, ours, between, context.noise), incumbent.lines, paired=True),
            between,
        )

    def _carry_out(self, contender: Candidate, judgement: Judgement) -> None:
        """Promote or reject; a rejected one may still live in the population."""
        context = self._context
        if judgement.action is Action.PROMOTE:
            context.journal.promote(contender.id, judgement.reason)
            self.trim()
            self.move_main()
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

    def _baseline(self, experiment: Experiment, result: Result) -> None:
        journal = self._context.journal
        journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)
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
        mean = candidate.mean
        return {
            "Candidate": f"#{candidate.id}",
            "Run": self._context.journal.run().name,
            "Val-Bpb": f"{mean:.6f}" if mean is not None else "",
            "Experiments": str(len(candidate.scores)),
        }
