"""What each kind of idea has come to: attempts, successes and gains by category, operator, model or prompt. Pure.

Counted on candidates and on what is believed of them, so a lucky score is no gain. It reads nothing and decides nothing;
it is what a person, or whoever writes the next proposal, looks at before trying the same kind again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from evolve.model import Candidate, Verdict
from harness.spec import Outcome

LATEST = 10  # attempts that `Trend.latest` tells of
LETTERS = {
    Verdict.PROMOTED: "P",
    Verdict.KEPT: "k",
    Verdict.REJECTED: ".",
    Verdict.FAILED: "x",
}  # of `Trend.latest`
PRUNED = "-"

KEYS: dict[str, Callable[[Candidate], str]] = {
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
    candidates: Iterable[Candidate], means: Mapping[int, float], sigma: float, by: str
) -> tuple[Trend, ...]:
    """The children of a run by one of `KEYS`, the most tried kind first.

    `means`: what is believed of each scored candidate, in the unit of `sigma`, the noise of one training; lower is
    better. A gain may be negative: it is what trying such a child has brought on average, wrecks included.
    """
    groups: dict[str, list[Candidate]] = {}
    for child in candidates:
        if child.parents and child.verdict is not Verdict.DROPPED:
            groups.setdefault(KEYS[by](child), []).append(child)
    found = [_trend(key, children, means, sigma) for key, children in groups.items()]
    return tuple(sorted(found, key=lambda trend: (-trend.attempts, trend.key)))


def _trend(key: str, children: list[Candidate], means: Mapping[int, float], sigma: float) -> Trend:
    settled = [child for child in children if child.verdict is not None]
    gains = [g for child in settled if (g := gain(child, means, sigma)) is not None]
    verdicts = [child.verdict for child in settled]
    return Trend(
        key=key,
        attempts=len(settled),
        measured=sum(bool(child.scores) for child in settled),
        failed=verdicts.count(Verdict.FAILED),
        promoted=verdicts.count(Verdict.PROMOTED),
        kept=verdicts.count(Verdict.KEPT),
        gain=sum(gains) / len(gains) if gains else None,
        best=max(gains, default=None),
        latest="".join(_letter(child) for child in settled[-LATEST:]),
        pending=len(children) - len(settled),
    )


def _letter(child: Candidate) -> str:
    assert child.verdict is not None  # noqa: S101 - it is settled
    return PRUNED if child.outcome is Outcome.PRUNED else LETTERS[child.verdict]


def gain(child: Candidate, means: Mapping[int, float], sigma: float) -> float | None:
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
