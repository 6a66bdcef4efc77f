"""What is trained next: the baseline, then contenders and their rival, then those who wait. Joins policies to the journal.

Decisions come from `acceptance`, `chances` and `drift`; this module feeds them snapshots and turns their answers into
one training, or into a verdict that `settling` carries out. It starts no process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from evolve import approval, audits, chances, gates, pace
from evolve.acceptance import SIMPLER_LINES, Acceptance, Action, Judgement, policy
from evolve.beliefs import samples
from evolve.census import renew_islands
from evolve.drift import Drift
from evolve.model import Candidate, CandidateState, Purpose, Verdict
from evolve.nursery import candidates_left
from evolve.patience import Promising, to_confirm
from evolve.settling import Settling
from evolve.standing import BASELINE
from evolve.stopping import trainings_left

if TYPE_CHECKING:
    from evolve.context import Context

_REPEATS = (Action.REPEAT_CHALLENGER, Action.REPEAT_INCUMBENT)
CHECKS = 3  # measurements of a baseline that stays off before contenders are given up, with nothing else to do


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the slot trains next."""

    candidate: int
    purpose: Purpose
    seed: int


class Judge(Settling):
    """Reads the journal, asks the policies, writes verdicts."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._waiting: set[int] = set()  # contenders of which it was told that they wait

    def next_assignment(self) -> Assignment | None:
        """Baseline repeats, then the contenders at hand, main when it is due, second chances, wishes, the next ready child."""
        context = self._context
        if len(context.journal.candidate(BASELINE).scores) < self._baseline_repeats():
            return self._assign(BASELINE, Purpose.BASELINE)
        drift = pace.current(context)
        if drift.due:
            return self._assign(BASELINE, Purpose.BASELINE)
        if (repeat := self._contest(drift)) is not None:
            return repeat
        if (
            not drift.drifting
            and self._confirm_leader()
            and (repeat := self._contest(drift)) is not None
        ):
            return repeat
        if (main := self._main_due(drift)) is not None:
            return self._assign(main.id, Purpose.INCUMBENT)
        if (
            not drift.drifting
            and self._second_chance()
            and (repeat := self._contest(drift)) is not None
        ):
            return repeat
        if not drift.drifting and (wish := self._wish()) is not None:
            return wish
        renew_islands(context)  # every verdict that is to be had has been given
        if queue := approval.released(context):
            return self._assign(queue[0].id, Purpose.SCREEN)
        return self._last_resort(drift)

    # ---- private ---------------------------------------------------------------------------------------

    def _contest(self, drift: Drift) -> Assignment | None:
        """The next training that a contender asks for; those who can be judged are, on the way."""
        for contender in self._context.journal.candidates_in(CandidateState.CONTENDER):
            if (repeat := self._advance(contender, drift)) is not None:
                return repeat
        return None

    def _main_due(self, drift: Drift) -> Candidate | None:
        """What main holds, when it was not measured for so many trainings that its score may rest on luck."""
        rules, incumbent = self._context.settings.acceptance, self._context.incumbent()
        if rules.policy == "greedy" or not rules.remeasure_every or drift.drifting:
            return None
        if incumbent is None:
            return None
        since = self._context.journal.trained_since(incumbent.id)
        return incumbent if since >= rules.remeasure_every else None

    def _wish(self) -> Assignment | None:
        """The next training that a person wished for. A contender's are its repeats."""
        journal = self._context.journal
        for candidate in journal.wished():
            if candidate.state is CandidateState.JUDGED:
                main = candidate.id == journal.run().incumbent
                other = Purpose.BASELINE if candidate.id == BASELINE else Purpose.CONFIRM
                return self._assign(candidate.id, Purpose.INCUMBENT if main else other)
        return None

    def _second_chance(self) -> bool:
        """Let one of those turned away be a contender again, if what is known by now makes it promising."""
        context, journal = self._context, self._context.journal
        main = context.incumbent()
        rule = self._rule()
        if (
            main is None
            or not self._main_measured
            or context.settings.acceptance.policy == "greedy"
        ):
            return False
        believed = context.believed()
        if main.id not in believed.field():
            return False

        def standing(c: Candidate) -> chances.Rejected:
            tables = {c.id: believed.table(c.id)}
            return chances.Rejected(c.id, samples(c, tables), believed.posterior(c.id), c.chances)

        # All others would not be looked at: it takes a better score than main's to be promising.
        better = journal.candidates_of(believed.better_than(main.id))
        rejected = [standing(c) for c in better if _turned_away(c) and not _waits_for_patience(c)]
        while found := chances.second_chance(rejected, standing(main), context.noise, rule):
            number, judgement = found
            if not audits.objection(context, journal.candidate(number)):
                words = "gets a second chance, by what was measured since"
                journal.reopen(number, f"#{number} {words}: {judgement.reason}")
                return True
            rejected = [r for r in rejected if r.id != number]
        self._main_measured = False  # nobody, until main is measured again
        return False

    def _rule(self) -> Acceptance:
        acceptance = self._context.settings.acceptance
        return policy(
            acceptance.policy, confidence=acceptance.confidence, max_repeats=acceptance.max_repeats
        )

    def _baseline_repeats(self) -> int:
        acceptance = self._context.settings.acceptance
        return 1 if acceptance.policy == "greedy" else acceptance.baseline_repeats

    def _advance(self, contender: Candidate, drift: Drift) -> Assignment | None:
        """The next training for a contender, or its verdict; while the machine drifts only a rejection is one."""
        context = self._context
        judgement = self._judge(contender)
        if drift.drifting and judgement.action is not Action.REJECT:
            self._wait(contender)
        elif (
            judgement.action in _REPEATS
            and contender.verdict is None
            and len(contender.scores) == 1
            and self._worth_repeating([contender]) is None
        ):
            self._postpone(contender, judgement)
        elif judgement.action is Action.REPEAT_CHALLENGER:
            return self._assign(contender.id, Purpose.CONFIRM)
        elif judgement.action is Action.REPEAT_INCUMBENT:
            incumbent = context.incumbent()
            assert incumbent is not None  # noqa: S101 - a contender has a rival
            return self._assign(incumbent.id, Purpose.INCUMBENT, judgement.seed)
        else:
            self._carry_out(contender, judgement)
        return None

    def _postpone(self, contender: Candidate, judgement: Judgement) -> None:
        """It may be better than main: it lives and breeds on that, and is repeated when `patience` says so."""
        words = (
            f"P(better) = {judgement.probability:.2f} after one training, and not out of the question: it lives on "
            "what is believed of it, and is measured again when its lead is clear or has lasted."
        )
        self._carry_out(contender, replace(judgement, action=Action.REJECT, reason=words))

    def _confirm_leader(self) -> bool:
        """Make the child that leads a contender, when it is worth the trainings."""
        context, journal = self._context, self._context.journal
        if context.incumbent() is None or context.settings.acceptance.policy == "greedy":
            return False
        leader = self._worth_repeating([c for c in journal.living() if _waits_for_patience(c)])
        if leader is None:
            return False
        journal.reopen(
            leader.id,
            f"#{leader.id} leads main by {leader.lead:.1f} sigma, as far as one training tells: it is measured again.",
            confirms=True,
        )
        return True

    def _worth_repeating(self, children: Sequence[Candidate]) -> Promising | None:
        """The one of these, each trained once, that is worth more trainings now."""
        context, journal = self._context, self._context.journal
        main = context.incumbent()
        if main is None or not children:
            return None
        believed = context.believed().field()
        promising = [
            Promising(
                c.id,
                (believed[main.id] - believed[c.id]) / context.noise.sigma,
                journal.trained_since(c.id),
                simpler=0 < c.lines <= main.lines - SIMPLER_LINES,
            )
            for c in children
        ]
        idle = not journal.queue() and not candidates_left(context)
        return to_confirm(promising, left=trainings_left(context), idle=idle)

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
        tables = {c.id: context.journal.fitness_by_seed(c.id) for c in (contender, incumbent)}
        judgement = self._rule().judge(
            samples(contender, tables), samples(incumbent, tables), context.noise
        )
        if judgement.action is Action.PROMOTE:
            return gates.last(context, contender, incumbent, judgement)
        return judgement


def _waits_for_patience(candidate: Candidate) -> bool:
    """Living and trained once: whether it is repeated is for `patience` to say, and no second chance of it."""
    return candidate.alive and len(candidate.scores) == 1 and _turned_away(candidate)


def _turned_away(candidate: Candidate) -> bool:
    """Measured, judged, not banned, and not refused for more than its score: such a one may come again."""
    return (
        candidate.state is CandidateState.JUDGED
        and candidate.verdict in (Verdict.KEPT, Verdict.REJECTED)
        and candidate.sealed_gain is None
        and not candidate.banned
    )
