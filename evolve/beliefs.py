"""What is believed of every candidate: its score without luck, how sure that is, and whether it beats main.

The best of many noisy scores flatters itself (the winner's curse), so nothing is shown or selected by a raw score
alone: seeds' luck is taken off, and what remains is drawn towards the candidate's relatives. Engine and clients
use this same code, so it is pure and needs the standard library only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from evolve.acceptance import Samples, gain_probability
from evolve.field import Field, basis, deltas
from evolve.model import Candidate
from evolve.noise import Noise, Posterior
from evolve.seeds import Table, effects

PROVISIONAL = "provisional"  # the word for a score that rests on one training
CONFIRMED = "confirmed"  # and for one that was repeated

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
    """The distribution of every scored candidate's true score, given all scores of the run; how, says `field`."""
    scored = {c.id: c for c in sorted(candidates, key=lambda c: c.id) if c.fitness}
    luck = effects((seeds or {}).values(), noise)
    # Parents that nothing is known of have a place, too: a child of two is none of one.
    numbers = sorted(scored.keys() | {p for c in scored.values() for p in c.parents})
    place = {number: at for at, number in enumerate(numbers, 1)}
    first, other, mean, precision = [0], [0], [0.0], [0.0]
    for number in numbers:
        its_mean = its_precision = 0.0
        parents: tuple[int, ...] = ()
        if candidate := scored.get(number):
            its_mean, its_precision = own_evidence(_table(candidate, seeds), luck, noise)
            parents = candidate.parents
        both = (*(place[p] for p in parents), 0, 0)
        first.append(both[0])
        other.append(both[1])
        mean.append(its_mean)
        precision.append(its_precision)
    by = basis(noise, luck, len(scored), deltas(mean, precision, first))
    field = Field(first, other, mean, precision, by)
    field.everybody()
    return {
        n: Posterior(field[place[n]], field.sd(place[n]), len(c.fitness), noise.freedom)
        for n, c in scored.items()
    }


def own_evidence(table: Table, luck: Mapping[int, float], noise: Noise) -> tuple[float, float]:
    """Mean and precision of what a candidate's own scores say, without the luck of seeds that is known."""
    clean = [score - luck.get(seed, 0.0) for seed, score in table.items()]
    variance = sum(noise.rest**2 if seed in luck else noise.sigma**2 for seed in table)
    return sum(clean) / len(clean), len(clean) ** 2 / variance


# ---- private ---------------------------------------------------------------------------------------------


def _table(candidate: Candidate, seeds: Tables | None) -> Table:
    """Scores by seed; without seeds each score gets one that nobody else has."""
    known = (seeds or {}).get(candidate.id)
    if known:
        return known
    return {-(candidate.id * 1000 + place): score for place, score in enumerate(candidate.fitness)}
