"""What a handful of searches a method says: medians with exact intervals, exact rank tests, one table.

Pure. Nothing here assumes a normal distribution: with five to ten searches a method there is nothing to check it by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median


def interval(values: Sequence[float], wanted: float = 0.95) -> tuple[float, float, float]:
    """(low, high, coverage) of the median by order statistics: the narrowest that covers `wanted`, else all there is.

    Distribution-free (David and Nagaraja, Order Statistics, 7.1): P(the k-th smallest < median < the k-th largest) is
    a binomial sum.
    """
    ranked, n = sorted(values), len(values)
    best = (ranked[0], ranked[-1], 1 - 2 * 0.5**n)
    for k in range(1, n // 2 + 1):
        coverage = 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n
        if coverage < wanted:
            break
        best = (ranked[k - 1], ranked[n - k], coverage)
    return best


def p_lower(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """One-sided exact p of the Mann-Whitney test for `ours` being lower, ties counted half.

    All ways to deal the values into two groups are equally likely without a difference. Up to about ten a side.
    """
    together = [*ours, *theirs]
    seen = _wins(ours, theirs)
    at_least = total = 0
    for chosen in combinations(range(len(together)), len(ours)):
        picked = set(chosen)
        a = [together[i] for i in chosen]
        b = [value for i, value in enumerate(together) if i not in picked]
        total += 1
        at_least += _wins(a, b) >= seen
    return at_least / total


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction for several comparisons at once."""
    adjusted: dict[str, float] = {}
    worst = 0.0
    for rank, name in enumerate(sorted(ps, key=lambda n: ps[n])):
        worst = max(worst, min(1.0, (len(ps) - rank) * ps[name]))
        adjusted[name] = worst
    return adjusted


def table(
    scores: Mapping[str, Sequence[float]], claims: Mapping[str, Sequence[float]], ours: str
) -> str:
    """Markdown: a row a method with the median of its confirmed scores, and whether `ours` is ahead of it."""
    rivals = {name: p_lower(scores[ours], found) for name, found in scores.items() if name != ours}
    corrected = holm(rivals)
    rows = [
        "| search | n | confirmed score, median | interval of the median | claimed by the search itself | "
        f"p ({ours} is lower) | p, Holm |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in scores.items():
        low, high, coverage = interval(found)
        against = f"{rivals[name]:.4f} | {corrected[name]:.4f}" if name in rivals else "| "
        rows.append(
            f"| {name} | {len(found)} | {median(found):.4f} | {low:.4f} to {high:.4f} ({coverage:.0%}) | "
            f"{median(claims[name]):.4f} | {against} |"
        )
    return "\n".join(rows)


def _wins(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return sum((a < b) + 0.5 * (a == b) for a in ours for b in theirs)
