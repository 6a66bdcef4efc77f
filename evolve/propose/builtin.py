"""The proposer that needs no key: knobs, known code patterns and crossover, guided by the history.

It keeps the slot busy when no language model can answer. Everything it knows is in the brief; it touches no
git, no journal and no device, and the same brief gives the same child.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from evolve.model import Operator
from evolve.propose.knobs import Turn, apply_turns, category_of, turn
from evolve.propose.lessons import Lessons, learn
from evolve.propose.operators import Brief, Proposal, ProposalFailed
from evolve.propose.patterns import choose_patterns
from evolve.propose.presets import Setting, read_budget
from evolve.propose.reasons import reason
from evolve.propose.recombine import recombine
from evolve.propose.vetting import code_hash, vet

ATTEMPTS = 40  # drafts for one brief before it counts as exhausted
TITLE = 72  # characters
PATTERN_SHARE = 0.65  # of mutations; the others turn several knobs at once
TWO_KNOBS = 0.2  # share of tunings that turn two


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


def _propose(brief: Brief) -> Proposal:
    if brief.operator not in BuiltinProposer().operators():
        raise ProposalFailed(f"the built-in proposer cannot {brief.operator}")
    rng = random.Random(brief.seed)  # noqa: S311 - a search, not a secret
    lessons = learn(brief.history, brief.sigma)
    parents = tuple(parent.source for parent in brief.parents)
    known = brief.known_hashes | {code_hash(source) for source in parents}
    for attempt in range(ATTEMPTS):
        draft = _draft(brief, lessons, rng, attempt)
        if draft is None or code_hash(draft.source) in known or vet(draft.source, parents):
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


def _draft(brief: Brief, lessons: Lessons, rng: random.Random, attempt: int) -> _Draft | None:
    if brief.operator is Operator.CROSSOVER:
        return _crossover(brief, lessons, rng, spiced=attempt >= ATTEMPTS // 2)
    if brief.operator is Operator.MUTATE and rng.random() < PATTERN_SHARE:
        return _pattern(brief, lessons, rng)
    count = rng.choice((2, 3)) if brief.operator is Operator.MUTATE else 1
    count += rng.random() < TWO_KNOBS
    return _turned(brief.parents[0].source, lessons, rng, count, read_budget(brief.budget))


def _turned(
    source: str, lessons: Lessons, rng: random.Random, count: int, setting: Setting
) -> _Draft | None:
    turns = turn(source, rng, lessons, count, setting)
    child = apply_turns(source, turns) if turns else None
    if child is None:
        return None
    return _Draft(
        source=child,
        title=", ".join(map(str, turns)),
        hypothesis=" ".join(_why(t, lessons) for t in turns),
        category=category_of(turns),
        changes=tuple(map(str, turns)),
    )


def _why(turned: Turn, lessons: Lessons) -> str:
    """The reason of one turn in words, the history's part in it included."""
    knob = turned.knob
    words = f"{knob.name} {knob.text} -> {turned.text}: {reason(knob.kind, knob.text, turned.text)}"
    last = lessons.helped(knob.name)
    if last is not None:
        words += f" The step {last.old} -> {last.new} helped before."
    return words


def _pattern(brief: Brief, lessons: Lessons, rng: random.Random) -> _Draft | None:
    """The first pattern that fits, in an order by chance, promise and history."""
    source = brief.parents[0].source
    for pattern in choose_patterns(rng, lessons):
        child = pattern.apply(source)
        if child is not None and code_hash(child) not in brief.known_hashes:
            return _Draft(
                child, pattern.title, pattern.hypothesis, pattern.category, (pattern.title,)
            )
    return None


def _crossover(
    brief: Brief, lessons: Lessons, rng: random.Random, *, spiced: bool
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
    extra = _turned(mix.source, lessons, rng, 1, read_budget(brief.budget))
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
