"""Which trainings are stopped early because they cannot win any more, and whether that rule can be trusted. Pure.

At fixed fractions of the budget a screened child's loss is held against those of the run's finished trainings at the
same fraction: a regression of what they scored on what they had shown says what this one will score, and how surely.
Nothing is assumed about how well an early loss foretells a score; where it does so badly, in this run, the spread is
wide and nobody is stopped. Freeze-thaw (Swersky et al., arXiv:1406.3896) and Domhan et al. (IJCAI 2015) extrapolate
the curve itself; with a hundred curves of one script's relatives at hand the comparison is simpler and safer.

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
from statistics import fmean, median
from typing import Any

from evolve.model import Experiment
from evolve.noise import t_cdf
from evolve.propose.vetting import normalise
from harness.spec import Outcome

FRACTIONS = (0.3, 0.45, 0.6, 0.75, 0.9)  # of the budget, at which a training is looked at
WINDOW = 0.05  # of the budget, over which a loss is averaged
GAP = 0.1  # of the budget: the widest hole in a curve that is bridged
ENOUGH = 5  # candidates with a finished curve before anything is foretold
# Before the run has shown how differently its trainings go on, what is still to come is taken to differ by so much of
# itself between two scripts; the belief weighs as much as two curves.
PRIOR_SHARE, PRIOR_RUNS = 0.1, 2.0
# A loss higher than any that went on to its end is outside of what the regression knows: from there on a nat counts
# for half of what it is worth in the end, and what is still to come may differ by more.
BEYOND_RATE, BEYOND_SHARE = 0.5, 0.15

TOLERATED = 0.05  # share of the doomed that may be doomed wrongly
PRIOR_RIGHT = 19  # before any audit the rule is believed to be wrong once in twenty times, as firmly as 20 audits say
DOUBT = 0.9  # P(the share is above that) at which the rule is switched off
FIRST, FIRST_SHARE = 2, 0.25  # a rule that was hardly tested is tested more often …
EAGER_DOUBT, EAGER_SHARE = 0.5, 0.5  # … and one that was caught at a mistake, at every other turn

Curve = Sequence[tuple[float, float]]  # (fraction of the budget, printed loss in nats), in order
_LOSS = re.compile(r"loss|cross_entropy|smoothing", re.I)


@dataclass(frozen=True, slots=True)
class Known:
    """What one candidate's finished trainings have shown."""

    curves: tuple[Curve, ...]
    score: float  # mean fitness of them


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a training will score: a shifted and scaled Student t."""

    score: float
    spread: float
    freedom: float

    def chance_below(self, limit: float) -> float:
        """P(it scores better than `limit`)."""
        return t_cdf((limit - self.score) / self.spread, self.freedom)


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


# ---- the forecast --------------------------------------------------------------------------------------


def loss_at(curve: Curve, fraction: float) -> float | None:
    """The loss at `fraction` of the budget, averaged over the `WINDOW` before it; None where nobody knows.

    A script that prints seldom has no point in there: then its neighbours tell, unless they lie far apart.
    """
    near = [loss for at, loss in curve if fraction - WINDOW < at <= fraction]
    if near:
        return fmean(near)
    before = max((point for point in curve if point[0] <= fraction), default=None)
    after = min((point for point in curve if point[0] > fraction), default=None)
    if before is None or after is None or after[0] - before[0] > GAP:
        return None
    share = (fraction - before[0]) / (after[0] - before[0])
    return before[1] + share * (after[1] - before[1])


def forecast(loss: float, fraction: float, known: Sequence[Known]) -> Forecast | None:
    """What a training with `loss` at `fraction` will score, by the candidates of this run that got to their end.

    None where they are too few, or where a lower loss has not meant a better score.
    """
    points = [(shown, k.score) for k in known if (shown := _mean_loss(k, fraction)) is not None]
    if len(points) < ENOUGH:
        return None
    n = len(points)
    centre, middle = fmean(x for x, _ in points), fmean(y for _, y in points)
    width = sum((x - centre) ** 2 for x, _ in points)
    if width <= 0:
        return None
    slope = sum((x - centre) * (y - middle) for x, y in points) / width
    if slope <= 0:
        return None
    end = fmean(curve[-1][1] for k in known for curve in k.curves if curve)
    to_come = max(0.0, centre - end)  # nats
    squares = sum((y - middle - slope * (x - centre)) ** 2 for x, y in points)
    squares += PRIOR_RUNS * (PRIOR_SHARE * to_come * slope) ** 2
    freedom = n - 2 + PRIOR_RUNS
    seen = min(loss, max(x for x, _ in points))
    far, beyond = seen - centre, loss - seen
    spread = math.sqrt(squares / freedom * (1 + 1 / n + far**2 / width))
    score = middle + slope * far
    if beyond > 0:
        worth = (
            abs(middle) / end if end > 0 else slope
        )  # of a nat: bits per byte are nats times a constant
        score += BEYOND_RATE * worth * beyond
        spread = math.hypot(spread, BEYOND_SHARE * to_come * worth)
    return Forecast(score, spread, freedom) if spread > 0 else None


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


@lru_cache(maxsize=256)
def loss_form(source: str) -> str:
    """What a script prints as its loss, as a key: scripts with another one are not compared.

    All statements that speak of a loss, in the normal form; a loss with an auxiliary term, or smoothed labels, is
    another quantity. Raises SyntaxError.
    """
    lines = [line.strip() for line in normalise(source).splitlines()]
    return sha256("\n".join(line for line in lines if _LOSS.search(line)).encode()).hexdigest()


def _mean_loss(known: Known, fraction: float) -> float | None:
    losses = [loss for curve in known.curves if (loss := loss_at(curve, fraction)) is not None]
    return fmean(losses) if losses else None


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
