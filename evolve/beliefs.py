"""What is believed of every candidate: its score without luck, how sure that is, and whether it beats main.

The best of many noisy scores flatters itself (the winner's curse), so nothing is shown or selected by a raw score
alone: seeds' luck is taken off, and what remains is drawn towards the candidate's relatives. Engine and clients
use this same code, so it is pure and needs the standard library only.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterator, Mapping, MutableSequence, Sequence
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
    `only`: who is asked about; the others are still leant upon. `evidence.Evidence` answers the same from columns.
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
            word=word_for(len(c.fitness)),
        )
        for c in candidates
        if c.id in found and (only is None or c.id in only)
    }


def word_for(trainings: int) -> str:
    """How sure a score is, in one word."""
    return CONFIRMED if trainings > 1 else PROVISIONAL


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
    scored = {c.id: c for c in sorted(candidates, key=lambda c: c.id) if c.fitness}
    luck = effects((seeds or {}).values(), noise)
    place = {number: at for at, number in enumerate(scored)}
    mean, precision, kin = array("d"), array("d"), Kin(array("i"), array("i"), array("b"))
    for candidate in scored.values():
        its_mean, its_precision = own_evidence(_table(candidate, seeds), luck, noise)
        mean.append(its_mean)
        precision.append(its_precision)
        first, second = (*(place.get(p, -1) for p in candidate.parents), -1, -1)[:2]
        kin.first.append(first)
        kin.second.append(second)
        kin.alone.append(len(candidate.parents) == 1)
    means, precisions = propagated(mean, precision, kin, noise)
    return {
        number: Posterior(m, 1 / math.sqrt(p), len(scored[number].fitness), noise.freedom)
        for number, m, p in zip(scored, means, precisions, strict=True)
    }


# ---- in columns ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kin:
    """Who stands under whom among those with a score, parents before children; -1 = nobody, or no score."""

    first: MutableSequence[int]  # place of the first parent
    second: MutableSequence[int]
    alone: MutableSequence[int]  # 1: a child of one, which says something of its parent


class Field(Mapping[int, float]):
    """What is believed of everybody who has a score, in columns: a mapping from number to corrected score."""

    def __init__(
        self, place: Sequence[int], mean: Sequence[float], precision: Sequence[float]
    ) -> None:
        """`place` in the other two by number, from 0 on; -1 = no score."""
        self._place, self._mean, self._precision = place, mean, precision

    def __getitem__(self, number: int) -> float:
        if number not in self:
            raise KeyError(number)
        return self._mean[self._place[number]]

    def __contains__(self, number: object) -> bool:
        return (
            isinstance(number, int) and 0 < number < len(self._place) and self._place[number] >= 0
        )

    def __iter__(self) -> Iterator[int]:
        return (number for number, at in enumerate(self._place) if at >= 0)

    def __len__(self) -> int:
        return len(self._mean)

    def levels(self) -> Sequence[float]:
        """The corrected scores by number, from 0 on; nan = no score."""
        found = array("d", [math.nan]) * len(self._place)
        for number, at in enumerate(self._place):
            if at >= 0:
                found[number] = self._mean[at]
        return found

    def sd(self, number: int) -> float:
        """How sure the corrected score of a candidate is: one standard deviation."""
        return 1 / math.sqrt(self._precision[self._place[number]])


def own_evidence(table: Table, luck: Mapping[int, float], noise: Noise) -> tuple[float, float]:
    """Mean and precision of what a candidate's own scores say, without the luck of seeds that is known."""
    clean = [score - luck.get(seed, 0.0) for seed, score in table.items()]
    variance = sum(noise.rest**2 if seed in luck else noise.sigma**2 for seed in table)
    return sum(clean) / len(clean), len(clean) ** 2 / variance


def propagated(
    mean: Sequence[float], precision: Sequence[float], kin: Kin, noise: Noise
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and precision of what own scores and relatives say together: one pass up the tree and one down."""
    drift, spread = _between_generations(mean, kin, noise)
    below_mean, below, said_mean, said = _up(mean, precision, kin, drift, spread)
    found_mean, found = array("d", below_mean), array("d", below)
    for at, (first, second) in enumerate(zip(kin.first, kin.second, strict=True)):
        if first < 0 and second < 0:
            continue
        about, doubt, heads = 0.0, 0.0, 0
        for parent in (first, second):
            if parent < 0:
                continue
            # What is known of a parent but for what this very child said.
            known = found[parent] - said[at]
            total = found_mean[parent] * found[parent] - said_mean[at] * said[at]
            about += total / known if said[at] else found_mean[parent]
            doubt += 1 / known
            heads += 1
        weight = 1 / (1 / (heads / doubt) + spread**2)
        known = below[at] + weight
        found_mean[at] = (below_mean[at] * below[at] + (about / heads + drift) * weight) / known
        found[at] = known
    return found_mean, found


# ---- private ---------------------------------------------------------------------------------------------


def _between_generations(mean: Sequence[float], kin: Kin, noise: Noise) -> tuple[float, float]:
    """How children lie to their first parents in this run: by how much worse, and how far apart."""
    deltas = [mean[at] - mean[parent] for at, parent in enumerate(kin.first) if parent >= 0]
    return child_drift(deltas), child_spread(deltas, noise)


def _up(
    mean: Sequence[float], precision: Sequence[float], kin: Kin, drift: float, spread: float
) -> tuple[array[float], array[float], array[float], array[float]]:
    """Own scores with what children say of them, and what each child said of its parent (precision 0: nothing).

    What a child says counts as far as it can be believed: wrecks say nothing of a parent, nor do wonders.
    """
    below_mean, below = array("d", mean), array("d", precision)
    said_mean, said = array("d", bytes(8 * len(mean))), array("d", bytes(8 * len(mean)))
    variance, sqrt = spread**2, math.sqrt
    for at in range(len(mean) - 1, -1, -1):
        parent = kin.first[at]
        if parent < 0 or not kin.alone[at]:
            continue
        word, weight = below_mean[at] - drift, 1 / (1 / below[at] + variance)
        reach = _SURPRISE * sqrt(1 / weight + 1 / precision[parent])
        word = min(mean[parent] + reach, max(mean[parent] - reach, word))
        said_mean[at], said[at] = word, weight
        total = below[parent] + weight
        below_mean[parent] = (below_mean[parent] * below[parent] + word * weight) / total
        below[parent] = total
    return below_mean, below, said_mean, said


def _table(candidate: Candidate, seeds: Tables | None) -> Table:
    """Scores by seed; without seeds each score gets one that nobody else has."""
    known = (seeds or {}).get(candidate.id)
    if known:
        return known
    return {-(candidate.id * 1000 + place): score for place, score in enumerate(candidate.fitness)}
