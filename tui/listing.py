"""The lists of the commands as aligned text: candidates, kinds of ideas, operators. Values in, strings out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from evolve.model import Verdict
from tui.figures import belief_head, believed, percent, sigmas
from tui.plain import one_line, table, verdict_word

if TYPE_CHECKING:
    from evolve.bandit import Share
    from evolve.beliefs import Belief
    from evolve.model import Candidate
    from evolve.trends import Trend

KEPT = (Verdict.BASELINE, Verdict.PROMOTED, Verdict.KEPT)

Beliefs = Mapping[int, "Belief"]
SORT_KEYS: dict[str, Callable[[Candidate, Beliefs], tuple[float | str, ...]]] = {
    "id": lambda c, _: (c.id,),
    "bpb": lambda c, _: (math.inf if c.mean is None else c.mean, c.id),
    "corrected": lambda c, beliefs: (beliefs[c.id].mean if c.id in beliefs else math.inf, c.id),
    "generation": lambda c, _: (c.generation, c.id),
    "children": lambda c, _: (-c.children, c.id),
    "operator": lambda c, _: (str(c.operator), c.id),
    "category": lambda c, _: (c.category, c.id),
    "verdict": lambda c, _: (verdict_word(c), c.id),
    "lines": lambda c, _: (c.lines, c.id),
}


def select(
    candidates: Iterable[Candidate],
    beliefs: Beliefs,
    *,
    kept_only: bool,
    category: str | None,
    sort: str,
) -> list[Candidate]:
    """The candidates that a person asked for, in the order asked for (a key of SORT_KEYS)."""
    chosen = [
        candidate
        for candidate in candidates
        if (not kept_only or candidate.verdict in KEPT)
        and (category is None or candidate.category == category)
    ]
    return sorted(chosen, key=lambda candidate: SORT_KEYS[sort](candidate, beliefs))


def results(
    candidates: Sequence[Candidate],
    beliefs: Beliefs,
    incumbent: int | None,
    *,
    composite: bool = False,
) -> str:
    """An aligned table with one line a candidate; `*` marks the incumbent, `alive` the population.

    `composite`: selection goes by more than val_bpb.
    """
    rows = [
        (
            f"{'*' if candidate.id == incumbent else ' '}{candidate.label}",
            *believed(candidate, beliefs.get(candidate.id), composite=composite),
            verdict_word(candidate),
            "alive" if candidate.alive else "",
            str(candidate.operator),
            "x".join(f"#{parent}" for parent in candidate.parents) or "-",
            one_line(candidate.category),
            candidate.commit[:7],
            one_line(candidate.title, 60),
        )
        for candidate in candidates
    ]
    head = ("id", *belief_head(composite=composite), "verdict", "", "operator", "parents", "category", "commit", "title")  # fmt: skip
    return table((head, *rows), right=frozenset(range(1, 6 if composite else 5)))


def trends(found: Sequence[Trend], by: str) -> str:
    """An aligned table with one line a kind of child, the most tried first; needs at least one."""
    head = (by, "tried", "kept", "promoted", "failed", "success", "gain", "best", "waiting", "last")
    rows = [
        (
            one_line(t.key, 40),
            *(str(number) for number in (t.attempts, t.kept, t.promoted, t.failed)),
            percent(t.success),
            sigmas(t.gain),
            sigmas(t.best),
            str(t.pending),
            t.latest,
        )
        for t in found
    ]
    return table((head, *rows), right=frozenset(range(1, 9)))


def shares(found: Sequence[Share]) -> str:
    """An aligned table with one line an operator and proposer, the largest share first; needs at least one."""
    head = ("operator", "by", "share", "weight", "tried", "gained", "cost", "rate")
    rows = [
        (
            share.arm.operator,
            one_line(share.arm.proposer, 40),
            percent(share.share),
            percent(share.weight),
            str(share.pulls),
            f"{share.gain:.1f}",
            f"{share.cost:.1f}",
            f"{share.rate:.2f}",
        )
        for share in found
    ]
    return table((head, *rows), right=frozenset(range(2, 8)))
