"""What a running training will score, judged by what it has shown so far and by how others went on from there. Pure.

At one fraction of the budget its loss is held against those of the run's finished trainings at the same fraction: a
regression of what they scored on what they had shown. Nothing is assumed about how well an early loss foretells a
score; where it does so badly, in this run, the spread is wide. Freeze-thaw (Swersky et al., arXiv:1406.3896) and Domhan
et al. (IJCAI 2015) extrapolate the curve itself; with a hundred curves of one script's relatives at hand the comparison
is simpler and safer. Before there are enough of them, main's own curve is all there is to compare with.

The losses are what candidates print, so they are untrusted: a forecast may stop a training and is shown to people, and
it never becomes a score. Bits per byte (or fitness, see [metric]), lower is better; losses in nats per token.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from statistics import fmean, stdev

from evolve.noise import Noise, t_cdf

WINDOW = 0.05  # of the budget, over which a loss is averaged
GAP = 0.1  # of the budget: the widest hole in a curve that is bridged
ENOUGH = 5  # candidates with a finished curve before anything is foretold from them
LATEST = 80  # candidates whose curves are looked at, the newest
# Before the run has shown how differently its trainings go on, what is still to come is taken to differ by so much of
# itself between two scripts; the belief weighs as much as two curves.
PRIOR_SHARE, PRIOR_RUNS = 0.1, 2.0
# A loss higher than any that went on to its end is outside of what the regression knows: from there on a nat counts
# for half of what it is worth in the end, and what is still to come may differ by more.
BEYOND_RATE, BEYOND_SHARE = 0.5, 0.15
ALONE_SHARE = (
    0.35  # the same while main's is the only curve, and nobody knows how alike two of them are
)
EARLY = 0.05  # of the budget, before which nobody is told anything
BAND = 0.8  # probability of the band that people are shown

Curve = Sequence[tuple[float, float]]  # (fraction of the budget, printed loss in nats), in order


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
class Rival:
    """What main has shown, and what is believed of its score."""

    curve: Curve
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Foretold:
    """A forecast for people: it lies within `score` ± `margin` with the probability `BAND`."""

    score: float
    margin: float
    better: (
        float | None
    )  # P(it scores below what main does), 0…1; None when main itself is measured
    curves: int  # finished trainings' candidates behind it; 0 = only main's own curve


def loss_at(curve: Curve, fraction: float) -> float | None:
    """The loss at `fraction` of the budget, averaged over the `WINDOW` before it; None where nobody knows.

    A script that prints seldom has no point in there: then its neighbours tell, unless they lie far apart.
    """
    end = bisect_right(curve, fraction, key=itemgetter(0))
    start = bisect_right(curve, fraction - WINDOW, key=itemgetter(0))
    if start < end:
        return fmean(loss for _, loss in curve[start:end])
    if end == 0 or end == len(curve):
        return None
    (left, before), (right, after) = curve[end - 1], curve[end]
    if right - left > GAP:
        return None
    return before + (fraction - left) / (right - left) * (after - before)


def forecast(loss: float, fraction: float, known: Sequence[Known]) -> Forecast | None:
    """What a training with `loss` at `fraction` will score, by the candidates of this run that got to their end.

    None where they are too few, or where a lower loss has not meant a better score.
    """
    points = _shown(known, fraction)
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
        # Of a nat; bits per byte are nats times a constant.
        worth = abs(middle) / end if end > 0 else slope
        score += BEYOND_RATE * worth * beyond
        spread = math.hypot(spread, BEYOND_SHARE * to_come * worth)
    return Forecast(score, spread, freedom) if spread > 0 else None


def foretell(
    curve: Curve,
    reached: float,
    known: Sequence[Known],
    rival: Rival | None,
    noise: Noise | None,
    *,
    main: bool = False,
) -> Foretold | None:
    """What to tell people of the training with `curve`, which has come to the fraction `reached` of its budget.

    `known` are the run's finished curves, of the candidate's own earlier trainings too; `rival` is main, and `main`
    says that it is main itself that trains. None where it is too early, where nothing can be compared, and where its
    losses have ended before it has: a training that fails has no score to be foretold.
    """
    fraction = curve[-1][0] if curve else 0.0
    if fraction < EARLY or reached - fraction > GAP or not math.isfinite(curve[-1][1]):
        return None
    loss = loss_at(curve, fraction)
    if loss is None or not math.isfinite(loss):
        return None
    behind = len(_shown(known, fraction))
    found = forecast(loss, fraction, known) or _like_the_others(loss, fraction, known)
    if found is None:
        behind = 0
        found = _beside_main(curve, fraction, rival, noise)
    if found is None:
        return None
    better = None
    if rival is not None and not main:
        doubt = math.hypot(found.spread, rival.sd)
        better = Forecast(found.score, doubt, found.freedom).chance_below(rival.mean)
    margin = found.spread * _quantile(found.freedom)
    return Foretold(found.score, margin, better, behind)


# ---- private -------------------------------------------------------------------------------------------


def _shown(known: Sequence[Known], fraction: float) -> list[tuple[float, float]]:
    """(loss at `fraction`, score) of those that printed one there."""
    return [(shown, k.score) for k in known if (shown := _mean_loss(k, fraction)) is not None]


def _mean_loss(known: Known, fraction: float) -> float | None:
    losses = [loss for curve in known.curves if (loss := loss_at(curve, fraction)) is not None]
    return fmean(losses) if losses else None


def _like_the_others(loss: float, fraction: float, known: Sequence[Known]) -> Forecast | None:
    """Where losses do not tell good from bad yet, an ordinary one foretells a score as ordinary as any."""
    points = _shown(known, fraction)
    if len(points) < ENOUGH or loss > max(x for x, _ in points):
        return None
    scores = [score for _, score in points]
    spread = stdev(scores) * math.sqrt(1 + 1 / len(scores))
    return Forecast(fmean(scores), spread, len(scores) - 1) if spread > 0 else None


def _beside_main(
    curve: Curve, fraction: float, rival: Rival | None, noise: Noise | None
) -> Forecast | None:
    """By the distance to main's curve at the same fraction, and by what two trainings differ anyway."""
    if rival is None or noise is None or not rival.curve:
        return None
    apart = _distances(curve, rival.curve, fraction)
    shown = loss_at(rival.curve, fraction)
    end = fmean(loss for at, loss in rival.curve if at > rival.curve[-1][0] - WINDOW)
    if shown is None or end <= 0 or not apart:
        return None
    worth = abs(rival.mean) / end
    # What is still to come may go another way, and the distance itself moves.
    open_nats = math.hypot(
        ALONE_SHARE * max(0.0, shown - end), stdev(apart) if len(apart) > 1 else apart[0]
    )
    spread = math.hypot(noise.sigma, rival.sd, worth * open_nats)
    return Forecast(rival.mean + worth * apart[0], spread, max(2.0, noise.freedom))


def _distances(curve: Curve, other: Curve, fraction: float) -> list[float]:
    """How far `curve` lay above `other` in the last windows before `fraction`, the newest first."""
    found = []
    for back in range(4):
        at = fraction - back * WINDOW
        ours, theirs = loss_at(curve, at), loss_at(other, at)
        if ours is None or theirs is None:
            break
        found.append(ours - theirs)
    return found


@lru_cache(maxsize=256)
def _quantile(freedom: float) -> float:
    """Half the width of the band `BAND`, in spreads: the quantile of Student's t, by bisection."""
    low, high = 0.0, 100.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if t_cdf(middle, freedom) > (1 + BAND) / 2 else (middle, high)
    return high
