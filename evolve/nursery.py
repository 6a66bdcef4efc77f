"""The proposer loop: keeps a small buffer of vetted, novel, committed children ready for the slot.

It runs beside the slot and never makes it wait: when the language model is slow, absent, refusing or out of
budget, the built-in proposer fills the buffer. It never trains anything and never moves main.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.briefs import ancestors, brief
from evolve.model import Candidate, Operator
from evolve.population import choose_parents
from evolve.propose.operators import (
    Proposal,
    ProposalFailed,
    Proposer,
    ProposerUnavailable,
)
from evolve.propose.vetting import code_hash, vet
from evolve.standing import members

if TYPE_CHECKING:
    from evolve.context import Context

ATTEMPTS = 8  # briefs tried for one child before the loop waits for something to change
PAIRS = 16  # draws for two parents that are not of one line
REPAIRS = 2  # tries to mend one crashed candidate


@dataclass(frozen=True, slots=True)
class _Rest:
    """A proposer that cannot answer: until when, and why."""

    until: float  # unix seconds; infinity = until a person acts
    reason: str


class Nursery:
    """Makes ready children."""

    def __init__(self, context: Context, builtin: Proposer, model: Proposer | None) -> None:
        """`model` is the language model's proposer, or None without a key."""
        self._context = context
        self._builtin = builtin
        self._model = model
        self._rest: _Rest | None = None
        self._emergency = asyncio.Lock()

    def replace_model(self, model: Proposer | None) -> None:
        """Use another model from the next proposal on, and forget why the last one rested."""
        self._model, self._rest = model, None

    async def run(self) -> None:
        """Fill the buffer until the run stops."""
        context = self._context
        while not context.stopping:
            context.children_wanted.clear()
            if self._wanted() and not await self._make(self._proposer()):
                # Nothing new to be had from what is known: a finished training changes that.
                context.proposer_doing = "out of new ideas until another result comes in"
            elif self._wanted():
                continue
            else:
                context.proposer_doing = "buffer full" if not context.paused else "paused"
            await context.children_wanted.wait()

    async def urgent(self) -> bool:
        """The slot has nothing to train: make one child now, without a language model."""
        async with self._emergency:
            if self._context.journal.queue():
                return True
            return self._wanted() and await self._make(self._builtin)

    def _wanted(self) -> bool:
        context = self._context
        if context.paused or context.stopping or not members(context):
            return False
        left = candidates_left(context)
        ready = len(context.journal.queue())
        return ready < min(context.settings.population.buffer, left)

    def _proposer(self) -> Proposer:
        if self._model is None:
            return self._builtin
        if self._rest is not None and time.time() < self._rest.until:
            return self._builtin
        self._rest = None
        return self._model

    async def _make(self, proposer: Proposer) -> bool:
        """Make one child; False when nothing came of several briefs."""
        context = self._context
        for attempt in range(ATTEMPTS):
            if context.stopping:
                return False
            number = context.journal.next_candidate_id()
            rng = random.Random(f"{context.journal.run().name}:{number}:{attempt}")  # noqa: S311
            operator, parents = self._choose(rng, proposer)
            context.proposer_doing = f"{proposer.name}: {operator} of " + " × ".join(
                f"#{p}" for p in parents
            )
            try:
                proposal = await proposer.propose(
                    brief(context, operator, parents, rng.getrandbits(32))
                )
            except ProposalFailed as error:
                context.journal.record_event(
                    "proposal", f"{proposer.name} found no child ({operator}): {error}"
                )
                continue
            except ProposerUnavailable as error:
                self._rest_until(error)
                proposer = self._builtin
                continue
            if self._adopt(proposal):
                return True
        return False

    def _rest_until(self, error: ProposerUnavailable) -> None:
        until = float("inf") if error.retry_after is None else time.time() + error.retry_after
        self._rest = _Rest(until, error.reason)
        again = "" if error.retry_after is None else f" Asked again in {error.retry_after:.0f} s."
        self._context.journal.record_event(
            "llm", f"{error.reason} The built-in proposer goes on.{again}"
        )

    def _choose(self, rng: random.Random, proposer: Proposer) -> tuple[Operator, tuple[int, ...]]:
        """The operator that lags most behind its weight, with parents for it."""
        context = self._context
        able = proposer.operators()
        crashed = self._to_repair() if Operator.REPAIR in able else None
        if crashed is not None:
            return Operator.REPAIR, (crashed.id,)
        everybody = context.journal.candidates()
        weights = context.settings.operators.model_dump()
        made = {name: sum(c.operator == name for c in everybody) for name in weights}
        total = sum(made.values()) + 1
        lag = {
            Operator(name): weight * total / (sum(weights.values()) or 1) - made[name]
            for name, weight in weights.items()
            if weight > 0 and Operator(name) in able
        }
        living = members(context)
        family = {c.id: c for c in everybody}
        for operator in sorted(lag, key=lambda o: lag[o] + rng.random() * 0.5, reverse=True):
            for _ in range(PAIRS if operator is Operator.CROSSOVER else 1):
                parents = choose_parents(living, rng, operator)
                if operator is not Operator.CROSSOVER or _unrelated(family, parents):
                    return operator, parents
        return Operator.TUNE, choose_parents(living, rng, Operator.TUNE)

    def _to_repair(self) -> Candidate | None:
        """The latest crashed candidate that has not been given up."""
        everybody = self._context.journal.candidates()
        for candidate in reversed(everybody[-20:]):
            if candidate.outcome is None or candidate.outcome.value not in {"crash", "oom", "nan"}:
                continue
            if candidate.operator is Operator.REPAIR or candidate.verdict is None:
                continue
            tries = sum(
                c.operator is Operator.REPAIR and candidate.id in c.parents for c in everybody
            )
            mended = any(
                c.operator is Operator.REPAIR and candidate.id in c.parents and c.scores
                for c in everybody
            )
            if tries < REPAIRS and not mended:
                return candidate
        return None

    def _adopt(self, proposal: Proposal) -> bool:
        """Vet, commit, journal, publish. False when the vetting found a fault."""
        context = self._context
        parents = [
            context.lineage.source(context.journal.candidate(p).commit) for p in proposal.parents
        ]
        problems = [str(problem) for problem in vet(proposal.source, parents)]
        digest = code_hash(proposal.source) if not problems else ""
        known = {c.code_hash: c for c in context.journal.candidates()}
        if digest and digest in known:
            problems = [f"it is the same code as #{known[digest].id}"]
        if problems:
            context.journal.record_event(
                "proposal",
                f"{proposal.proposer}: “{proposal.title}” rejected unseen: {problems[0]}",
            )
            return False
        enrol(context, proposal, digest)
        return True


def _unrelated(family: dict[int, Candidate], parents: tuple[int, ...]) -> bool:
    """Two parents of which neither descends from the other: only they have something to exchange."""
    if len(parents) < 2:
        return False
    first, second = parents
    return first not in ancestors(family, second) and second not in ancestors(family, first)


def enrol(context: Context, proposal: Proposal, digest: str) -> int:
    """Commit a vetted proposal and put it into the queue; returns the candidate's number."""
    journal, lineage = context.journal, context.lineage
    number = journal.next_candidate_id()
    parents = [journal.candidate(p).commit for p in proposal.parents]
    commit = lineage.commit(
        number,
        proposal.source,
        parents,
        title=proposal.title,
        body=proposal.hypothesis,
        trailers={
            "Candidate": f"#{number}",
            "Run": journal.run().name,
            "Operator": str(proposal.operator),
            "Proposer": proposal.proposer,
            "Category": proposal.category,
        },
    )
    candidate = journal.add_candidate(number, proposal, commit=commit, code_hash=digest)
    lineage.publish(candidate, commit)
    context.wake()
    return candidate


def candidates_left(context: Context) -> int:
    """How many more children the stop rule lets be trained; a large number without one."""
    limit = context.settings.stop.candidates
    if not limit:
        return 1_000_000
    return max(0, limit - context.journal.tally().screened)
