"""Watches the training in the slot and has it stopped when it cannot win any more; tests that rule as it goes.

It joins `pruning`, which decides, to the journal and the slot. What a training prints about itself is all that is
looked at, so this can cost a candidate its end but never give it a score.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from evolve import pruning
from evolve.entry import useful_below
from evolve.forecast import LATEST, Known
from evolve.model import Operator, Purpose
from evolve.places import EXPERIMENTS
from harness.rundir import read_progress
from harness.spec import Outcome

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate, Experiment
    from evolve.slot import Slot


class Watch:
    """The watch over one training after another."""

    def __init__(self, context: Context, slot: Slot) -> None:
        self._context, self._slot = context, slot
        self._of = 0  # the experiment that is watched
        self._done = True  # nothing is to be found out about it any more
        self._offset = 0  # of what was read of its progress
        self._curve: list[tuple[float, float]] = []
        self._looked = 0.0  # the fraction of the last look
        self._known: tuple[Known, ...] | None = None
        self._limit: float | None = None
        self._wish = ""  # the sentence with which it is to be stopped, until the slot has heard it

    def look(self) -> None:
        """Read what the training has said since the last call, and decide where a look is due. Cheap."""
        running = self._context.journal.running_experiment()
        if running is None:
            self._done = True
            return
        if running.id != self._of:
            self._begin(running)
        if self._wish and self._slot.prune(self._wish):
            self._wish = ""
        if self._done or not self._context.settings.pruning.enabled:
            return
        self._read(running)
        reached = self._curve[-1][0] if self._curve else 0.0
        due = [f for f in pruning.FRACTIONS if self._looked < f <= reached]
        if due:
            self._judge(running, after=self._looked)
            self._looked = due[-1]

    def settled(self) -> None:
        """A training has ended: what the audit of the rule has found by now may switch it off."""
        context = self._context
        if not context.journal.has_pruned() or self._is_off():
            return
        found = pruning.audit(context.journal.doomed_experiments())
        if not found.failed:
            return
        text = (
            f"Trainings are not stopped early any more in this run: {found.sentence()}, so more than "
            f"{pruning.TOLERATED:.0%} may be stopped wrongly (P = {found.doubt:.2f}). Their losses say too little here."
        )
        data = {"finished": found.finished, "wrong": found.wrong, "doubt": round(found.doubt, 4)}
        context.journal.tell("pruning", text, data, self._key(), text)

    # ---- private ---------------------------------------------------------------------------------------

    def _begin(self, running: Experiment) -> None:
        self._of, self._offset, self._curve, self._looked = running.id, 0, [], 0.0
        self._known = self._limit = None
        candidate = self._context.journal.candidate(running.candidate)
        told = running.pruning
        self._done = told is not None or not self._concerns(running, candidate)
        # An earlier engine may have decided so, and have been killed before it could say it.
        self._wish = pruning.Doom(**told).sentence() if told and not told["spared"] else ""

    def _concerns(self, running: Experiment, candidate: Candidate) -> bool:
        """Only a child's first training, and none that a person wants to see to its end."""
        return (
            running.purpose is Purpose.SCREEN
            and bool(candidate.parents)
            and candidate.operator is not Operator.HUMAN
            and not candidate.pinned
            and not self._is_off()
        )

    def _read(self, running: Experiment) -> None:
        context = self._context
        directory = context.state / EXPERIMENTS / context.journal.directory(running.id)
        told, self._offset = read_progress(directory, self._offset)
        for moment in told:
            if moment.phase != "training":
                self._done |= moment.phase in ("scoring", "auditing", "done")
            elif moment.loss is not None and math.isfinite(moment.loss):
                self._curve.append((moment.fraction, moment.loss))

    def _judge(self, running: Experiment, after: float) -> None:
        context = self._context
        candidate = context.journal.candidate(running.candidate)
        if candidate.pinned:  # by now
            self._done = True
            return
        if self._known is None:
            self._known = known(context, candidate)
            self._limit = useful_below(context, candidate)
        if self._limit is None:
            self._done = True
            return
        rules = context.settings.pruning
        found = pruning.doom(self._curve, self._known, self._limit, rules.chance, after)
        if found is None:
            return
        self._done = True
        share = pruning.audit(context.journal.doomed_experiments()).share(rules.spare)
        if pruning.is_spared(context.journal.run().name, running.id, share):
            found = replace(found, spared=True)
        context.journal.note_pruning(running.id, found.data(), found.sentence())
        if not found.spared:
            self._wish = "" if self._slot.prune(found.sentence()) else found.sentence()

    def _is_off(self) -> bool:
        return bool(self._context.journal.meta(self._key()))

    def _key(self) -> str:
        return switched_off_key(self._context.journal.run().name)


def switched_off_key(run: str) -> str:
    """The journal's key for the sentence with which the rule was switched off in a run; empty while it is on."""
    return f"pruning is off in {run}"


def known(context: Context, candidate: Candidate) -> tuple[Known, ...]:
    """What the finished trainings of this run have shown, of candidates that print the same kind of loss."""
    journal, lineage = context.journal, context.lineage

    def form_of(one: Candidate) -> str:  # an older engine noted none
        return one.loss_form or pruning.loss_form(lineage.source(one.commit))

    form = form_of(candidate)
    found = []
    runs = context.believed().roster.runs
    scored = (n for n in range(len(runs), 0, -1) if runs[n - 1] and n != candidate.id)
    for other in journal.candidates_of(tuple(islice(scored, LATEST))):
        if form_of(other) != form:
            continue
        trained = [
            e
            for e in journal.experiments(other.id, curve=True)
            if e.outcome is Outcome.OK and e.fitness is not None and not e.discounted and e.curve
        ]
        if trained:
            curves = tuple(tuple((p.fraction, p.loss) for p in e.curve) for e in trained)
            scores = [e.fitness for e in trained if e.fitness is not None]
            found.append(Known(curves, sum(scores) / len(scores)))
    return tuple(found)
