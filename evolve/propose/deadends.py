"""Directions that were tried at least twice near a brief and never gained: one line each, so that nobody goes there again.

Pure. A direction is a constant moved one way, a named change, or a word that titles of failed ideas share. It answers
what peers lack: a proposer that sees only the best programs proposes the rejected ones again (karpathy/autoresearch #110,
#590: 42 of 43 proposals were one idea).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evolve.kinship import reached
from evolve.propose.history import gained, outcome_of, signed
from evolve.propose.lessons import direction_of, parse_change
from evolve.propose.operators import Attempt, Brief
from evolve.propose.quoting import inline

TRIES = 2  # without a gain, after which a direction counts as a dead end
SHOWN = 12  # directions at most
TANGLED = 2  # an attempt that changes more than this many things says little about each of them
NAMED = 4  # attempts named in a line

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_²-]{2,}")
# Words of titles that name no direction.
_COMMON = """
add adds all and attention before after batch between bigger block both budget change child code constant decay
decrease depth each early embedding every faster first for fewer fine from gate half head heads high higher idea increase
init initial instead into keep larger last late layer layers learning less let line loss low lower main make mean memory
mlp model more move muon new norm normalise not one only optimizer out output over parameter parameters per raise rate
rates reduce remove replace residual run same scale schedule second set sharper shorter simpler size slightly slower small
smaller start state step steps stronger switch term than that the their them third this through time token tokens train
training try tune turn two under use using value values warm weight weights wider width with without
"""
_TELL_NOTHING = frozenset(_COMMON.split())


@dataclass(frozen=True, slots=True)
class DeadEnd:
    """A direction and the attempts that took it, oldest first; none since its last gain has gained."""

    direction: str
    attempts: tuple[Attempt, ...]

    def __str__(self) -> str:
        """`MATRIX_LR up: 3 times without a gain (#12, #15, #20), at best +0.00120; once out of memory`."""
        some = ", ".join(f"#{a.id}" for a in self.attempts[-NAMED:])
        more = "…, " if len(self.attempts) > NAMED else ""
        text = f"{self.direction}: {len(self.attempts)} times without a gain ({more}{some})"
        measured = [a.delta_bpb for a in self.attempts if a.delta_bpb is not None]
        failed = [outcome_of(a) for a in self.attempts if a.delta_bpb is None]
        text += f", at best {signed(min(measured))}" if measured else ""
        counted = [f"{failed.count(w)} × {w}" for w in dict.fromkeys(failed)]
        return text + (f"; {', '.join(counted)}" if counted else "")


def dead_ends(brief: Brief, category: str = "") -> tuple[DeadEnd, ...]:
    """The dead ends of the parents' lineage and of `category`, those with the most attempts first."""
    line = lineage(brief)
    near = [a for a in brief.history if line & set(a.parents) or a.category == category]
    return dead_among(near, brief.sigma)


def dead_among(attempts: Sequence[Attempt], sigma: float | None) -> tuple[DeadEnd, ...]:
    """The dead ends of these attempts, which are oldest first."""
    groups = [*_changes(attempts), *_shared_words(attempts, sigma)]
    found = [DeadEnd(name, lost) for name, group in groups if (lost := _since_gain(group, sigma))]
    dead = [end for end in found if len(end.attempts) >= TRIES]
    return tuple(sorted(dead, key=lambda end: -len(end.attempts))[:SHOWN])


def lineage(brief: Brief) -> set[int]:
    """The parents and what they descend from, as far back as the history goes."""
    parents = {a.id: a.parents for a in brief.history}
    return reached((parent.id for parent in brief.parents), parents)


# ---- private ---------------------------------------------------------------------------------------------


def _since_gain(attempts: Sequence[Attempt], sigma: float | None) -> tuple[Attempt, ...]:
    """Those behind the last gain."""
    last = max((n for n, a in enumerate(attempts) if gained(a, sigma)), default=-1)
    return tuple(attempts[last + 1 :])


def _changes(attempts: Iterable[Attempt]) -> list[tuple[str, list[Attempt]]]:
    """Attempts by what they changed: a constant and its direction, or a named change."""
    groups: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        if len(attempt.changes) > TANGLED:
            continue
        for change in attempt.changes:
            name, old, new = parse_change(change)
            way = {1: " up", -1: " down", 0: f" to {new}"}[direction_of(old, new)] if name else ""
            groups.setdefault(inline(f"{name or change}{way}", 60), []).append(attempt)
    return list(groups.items())


def _shared_words(
    attempts: Sequence[Attempt], sigma: float | None
) -> list[tuple[str, list[Attempt]]]:
    """Attempts whose titles share a telling word, the largest groups first; each attempt in one group at most."""
    ideas = [a for a in attempts if not any(parse_change(c)[0] for c in a.changes)]
    by_word: dict[str, list[Attempt]] = {}
    for idea in ideas:
        for word in sorted({w.lower() for w in _WORD.findall(idea.title[:200])} - _TELL_NOTHING):
            by_word.setdefault(word, []).append(idea)
    groups, covered = [], set[int]()
    for word, group in sorted(by_word.items(), key=lambda item: (-len(item[1]), item[0])):
        fresh = [a for a in group if a.id not in covered]
        if len(fresh) >= TRIES and not any(gained(a, sigma) for a in fresh):
            covered |= {a.id for a in fresh}
            groups.append((f"ideas about {inline(word, 30)}", fresh))
    return groups
