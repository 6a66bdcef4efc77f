"""Several populations beside each other: where a child lives, who meets whom, and when the weaker half begins anew.

Pure. Islands keep a search from putting all its eggs into the first basket that looks good (FunSearch, Romera-Paredes
et al. 2023: the weaker half is reset from survivors of the stronger one; OpenEvolve and ShinkaEvolve have them too).
With one island nothing here changes anything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evolve.model import Operator
from evolve.population import Member

MIGRATION = 0.1  # share of the crossovers whose parents may come from different islands
ALONE = 2  # living members below which an island's founder still has children there


def with_founders(
    members: Sequence[Member], islands: int, founders: Mapping[int, Member]
) -> tuple[Member, ...]:
    """The living, each on its island, and the founder of every island that is still nearly empty, as a guest.

    `founders`: island to its founder. A guest has children on the island and takes no place there.
    """
    settled = tuple(replace(m, island=m.island % islands) for m in members)
    if islands == 1:
        return settled
    guests = [
        replace(founders[island], island=island, guest=True, children=0)
        for island in range(islands)
        if sum(m.island == island for m in settled) < ALONE
        and not any(m.island == island and m.id == founders[island].id for m in settled)
    ]
    return (*settled, *guests)


def on_one_island(
    members: Sequence[Member], rng: random.Random, operator: Operator
) -> list[Member]:
    """Those among whom the next child's parents are: one island's, any as likely as another.

    A crossover now and then looks everywhere.
    """
    islands = sorted({member.island for member in members})
    if len(islands) < 2 or (operator is Operator.CROSSOVER and rng.random() < MIGRATION):
        return [member for member in members if not member.guest]
    chosen = rng.choice(islands)
    return [member for member in members if member.island == chosen]


def home(parent: int, members: Sequence[Member], crowd: Mapping[int, int], own: int) -> int:
    """The island of a child: its first parent's own, or the emptiest of those where the parent is a guest.

    `crowd`: island to those that live or are to be trained there; `own`: the parent's island.
    """
    choices = {own, *(m.island for m in members if m.id == parent)}
    return min(choices, key=lambda island: (crowd.get(island, 0), island != own, island))


def due(children: int, since_promotion: int, since_reset: int, reset_after: int) -> bool:
    """Has nothing been gained anywhere for so many children, nor the weaker half reset? `reset_after` 0: never."""
    return 0 < reset_after <= min(children, since_promotion, since_reset)


def reset(members: Sequence[Member], islands: int, rng: random.Random) -> dict[int, int]:
    """Each island of the weaker half, with the id of its new founder: the best of an island of the stronger half.

    An island is as strong as its best member. Empty with one island, and while nobody lives on a stronger one.
    """
    best: dict[int, Member] = {}
    for member in sorted(members, key=lambda m: (m.posterior.mean, m.id)):
        if not member.guest:
            best.setdefault(member.island, member)
    ranked = sorted(best, key=lambda island: best[island].posterior.mean)
    ranked += [island for island in range(islands) if island not in best]
    strong = [island for island in ranked[: islands - islands // 2] if island in best]
    weak = ranked[len(ranked) - islands // 2 :]
    return {island: best[rng.choice(strong)].id for island in weak} if strong else {}
