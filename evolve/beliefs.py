"""What is believed of every candidate: its score without luck, how sure that is, and whether it beats main.

The best of many noisy scores flatters itself (the winner's curse), so nothing is shown or selected by a raw score
alone: seeds' luck is taken off, and what remains is drawn towards the candidate's relatives. Engine and clients
use this same code, so it is pure and needs the standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evolve.acceptance import Samples, gain_probability
from evolve.model import Candidate
from evolve.noise import Noise, Posterior, child_drift, child_spread
from evolve.seeds import Table, effects

PROVISIONAL = "provisional"  # the word for a score that rests on one training
CONFIRMED = "confirmed"  # and for one that was repeated
_SURPRISE = (
    1.5  # standard deviations beyond which a child says no more about its parent (Huber 1964)
)

Tables = Mapping[int, Table]  # candidate to seed to score


@dataclass(frozen=True, slots=True)
class Belief:
    """A candidate's score as it is believed in, beside the raw one."""

    mean: float  # corrected for seeds' luck and drawn towards its relatives; the unit of `Candidate.fitness`
    sd: float  # of that
    better: (
        float | None
    )  # P(better than the incumbent), 0…1, as verdicts give it; None for the incumbent itself
    n: int  # trainings behind it
    word: str  # "provisional" after one training, "confirmed" after several


def beliefs(
    candidates: Sequence[Candidate],
    noise: Noise,
    incumbent: int | None,
    seeds: Tables | None = None,
    only: Collection[int] | None = None,
) -> dict[int, Belief]:
    """What is believed of every candidate that has a score; the others, failures among them, are not in it.

    `noise`: from `seeds.measured`. `seeds`: candidate to seed to fitness, of those known; without them scores
    count as if each had a seed of its own. Parents that are missing from `candidates` are only not leant upon.
    `only`: who is asked about; the others are still leant upon.
    """
    found = posteriors(candidates, noise, seeds)
    rival = next((c for c in candidates if c.id == incumbent and c.id in found), None)
    return {
        c.id: Belief(
            mean=found[c.id].mean,
            sd=found[c.id].sd,
            better=None
            if rival is None or c is rival
            else gain_probability(samples(c, seeds), samples(rival, seeds), noise),
            n=len(c.fitness),
            word=CONFIRMED if len(c.fitness) > 1 else PROVISIONAL,
        )
        for c in candidates
        if c.id in found and (only is None or c.id in only)
    }


def samples(candidate: Candidate, seeds: Tables | None) -> Samples:
    """A candidate's scores as `acceptance` takes them."""
    return Samples(_table(candidate, seeds), candidate.lines)


def posteriors(
    candidates: Sequence[Candidate], noise: Noise, seeds: Tables | None = None
) -> dict[int, Posterior]:
    """The distribution of every scored candidate's true score, given all scores of the run.

    A child's true score lies about its parents' (off by `noise.child_drift`, for most changes do harm, and
    `noise.child_spread` apart), and its measurements about its own:
    a Gaussian tree, in which one pass up (what children say of their parent) and one pass down (what parents say
    of their child) is exact belief propagation (Pearl 1988). A child of two says nothing of either.
    """
    scored = {c.id: c for c in candidates if c.fitness}
    luck = effects((seeds or {}).values(), noise)
    own = {number: _own(_table(c, seeds), luck, noise) for number, c in scored.items()}
    return _passes(scored, own, _Kinship.of(scored, own, noise), noise)


# ---- private ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Gauss:
    """A mean and its precision."""

    mean: float
    precision: float

    def __mul__(self, other: _Gauss) -> _Gauss:
        """Both pieces of evidence together."""
        precision = self.precision + other.precision
        return _Gauss(
            (self.mean * self.precision + other.mean * other.precision) / precision, precision
        )

    def blurred(self, shift: float, spread: float) -> _Gauss:
        """The same about a relative that lies `shift` away, give or take `spread`."""
        return _Gauss(self.mean + shift, 1 / (1 / self.precision + spread**2))


@dataclass(frozen=True, slots=True)
class _Kinship:
    """How children lie to their parents in this run."""

    drift: float
    spread: float

    @classmethod
    def of(
        cls, scored: Mapping[int, Candidate], own: Mapping[int, _Gauss], noise: Noise
    ) -> _Kinship:
        deltas = [
            own[number].mean - own[child.parents[0]].mean
            for number, child in scored.items()
            if child.parents and child.parents[0] in own
        ]
        return cls(child_drift(deltas), child_spread(deltas, noise))


def _table(candidate: Candidate, seeds: Tables | None) -> Table:
    """Scores by seed; without seeds each score gets one that nobody else has."""
    known = (seeds or {}).get(candidate.id)
    if known:
        return known
    return {-(candidate.id * 1000 + place): score for place, score in enumerate(candidate.fitness)}


def _own(table: Table, luck: Mapping[int, float], noise: Noise) -> _Gauss:
    clean = [score - luck.get(seed, 0.0) for seed, score in table.items()]
    variance = sum(noise.rest**2 if seed in luck else noise.sigma**2 for seed in table)
    return _Gauss(sum(clean) / len(clean), len(clean) ** 2 / variance)


def _passes(
    scored: Mapping[int, Candidate], own: Mapping[int, _Gauss], kin: _Kinship, noise: Noise
) -> dict[int, Posterior]:
    below = dict(own)  # own scores and what children say
    said: dict[int, _Gauss] = {}  # by a child about its parent
    for number in sorted(scored, reverse=True):
        parents = scored[number].parents
        if len(parents) == 1 and parents[0] in below:
            said[number] = _bounded(below[number].blurred(-kin.drift, kin.spread), own[parents[0]])
            below[parents[0]] = below[parents[0]] * said[number]
    found: dict[int, _Gauss] = {}
    for number in sorted(scored):
        known = [p for p in scored[number].parents if p in found]
        about = [_without(found[p], said.get(number)) for p in known]
        found[number] = below[number]
        if about:
            mean = sum(g.mean for g in about) / len(about)
            precision = len(about) / sum(1 / g.precision for g in about)
            found[number] = below[number] * _Gauss(mean, precision).blurred(kin.drift, kin.spread)
    return {
        number: Posterior(
            g.mean, 1 / math.sqrt(g.precision), len(scored[number].fitness), noise.freedom
        )
        for number, g in found.items()
    }


def _bounded(message: _Gauss, parent: _Gauss) -> _Gauss:
    """What a child says of its parent, or as much of it as can be believed: wrecks say nothing, nor do wonders."""
    reach = _SURPRISE * math.sqrt(1 / message.precision + 1 / parent.precision)
    low, high = parent.mean - reach, parent.mean + reach
    return _Gauss(min(high, max(low, message.mean)), message.precision)


def _without(parent: _Gauss, said: _Gauss | None) -> _Gauss:
    """What is known of a parent but for what this very child said."""
    if said is None:
        return parent
    precision = parent.precision - said.precision
    mean = (parent.mean * parent.precision - said.mean * said.precision) / precision
    return _Gauss(mean, precision)
