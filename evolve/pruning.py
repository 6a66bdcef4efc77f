"""Which trainings are stopped early because they cannot win any more, and whether that rule can be trusted. Pure.

At fixed fractions of the budget a screened child is foretold a score (`forecast`): where even that can hardly be of use,
it is stopped.

The losses are what candidates print, so they are untrusted: a liar escapes being stopped, and gains nothing else.
One in twenty of the doomed is let finish, as an audit of the rule; where too many of these turn out well, it is
switched off. Bits per byte (or fitness, see [metric]), lower is better.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from statistics import median
from typing import Any

from evolve.forecast import Curve, Known, forecast, loss_at
from evolve.model import Experiment
from evolve.propose.vetting import normalise
from harness.spec import Outcome

FRACTIONS = (0.3, 0.45, 0.6, 0.75, 0.9)  # of the budget, at which a training is looked at
TOLERATED = 0.05  # share of the doomed that may be doomed wrongly
PRIOR_RIGHT = 19  # before any audit the rule is believed to be wrong once in twenty times, as firmly as 20 audits say
DOUBT = 0.9  # P(the share is above that) at which the rule is switched off
FIRST, FIRST_SHARE = 2, 0.25  # a rule that was hardly tested is tested more often …
EAGER_DOUBT, EAGER_SHARE = 0.5, 0.5  # … and one that was caught at a mistake, at every other turn

_LOSS = re.compile(r"loss|cross_entropy|smoothing", re.I)


@dataclass(frozen=True, slots=True)
class Doom:
    """A training that cannot win any more, as the rule sees it."""

    fraction: float  # of the budget, at which it was looked at
    loss: float  # there, nats
    score: float  # that is foretold
    limit: float  # the score from which it would be of use
    chance: float  # that it gets there, 0…1
    spared: bool = False  # it is let finish, as an audit of the rule

    def data(self) -> dict[str, Any]:
        """For the journal's column `pruning`."""
        return asdict(self)

    def sentence(self) -> str:
        """`Stopped early at 45 %: its loss of 3.21 foretells …`"""
        verb = "Doomed, and let finish as a test of the rule," if self.spared else "Stopped early"
        return (
            f"{verb} at {self.fraction:.0%}: its loss of {self.loss:.4f} foretells {self.score:.5f}, and below "
            f"{self.limit:.5f} it would be of use (P = {percent(self.chance)})."
        )


# ---- the rule ------------------------------------------------------------------------------------------


def doom(
    curve: Curve, known: Sequence[Known], limit: float, chance: float, after: float = 0.0
) -> Doom | None:
    """The first look, behind the fraction `after`, at which a running training cannot win any more.

    It wins below `limit`; it cannot when the chance of that is below `chance`. Only looks that the curve has passed
    count, and a loss that is not finite says nothing.
    """
    clean = [point for point in curve if math.isfinite(point[1])]
    reached = max((at for at, _ in clean), default=0.0)
    for fraction in FRACTIONS:
        if not after < fraction <= reached:
            continue
        loss = loss_at(clean, fraction)
        seen = None if loss is None else forecast(loss, fraction, known)
        if loss is None or seen is None:
            continue
        likely = seen.chance_below(limit)
        if likely < chance:
            return Doom(fraction, loss, seen.score, limit, likely)
    return None


@lru_cache(maxsize=16)  # a source is 60 kB
def loss_form(source: str) -> str:
    """What a script prints as its loss, as a key: scripts with another one are not compared.

    All statements that speak of a loss, in the normal form; a loss with an auxiliary term, or smoothed labels, is
    another quantity. Raises SyntaxError.
    """
    lines = [line.strip() for line in normalise(source).splitlines()]
    return sha256("\n".join(line for line in lines if _LOSS.search(line)).encode()).hexdigest()


# ---- the audit of the rule -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Audit:
    """What became of the doomed that were let finish."""

    finished: int = 0
    wrong: int = 0  # of these, came out better than the limit that they were said to miss

    @property
    def doubt(self) -> float:
        """P(more than `TOLERATED` of the doomed are doomed wrongly), by a Beta posterior."""
        total = PRIOR_RIGHT + self.finished
        return sum(
            math.comb(total, k) * TOLERATED**k * (1 - TOLERATED) ** (total - k)
            for k in range(self.wrong + 1)
        )

    @property
    def failed(self) -> bool:
        """Is the rule to be switched off?"""
        return self.doubt >= DOUBT

    def share(self, spare: float) -> float:
        """The share of the doomed that is let finish next, `spare` in the long run.

        A rule that was never tested could be wrong all night, at one test in twenty; so the first ones come sooner,
        and after a mistake the question is settled quickly.
        """
        if self.doubt >= EAGER_DOUBT:
            return max(spare, EAGER_SHARE)
        return max(spare, FIRST_SHARE) if self.finished < FIRST else spare

    def sentence(self) -> str:
        """What the audit has found, for a person."""
        if not self.finished:
            return "none of the doomed was let finish yet"
        return f"{self.wrong} of {self.finished} that were let finish came out better than foretold to be possible"


def audit(experiments: Iterable[Experiment]) -> Audit:
    """What the spared have shown; those without a score say nothing."""
    finished = wrong = 0
    for experiment in experiments:
        told = experiment.pruning
        if told and told["spared"] and experiment.fitness is not None and not experiment.discounted:
            finished += 1
            wrong += experiment.fitness < told["limit"]
    return Audit(finished, wrong)


def is_spared(run: str, experiment: int, share: float) -> bool:
    """Whether a doomed training is let finish: by lot, which nobody can move and a restart draws again."""
    digest = sha256(f"{run}:{experiment}:spared".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


def pruning_report(experiments: Sequence[Experiment]) -> str:
    """What stopping early has come to, in one sentence for `status`; empty before it had anything to do."""
    stopped = [e for e in experiments if e.outcome is Outcome.PRUNED]
    known = audit(experiments)
    if not stopped and not known.finished:
        return ""
    whole = [e.total_seconds for e in experiments if e.outcome is Outcome.OK and not e.pruning]
    usual = median(whole) if whole else 0.0
    saved = sum(max(0.0, usual - e.total_seconds) for e in stopped)
    return f"{len(stopped)} stopped early, {_duration(saved)} saved; {known.sentence()}."


def percent(chance: float) -> str:
    """`0.3 %`, and nothing rounded down to none."""
    return f"{chance:.1%}" if chance >= 0.001 else "below 0.1%"


def _duration(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} s"
