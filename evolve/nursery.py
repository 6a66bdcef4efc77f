"""The proposer loop: keeps a small buffer of vetted, novel, committed children ready for the slot.

It runs beside the slot and never makes it wait: when the language models are slow, absent, refusing or out of
budget, the built-in proposer fills the buffer. What is made next is `choosing`'s to say. It never trains anything
and never moves main.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from evolve import bandit, credit, leftovers
from evolve.bandit import BUILTIN
from evolve.briefs import brief
from evolve.choosing import Choice, Standing, arms_of, choose, standing
from evolve.gitfaults import GitFault
from evolve.model import Operator
from evolve.precedents import precedents
from evolve.projecting import look, say_once
from evolve.propose.novelty import novel
from evolve.propose.operators import (
    LanguageModel,
    Proposal,
    ProposalFailed,
    ProposalRefused,
    Proposer,
    ProposerUnavailable,
)
from evolve.propose.vetting import code_hash, vet
from evolve.pruning import loss_form
from evolve.recreating import trailers
from evolve.relatives import relatives
from evolve.resting import Rests
from evolve.standing import island_of_child, members
from harness.crashpoints import reached

if TYPE_CHECKING:
    from evolve.context import Context

ATTEMPTS = 8  # briefs tried for one child before the loop waits for something to change
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries while git cannot take a child
SPENT = 2  # of them that may fail with one arm
_SHARES = "shares of {}"  # journal key: those by operator of which people were told last


class Nursery:
    """Makes ready children."""

    def __init__(
        self, context: Context, builtin: Proposer, models: Mapping[str, LanguageModel]
    ) -> None:
        """`models`: the language models' proposers by the model's name; none without a key."""
        self._context = context
        self._builtin = builtin
        self._models = dict(models)
        self._rests = Rests(context.journal)
        self._emergency = asyncio.Lock()

    def replace_models(self, models: Mapping[str, LanguageModel]) -> None:
        """Use other models from the next proposal on, and ask them all, whatever made the last ones rest."""
        self._models = dict(models)
        self._rests.ask_again()

    async def run(self) -> None:
        """Fill the buffer; a run that is to stop gets no more children, unless that is taken back."""
        context = self._context
        async for proposal in leftovers.proposals(context, self._models):
            await self._adopt(proposal)
        while True:
            context.children_wanted.clear()
            if self._wanted() and not await self._make():
                # Nothing new to be had from what is known: a finished training changes that.
                context.proposer_doing = "out of new ideas until another result comes in"
            elif self._wanted():
                continue
            else:
                context.proposer_doing = self._why_idle()
            await context.children_wanted.wait()

    async def urgent(self) -> bool:
        """The slot has nothing to train: make one child now, without a language model."""
        async with self._emergency:
            if self._context.journal.queue():
                return True
            return self._wanted() and await self._make(urgent=True)

    # ---- for whoever wants another text of a language model: `scratchpad.Writers` ------------------------

    def doing(self) -> str:
        """What it is at, and which language models rest until when and why: a line for people."""
        lacking = () if self._models else ("no language model",)
        return "; ".join((self._context.proposer_doing, *self._rests.words(), *lacking))

    def has_model(self) -> bool:
        """Is there a language model in this run at all?"""
        return bool(self._models)

    def awake(self) -> tuple[str, LanguageModel] | None:
        """The first language model that does not rest, by name; None while all rest."""
        return next(((name, self._models[name]) for name in self._not_resting()), None)

    def rest(self, name: str, error: ProposerUnavailable) -> None:
        """A language model cannot answer: it is left alone for as long as it says."""
        self._rests.begin(name, error, (n for n in self._not_resting() if n != name))

    def answered(self, name: str) -> None:
        """A language model has said something, so it rests no more."""
        self._rests.answered(name)

    # ---- private -----------------------------------------------------------------------------------------

    def _not_resting(self) -> Iterator[str]:
        return (name for name in self._models if not self._rests.rests(name))

    async def _look_for_models(self) -> None:
        """Ask those that have rested long enough whether they can be reached again: free, and seconds at most."""
        for name in self._rests.out(self._models):
            self._context.proposer_doing = f"asks whether {name} can be reached again"
            if fault := await self._models[name].check():
                others = [n for n in self._not_resting() if n != name]
                self._rests.prolong(name, fault, others)

    def _wanted(self) -> bool:
        context = self._context
        if context.paused or context.stopping or not members(context):
            return False
        left = candidates_left(context)
        ready = len(context.journal.queue())
        return ready < min(context.settings.population.buffer, left)

    def _why_idle(self) -> str:
        """Why no child is wanted now."""
        context = self._context
        if context.paused:
            return "paused"
        if context.stopping:
            return "makes no more children: the search stops"
        if not members(context):
            return "waits until the baseline is trained"
        return (
            "the queue is full" if candidates_left(context) else "all children asked for are made"
        )

    def _proposers(self, *, urgent: bool) -> dict[str, Proposer]:
        """Those that can answer now: language models that do not rest, and the built-in one.

        Beside a language model that a person asked for by name ([llm] proposer = "claude") it only steps in.
        """
        names = () if urgent else self._not_resting()
        awake: dict[str, Proposer] = {name: self._models[name] for name in names}
        alone = self._context.settings.llm.proposer == "claude" and awake
        return awake if alone else awake | {BUILTIN: self._builtin}

    async def _make(self, *, urgent: bool = False) -> bool:
        """Make one child; False when nothing came of several briefs."""
        context = self._context
        failed: Counter[bandit.Arm] = Counter()
        boosted: set[int] = set()  # whom a person wished for, in vain so far
        for attempt in range(ATTEMPTS):
            if context.stopping:
                return False
            if not urgent:
                await self._look_for_models()
            rng = self._chance(attempt)
            spent = {arm for arm, times in failed.items() if times >= SPENT}
            proposers = self._proposers(urgent=urgent)
            able = {name: proposer.operators() for name, proposer in proposers.items()}
            now = self._standing(able)
            choice = choose(context, able, now.turns, rng, spent)
            if choice is None:
                break
            boosted |= {choice.boosted} - {0}
            context.proposer_doing = str(choice)
            try:
                proposal = await self._propose(proposers[choice.arm.proposer], choice, rng)
            except ProposalFailed as error:
                failed[choice.arm] += 1
                if not isinstance(error, ProposalRefused):  # that may have been known before
                    self.answered(choice.arm.proposer)
                words = f"{choice.arm.proposer} found no child ({choice.operator}): {error}"
                context.journal.record_event("proposal", words)
                continue
            except ProposerUnavailable as error:
                self.rest(choice.arm.proposer, error)
                continue
            self.answered(choice.arm.proposer)
            if await self._adopt(proposal):
                return True
            failed[choice.arm] += 1
        if urgent and self._models:
            return False  # a language model may still find one
        for number in boosted:
            context.journal.boost(
                number, 0, f"The boost of #{number} ends: no new child of it was to be found."
            )
        return bool(boosted)  # without them there may be one

    def _chance(self, attempt: int) -> random.Random:
        """Random numbers that a restarted engine would draw again."""
        journal = self._context.journal
        seed = f"{journal.run().name}:{journal.next_candidate_id()}:{attempt}"
        return random.Random(seed)  # noqa: S311 - a search, not a secret

    def _standing(self, able: Mapping[str, frozenset[Operator]]) -> Standing:
        """Where the arms stand; tells people when the shares have moved."""
        journal = self._context.journal
        everybody = {name: p.operators() for name, p in self._models.items()} | dict(able)
        credit.note_arms(journal, arms_of(everybody))
        now = standing(self._context, able)
        shares, key = bandit.by_operator(now.shares), _SHARES.format(journal.run().name)
        told: dict[str, float] = json.loads(journal.meta(key) or "{}")
        if not told:
            journal.set_meta(key, json.dumps(shares))
        elif bandit.is_news(told, shares):
            words = (
                f"The next proposals: {bandit.in_words(shares)}; before, {bandit.in_words(told)}."
            )
            data = {"shares": shares, "before": told}
            journal.tell("bandit", words, data, key, json.dumps(shares))
        return now

    async def _propose(self, proposer: Proposer, choice: Choice, rng: random.Random) -> Proposal:
        """Ask for one child; the built-in proposer is shown measured relatives, too."""
        context = self._context
        asked = brief(
            context, choice.operator, choice.parents, rng.getrandbits(32), choice.category
        )
        asked = replace(asked, precedents=precedents(context, choice.parents))
        if choice.arm.proposer == BUILTIN and choice.operator is Operator.TUNE:
            means = context.believed().field()
            asked = replace(asked, relatives=relatives(context, choice.parents[0], means))
        return await proposer.propose(asked)

    async def _adopt(self, proposal: Proposal) -> bool:
        """Vet, commit, journal, publish. False when the vetting found a fault."""
        context = self._context
        parents = [
            context.lineage.source(context.journal.candidate(p).commit) for p in proposal.parents
        ]
        problems, digest = await asyncio.to_thread(_examined, proposal.source, parents)
        problems = problems or self._twin(digest)
        if not problems:
            near = precedents(context, proposal.parents)
            old = await asyncio.to_thread(novel, proposal.source, parents, near)
            problems = [str(old)] if old else []
        if problems:
            self._refuse(proposal, problems[0])
            return False
        return await self._enrol(proposal, digest)

    def _twin(self, digest: str) -> list[str]:
        """What is wrong with a child whose code there is already."""
        context = self._context
        twin = context.journal.candidate_like(digest) if digest in context.codes() else None
        return [] if twin is None else [f"it is the same code as #{twin.id}"]

    def _refuse(self, proposal: Proposal, problem: str) -> None:
        """A child that is not trained: say why, and that its answers are used up."""
        self._context.journal.record_event(
            "refused",
            f"{proposal.proposer}: “{proposal.title}” rejected unseen: {problem}",
            proposal.parents[0],
            {"title": proposal.title, "category": proposal.category, "reason": problem},
        )
        self._context.journal.dismiss_answers(proposal.calls, problem)

    async def _enrol(self, proposal: Proposal, digest: str) -> bool:
        """Put it into the queue; while git cannot take it, a child that was paid for is kept and tried again."""
        context = self._context
        pause = FIRST_PAUSE
        while not context.stopping:
            # Asked at the last moment, with no wait between this and the commit: the two loops that make children
            # draw the same numbers, so both may come with the same child.
            if twin := self._twin(digest):
                self._refuse(proposal, twin[0])
                return False
            try:
                enrol(context, proposal, digest)
            except GitFault as error:
                say_once(context, f"“{proposal.title}” waits, because git cannot take it: {error}")
                context.proposer_doing = f"waits for git: {error}"
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                look(context, now=True)
            else:
                return True
        return False


def _examined(source: str, parents: list[str]) -> tuple[list[str], str]:
    """What the vetting says, and the hash of the code when that is nothing. Some tens of milliseconds."""
    problems = [str(problem) for problem in vet(source, parents)]
    return problems, code_hash(source) if not problems else ""


def enrol(context: Context, proposal: Proposal, digest: str) -> int:
    """Commit a vetted proposal and put it into the queue; returns the candidate's number."""
    journal, lineage = context.journal, context.lineage
    number = journal.next_candidate_id()
    parents = [journal.candidate(p).commit for p in proposal.parents]
    island, form = island_of_child(context, proposal.parents), loss_form(proposal.source)
    reached("nursery.before-commit")
    commit = lineage.commit(
        number,
        proposal.source,
        parents,
        title=proposal.title,
        body=proposal.hypothesis,
        trailers=trailers(journal.run().name, number, proposal),
    )
    # The ref comes first: a commit of the journal always has one, so no `git gc --prune=now` can take it.
    reached("nursery.before-publish")
    lineage.publish(number, commit)
    reached("nursery.before-journal")
    journal.add_candidate(
        number, proposal, commit=commit, code_hash=digest, island=island, loss_form=form
    )
    reached("nursery.after-journal")
    context.wake()
    return number


def candidates_left(context: Context) -> int:
    """How many more children the stop rule lets be trained; a large number without one."""
    limit = context.settings.stop.candidates
    if not limit:
        return 1_000_000
    return max(0, limit - context.journal.screened())
