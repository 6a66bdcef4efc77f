"""What each kind of idea has come to: attempts, successes and gains by category, operator, model or prompt. Pure.

Counted on candidates and on what is believed of them, so a lucky score is no gain. It reads nothing and decides nothing;
it is what a person, or whoever writes the next proposal, looks at before trying the same kind again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Protocol

from evolve.model import Operator, Verdict
from harness.spec import Outcome

LATEST = 10  # attempts that `Trend.latest` tells of
LETTERS = {
    Verdict.PROMOTED: "P",
    Verdict.KEPT: "k",
    Verdict.REJECTED: ".",
    Verdict.FAILED: "x",
}  # of `Trend.latest`
PRUNED = "-"


class Child(Protocol):
    """What is asked of a candidate: `model.Candidate` has it, and a row of a roster."""

    @property
    def id(self) -> int: ...  # noqa: D102 - as `model.Candidate`
    @property
    def parents(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def operator(self) -> Operator: ...  # noqa: D102
    @property
    def category(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def proposer(self) -> str: ...  # noqa: D102
    @property
    def prompt_version(self) -> str: ...  # noqa: D102
    @property
    def verdict(self) -> Verdict | None: ...  # noqa: D102
    @property
    def outcome(self) -> Outcome | None: ...  # noqa: D102
    @property
    def scores(self) -> Sized: ...  # noqa: D102


KEYS: dict[str, Callable[[Child], str]] = {
    "category": lambda c: c.category,
    "operator": lambda c: str(c.operator),
    "model": lambda c: c.model or c.proposer,
    "prompt": lambda c: c.prompt_version or "none",
}


@dataclass(frozen=True, slots=True)
class Trend:
    """What the children of one kind have come to."""

    key: str  # "optimizer", "mutate", a model's name, a prompt's version
    attempts: int  # children with a verdict; those that were dropped untrained are none
    measured: int  # of those, with a score
    failed: int  # without one: crash, out of memory, voided
    promoted: int  # main moved to it
    kept: int  # it entered the population
    gain: (
        float | None
    )  # mean gain over its better parent in sigmas, corrected for luck; None = nothing to compare
    best: float | None  # the largest of these gains
    latest: str  # the last attempts, newest last: P promoted, k kept, . rejected, - stopped early, x failed
    pending: int  # children that wait or train

    @property
    def success(self) -> float | None:
        """Share of the attempts that were kept or promoted, 0…1; None before the first."""
        return (self.promoted + self.kept) / self.attempts if self.attempts else None


def trends(
    candidates: Iterable[Child], means: Mapping[int, float], sigma: float, by: str
) -> tuple[Trend, ...]:
    """The children of a run by one of `KEYS`, the most tried kind first.

    `means`: what is believed of each scored candidate, in the unit of `sigma`, the noise of one training; lower is
    better. A gain may be negative: it is what trying such a child has brought on average, wrecks included.
    """
    counts: dict[str, _Count] = {}
    key = KEYS[by]
    for child in candidates:
        if child.parents and child.verdict is not Verdict.DROPPED:
            name = key(child)
            count = counts.get(name)
            if count is None:
                count = counts[name] = _Count()
            count.add(child, means, sigma)
    found = [count.trend(name) for name, count in counts.items()]
    return tuple(sorted(found, key=lambda trend: (-trend.attempts, trend.key)))


class _Count:
    """One kind of child, counted one after the other: nobody has to be held for it."""

    def __init__(self) -> None:
        self.pending = self.measured = self.gains = 0
        self.gained = 0.0
        self.best: float | None = None
        self.verdicts: Counter[Verdict] = Counter()
        self.latest: deque[str] = deque(maxlen=LATEST)

    def add(self, child: Child, means: Mapping[int, float], sigma: float) -> None:
        if child.verdict is None:
            self.pending += 1
            return
        self.verdicts[child.verdict] += 1
        self.measured += bool(child.scores)
        self.latest.append(_letter(child, child.verdict))
        won = gain(child, means, sigma)
        if won is not None:
            self.gains += 1
            self.gained += won
            self.best = won if self.best is None else max(self.best, won)

    def trend(self, key: str) -> Trend:
        return Trend(
            key=key,
            attempts=self.verdicts.total(),
            measured=self.measured,
            failed=self.verdicts[Verdict.FAILED],
            promoted=self.verdicts[Verdict.PROMOTED],
            kept=self.verdicts[Verdict.KEPT],
            gain=self.gained / self.gains if self.gains else None,
            best=self.best,
            latest="".join(self.latest),
            pending=self.pending,
        )


def _letter(child: Child, verdict: Verdict) -> str:
    return PRUNED if child.outcome is Outcome.PRUNED else LETTERS[verdict]


def gain(child: Child, means: Mapping[int, float], sigma: float) -> float | None:
    """Sigmas by which a child is believed to beat its better parent; None without a score on either side."""
    parents = [means[parent] for parent in child.parents if parent in means]
    if child.id not in means or not parents or sigma <= 0:
        return None
    return (min(parents) - means[child.id]) / sigma


def in_words(found: Iterable[Trend]) -> str:
    """`optimizer 3 of 12 (+0.4 sigma), size 0 of 5`: successes of attempts, for one line."""
    return ", ".join(
        f"{trend.key} {trend.promoted + trend.kept} of {trend.attempts}"
        + ("" if trend.gain is None else f" ({trend.gain:+.1f} sigma)")
        for trend in found
        if trend.attempts
    )
