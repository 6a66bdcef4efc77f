"""The proposer that needs no key: knobs, known code patterns and crossover, guided by the history.

It keeps the slot busy when no language model can answer. Everything it knows is in the brief; it touches no
git, no journal and no device, and the same brief gives the same child.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass

from evolve.model import Operator
from evolve.propose.knobs import category_of
from evolve.propose.lessons import Lessons, learn
from evolve.propose.novelty import novel
from evolve.propose.operators import Brief, Proposal, ProposalFailed
from evolve.propose.patterns import choose_patterns
from evolve.propose.presets import read_budget
from evolve.propose.recombine import recombine
from evolve.propose.surface import Surface
from evolve.propose.tuning import TPE_SHARE, Tuned, suggestions, tuned
from evolve.propose.vetting import code_hash, vet

ATTEMPTS = 40  # drafts for one brief before it counts as exhausted
TITLE = 72  # characters
PATTERN_SHARE = 0.65  # of mutations; the others turn several knobs at once
CAREFUL = (1, 1, 2)  # knobs that a tuning turns by the rules
BOLD = (2, 3, 4)  # that a mutation does


@dataclass(frozen=True, slots=True)
class _Draft:
    """A child before it is vetted."""

    source: str
    title: str
    hypothesis: str
    category: str
    changes: tuple[str, ...]


class BuiltinProposer:
    """Implements `operators.Proposer` for tune, mutate and crossover."""

    name = "builtin"

    def operators(self) -> frozenset[Operator]:
        """Tune, mutate and crossover; rewriting and repairing take a language model."""
        return frozenset({Operator.TUNE, Operator.MUTATE, Operator.CROSSOVER})

    async def propose(self, brief: Brief) -> Proposal:
        """Make one child within some tens of milliseconds. Raises ProposalFailed when nothing new is left."""
        return await asyncio.to_thread(_propose, brief)


@dataclass(frozen=True, slots=True)
class _Learned:
    """What the history teaches."""

    lessons: Lessons
    surface: Surface


def _propose(brief: Brief) -> Proposal:
    if brief.operator not in BuiltinProposer().operators():
        raise ProposalFailed(f"the built-in proposer cannot {brief.operator}")
    rng = random.Random(brief.seed)  # noqa: S311 - a search, not a secret
    learned = _Learned(learn(brief.history, brief.sigma), Surface(brief.history, brief.sigma))
    parents = tuple(parent.source for parent in brief.parents)
    own = {code_hash(source) for source in parents}
    for draft in _drafts(brief, learned, rng):
        if draft is None or vet(draft.source, parents):
            continue
        if (digest := code_hash(draft.source)) in own or digest in brief.known_hashes:
            continue
        if novel(draft.source, parents, brief.precedents):
            continue
        return Proposal(
            source=draft.source,
            operator=brief.operator,
            proposer=BuiltinProposer.name,
            parents=tuple(parent.id for parent in brief.parents),
            title=_cut(draft.title),
            hypothesis=draft.hypothesis,
            category=draft.category,
            changes=draft.changes,
        )
    raise ProposalFailed(f"no new child by {brief.operator} in {ATTEMPTS} drafts")


def _drafts(brief: Brief, learned: _Learned, rng: random.Random) -> Iterator[_Draft | None]:
    """Drafts to choose from, the best idea first; None for a try that led to nothing.

    The direction of a plateau comes first, and gives way when it holds nothing new.
    """
    asked = bool(brief.direction)
    if brief.operator is Operator.TUNE and not asked and rng.random() < TPE_SHARE:
        for found in suggestions(brief, rng, read_budget(brief.budget)):
            yield _as_draft(found)
    for attempt in range(ATTEMPTS):
        direction = brief.direction if attempt < ATTEMPTS // 2 else ""
        if brief.operator is Operator.CROSSOVER:
            yield _crossover(brief, learned, rng, spiced=attempt >= ATTEMPTS // 2)
        elif brief.operator is Operator.MUTATE and rng.random() < PATTERN_SHARE:
            yield _pattern(brief, learned.lessons, rng, direction)
        else:
            counts = BOLD if brief.operator is Operator.MUTATE else CAREFUL
            source = brief.parents[0].source
            yield _turned(brief, source, learned, rng, rng.choice(counts), direction)


def _turned(
    brief: Brief,
    source: str,
    learned: _Learned,
    rng: random.Random,
    count: int,
    direction: str = "",
) -> _Draft | None:
    setting = read_budget(brief.budget)
    found = tuned(source, learned.lessons, learned.surface, rng, count, setting, direction)
    return None if found is None else _as_draft(found)


def _as_draft(found: Tuned) -> _Draft:
    changes = tuple(map(str, found.turns))
    return _Draft(found.source, ", ".join(changes), found.why, category_of(found.turns), changes)


def _pattern(brief: Brief, lessons: Lessons, rng: random.Random, direction: str) -> _Draft | None:
    """The first pattern that fits, in an order by chance, promise and history."""
    source = brief.parents[0].source
    for pattern in choose_patterns(rng, lessons):
        if direction not in {"", pattern.category}:
            continue
        child = pattern.apply(source)
        if child is not None and code_hash(child) not in brief.known_hashes:
            return _Draft(
                child, pattern.title, pattern.hypothesis, pattern.category, (pattern.title,)
            )
    return None


def _crossover(
    brief: Brief, learned: _Learned, rng: random.Random, *, spiced: bool
) -> _Draft | None:
    """A mix of two parents; when plain mixes are all known, one knob is turned besides (`spiced`)."""
    if len(brief.parents) < 2:
        raise ProposalFailed("a crossover needs two parents")
    first, second = brief.parents[0], brief.parents[1]
    base = brief.ancestor.source if brief.ancestor else None
    labels = (f"#{first.id}", f"#{second.id}")
    mix = recombine(first.source, second.source, base, rng, labels)
    if mix is None:
        return None
    names = ", ".join(change.partition(":")[0] for change in mix.changes)
    draft = _Draft(
        source=mix.source,
        title=f"#{first.id} × #{second.id}: {names}",
        hypothesis=f"What #{second.id} changed ({names}) may add to what #{first.id} gained.",
        category="other",
        changes=mix.changes,
    )
    if not spiced:
        return draft
    extra = _turned(brief, mix.source, learned, rng, 1)
    if extra is None:
        return None
    return _Draft(
        source=extra.source,
        title=f"{draft.title}; {extra.title}",
        hypothesis=f"{draft.hypothesis} {extra.hypothesis}",
        category=draft.category,
        changes=(*draft.changes, *extra.changes),
    )


def _cut(title: str) -> str:
    return title if len(title) <= TITLE else title[: TITLE - 1].rstrip(" ,;") + "…"
