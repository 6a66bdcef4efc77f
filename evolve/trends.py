"""What each kind of idea has come to: attempts, successes and gains by category, operator, model or prompt. Pure.

Counted on candidates and on what is believed of them, so a lucky score is no gain. It reads nothing and decides nothing;
it is what a person, or whoever writes the next proposal, looks at before trying the same kind again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from evolve.model import Verdict
from evolve.roster import OPERATORS, OUTCOMES, VERDICTS, Roster
from harness.spec import Outcome

LATEST = 10  # attempts that `Trend.latest` tells of
LETTERS: dict[Verdict | None, str] = {
    Verdict.PROMOTED: "P",
    Verdict.KEPT: "k",
    Verdict.REJECTED: ".",
    Verdict.FAILED: "x",
}  # of `Trend.latest`
PRUNED = "-"
_DROPPED, _FAILED = VERDICTS.index(Verdict.DROPPED), VERDICTS.index(Verdict.FAILED)
_PROMOTED, _KEPT = VERDICTS.index(Verdict.PROMOTED), VERDICTS.index(Verdict.KEPT)

# What the children of a run can be told apart by: a column of its roster, and the words that it stands for.
KEYS: dict[str, Callable[[Roster], tuple[Sequence[int], Sequence[str]]]] = {
    "category": lambda roster: (roster.category, roster.names),
    "operator": lambda roster: (roster.operator, [str(word) for word in OPERATORS]),
    "model": lambda roster: (roster.maker, roster.names),
    "prompt": lambda roster: (roster.prompt, [name or "none" for name in roster.names]),
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


def trends(roster: Roster, levels: Sequence[float], sigma: float, by: str) -> tuple[Trend, ...]:
    """The children of a run by one of `KEYS`, the most tried kind first.

    `levels`: what is believed of each scored candidate, by number from 0 on, in the unit of `sigma`, the noise of one
    training; lower is better, nan = no score. A gain may be negative: it is what trying such a child has brought on
    average, wrecks included. It is over the better parent, and there is none without a score on either side.
    """
    places, names = KEYS[by](roster)
    counts: dict[int, _Count] = {}
    known = zip(
        *(places, roster.verdict, roster.outcome, roster.runs, roster.parent, roster.other),
        levels[1:],
        strict=True,
    )
    for place, verdict, outcome, runs, first, other, level in known:
        if not first or verdict == _DROPPED:
            continue
        count = counts.get(place)
        if count is None:
            count = counts[place] = _Count()
        count.verdicts[verdict] += 1
        if not verdict:
            continue
        count.measured += runs > 0
        count.latest.append((verdict, outcome))
        rival, second = levels[first], levels[other]
        if second == second and not rival <= second:  # nan is not itself, nor below anything
            rival = second
        if rival == rival and level == level and sigma > 0:
            count.gain((rival - level) / sigma)
    found = [count.trend(names[place]) for place, count in counts.items()]
    return tuple(sorted(found, key=lambda trend: (-trend.attempts, trend.key)))


class _Count:
    """One kind of child, counted one after the other."""

    def __init__(self) -> None:
        self.verdicts = [0] * len(VERDICTS)  # by place; at 0 those that wait or train
        self.measured = self.gains = 0
        self.gained = 0.0
        self.best: float | None = None
        self.latest: deque[tuple[int, int]] = deque(maxlen=LATEST)  # places of verdict and outcome

    def gain(self, won: float) -> None:
        self.gains += 1
        self.gained += won
        if self.best is None or won > self.best:
            self.best = won

    def trend(self, key: str) -> Trend:
        return Trend(
            key=key,
            attempts=sum(self.verdicts[1:]),
            measured=self.measured,
            failed=self.verdicts[_FAILED],
            promoted=self.verdicts[_PROMOTED],
            kept=self.verdicts[_KEPT],
            gain=self.gained / self.gains if self.gains else None,
            best=self.best,
            latest="".join(_letter(*attempt) for attempt in self.latest),
            pending=self.verdicts[0],
        )


def _letter(verdict: int, outcome: int) -> str:
    if OUTCOMES[outcome] is Outcome.PRUNED:
        return PRUNED
    return LETTERS[VERDICTS[verdict]]


def in_words(found: Iterable[Trend]) -> str:
    """`optimizer 3 of 12 (+0.4 sigma), size 0 of 5`: successes of attempts, for one line."""
    return ", ".join(
        f"{trend.key} {trend.promoted + trend.kept} of {trend.attempts}"
        + ("" if trend.gain is None else f" ({trend.gain:+.1f} sigma)")
        for trend in found
        if trend.attempts
    )
