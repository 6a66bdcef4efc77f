"""How the living stand: turns journal rows into the snapshots that the pure policies decide on.

Everything here goes by fitness, which is val_bpb unless [metric] says more.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evolve.evidence import BASIS
from evolve.field import EXACT
from evolve.islands import home, with_founders
from evolve.model import CandidateState
from evolve.population import Member
from evolve.propose.vetting import normalise
from evolve.rows import as_json

if TYPE_CHECKING:
    from evolve.context import Context
    from evolve.model import Candidate

BASELINE = 1  # the seed is candidate #1


def members(context: Context) -> tuple[Member, ...]:
    """The living population as the policies see it, with the founders of islands that are still nearly empty.

    Nobody before the baseline is measured.
    """
    journal, believed = context.journal, context.believed()
    scored, everybody = believed.field(), len(believed.roster)
    alive = [c for c in journal.living() if c.id in scored]
    count = context.settings.population.islands
    founders = founded(context).founders if count > 1 and alive else {}
    chosen = {island: founders.get(island, BASELINE) for island in range(count)}
    tuned = journal.tunings([*(c.id for c in alive), *chosen.values()])

    def member(c: Candidate) -> Member:
        return Member(
            id=c.id,
            posterior=believed.posterior(c.id),
            parents=c.parents,
            children=c.children,
            category=c.category,
            changes=c.changes,
            code=normalise(context.lineage.source(c.commit)),
            age=everybody - c.id,
            tuned=tuned.get(c.id, (0, 0))[0],
            tuning=tuned.get(c.id, (0, 0))[1],
            island=c.island,
            pinned=c.pinned,
            banned=c.banned,
        )

    living = [member(c) for c in alive]
    if count == 1 or not living:
        return with_founders(living, 1, {})
    # A founder whose score was voided since founds nothing.
    chosen = {island: n if n in scored else living[0].id for island, n in chosen.items()}
    return with_founders(
        living, count, {island: member(journal.candidate(n)) for island, n in chosen.items()}
    )


@dataclass(frozen=True, slots=True)
class Founded:
    """How the islands of a run came to be what they are."""

    founders: dict[int, int] = field(default_factory=dict)  # island to candidate; else the baseline
    settled: int = 0  # children with a verdict at the last reset

    def as_text(self) -> str:
        """For the journal."""
        return as_json({"founders": self.founders, "settled": self.settled})


def founded(context: Context) -> Founded:
    """The founders of the run's islands."""
    stored = context.journal.meta(founders_key(context))
    if not stored:
        return Founded()
    known = json.loads(stored)
    return Founded({int(k): v for k, v in known["founders"].items()}, known["settled"])


def founders_key(context: Context) -> str:
    """Where the journal keeps them."""
    return f"islands of {context.journal.run().name}"


def island_of_child(context: Context, parents: Sequence[int]) -> int:
    """Where a child of these parents is to live."""
    count = context.settings.population.islands
    if count == 1 or not parents:
        return 0
    journal = context.journal
    waiting = (CandidateState.READY, CandidateState.TRAINING, CandidateState.CONTENDER)
    there = {c.id: c.island for c in journal.living()}
    there |= {c.id: c.island for state in waiting for c in journal.candidates_in(state)}
    crowd = Counter(island % count for island in there.values())
    own = journal.candidate(parents[0]).island % count
    return home(parents[0], members(context), crowd, own)


def refresh_noise(context: Context) -> None:
    """Read the run's noise off the repeats of every candidate, and write it down when it changed.

    What else a long run's beliefs rest on is told, too, for its clients and the next engine.
    """
    journal, believed = context.journal, context.believed()
    if believed.noise != context.noise:
        context.noise = believed.noise
        journal.set_sigma(context.noise.sigma if context.noise.n else None)
    if believed.basis and believed.basis.scores > EXACT:
        key, text = BASIS.format(journal.run().name), believed.basis.as_text()
        if journal.meta(key) != text:
            journal.set_meta(key, text)


def score_for(context: Context, candidate: Candidate, mean: float) -> float:
    """The fitness in one training, its first, that would give an unmeasured candidate this posterior mean."""
    return context.believed().score_for(candidate.id, mean)
