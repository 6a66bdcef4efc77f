"""What is believed of a score: without luck, among relatives, and in the same words everywhere."""

import random
from statistics import fmean

import pytest

from evolve.beliefs import Belief, beliefs, posteriors
from evolve.model import Candidate, CandidateState, Operator
from evolve.noise import Noise

NOISE = Noise(sigma=0.01, n=30)


def candidate(number: int, *scores: float, parents: tuple[int, ...] = (1,)) -> Candidate:
    return Candidate(
        *(number, Operator.MUTATE if number > 1 else Operator.SEED, "builtin"),
        *(parents if number > 1 else (), f"idea {number}", "", "other", "", "", "", 500, 0.0),
        CandidateState.JUDGED,
        scores=scores,
        fitness=scores,
    )


MAIN = candidate(1, 1.0, 1.0, 1.0, 1.0)


def test_a_lucky_single_score_is_drawn_towards_its_parent_and_called_provisional() -> None:
    found = beliefs([MAIN, candidate(2, 0.95), candidate(3, 0.95, 0.95, 0.95)], NOISE, 1)
    assert 0.95 < found[3].mean < found[2].mean < 1.0
    assert found[3].sd < found[2].sd < 0.01
    assert (found[2].word, found[2].n) == ("provisional", 1)
    assert (found[3].word, found[3].n) == ("confirmed", 3)
    assert found[2].better is not None
    assert found[3].better is not None
    assert 0.3 < found[2].better < found[3].better <= 1
    assert found[1].better is None  # nothing is better than itself


def test_failures_are_not_believed_to_be_any_number() -> None:
    assert beliefs([MAIN, candidate(2)], NOISE, 1).keys() == {1}
    assert beliefs([], NOISE, None) == {}
    alone = beliefs([candidate(2, 0.9)], NOISE, 1)  # without the parent, without main
    assert alone == {2: Belief(0.9, pytest.approx(0.01), None, 1, "provisional")}  # type: ignore[arg-type]


def test_a_lucky_seed_does_not_decide_who_breeds() -> None:
    """Everybody does well at seed 0: who was trained with no other seed is no better for it."""
    noise = Noise(sigma=0.01, n=30, share=0.9, sure=0.85, pairs=20)
    tables = {1: {0: 0.98, 1: 1.01, 2: 1.01}, 2: {0: 0.98}, 3: {0: 0.97, 1: 1.0, 2: 1.0}}
    family = [candidate(n, *table.values()) for n, table in tables.items()]
    naive, found = posteriors(family, noise), posteriors(family, noise, tables)
    assert naive[2].mean < naive[3].mean
    assert found[3].mean < found[2].mean
    assert found[2].mean == pytest.approx(found[1].mean, abs=0.002)


def test_children_that_do_well_speak_for_their_parent_and_wrecks_do_not_speak() -> None:
    family = [MAIN, candidate(2, 0.99)]
    alone = posteriors(family, NOISE)[2].mean
    good = [candidate(n, 0.97, parents=(2,)) for n in (3, 4, 5)]
    assert posteriors([*family, *good], NOISE)[2].mean < alone - 0.002
    wrecks = [candidate(n, 9.0, parents=(2,)) for n in (3, 4, 5)]
    assert posteriors([*family, *wrecks], NOISE)[2].mean < alone + 0.02


def test_beliefs_are_free_of_the_winners_curse() -> None:
    rng, sigma = random.Random(7), 0.01
    raw, corrected = [], []
    for _ in range(150):
        truth = {n: 1.0 + rng.gauss(0, sigma) for n in range(2, 22)}
        family = [MAIN, *(candidate(n, level + rng.gauss(0, sigma)) for n, level in truth.items())]
        best = min(family[1:], key=lambda c: c.fitness[0])
        raw.append(best.fitness[0] - truth[best.id])
        corrected.append(posteriors(family, NOISE)[best.id].mean - truth[best.id])
    assert fmean(raw) < -0.01
    assert abs(fmean(corrected)) < 0.003


def test_ten_thousand_are_believed_in_a_moment() -> None:
    family = [MAIN, *(candidate(n, 1.0, parents=(n // 2,)) for n in range(2, 10_001))]
    assert len(posteriors(family, NOISE)) == 10_000
