"""What is believed of everybody, kept up to date score by score, is what counting all of it anew would say."""

from __future__ import annotations

import random
from array import array

import pytest

from evolve.evidence import BASIS, Evidence
from evolve.field import EXACT, Basis, Field
from evolve.noise import Noise
from evolve.reader import Reader
from tests.tui.many import write

BY = Basis(Noise(0.003, 9, 0.4, 0.1, 5), {0: 0.001, 1: -0.0005}, 0.0008, 0.004, 40)


class Family:
    """A random family, and what its own scores say."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.first, self.other = [0], [0]
        self.mean, self.precision = [0.0], [0.0]

    def grow(self) -> None:
        number, rng = len(self.first), self.rng
        first = rng.randrange(number) if number > 1 and rng.random() < 0.95 else 0
        other = rng.randrange(number) if first and rng.random() < 0.2 else 0
        self.first.append(first)
        self.other.append(other if other != first else 0)
        self.mean.append(0.0)
        self.precision.append(0.0)

    def score(self, number: int) -> None:
        self.mean[number] = self.rng.gauss(1.0, 0.01 if self.rng.random() < 0.9 else 1.0)
        self.precision[number] = self.rng.choice((1, 2, 3)) / 0.003**2

    def whole(self) -> Field:
        return Field(self.first, self.other, self.mean, self.precision, BY)


@pytest.mark.parametrize("seed", range(25))
def test_score_by_score_it_says_what_the_whole_says_bit_for_bit(seed: int) -> None:
    rng = random.Random(seed)
    family = Family(rng)
    kept = family.whole()
    for _ in range(150):
        if len(family.first) < 4 or rng.random() < 0.5:
            family.grow()
            kept.extend(family.first[-1:], family.other[-1:])
        number = rng.randrange(1, len(family.first))
        family.score(number)  # a first one, or a repeat, of parents and children in any order
        assert kept.put(number, family.mean[number], family.precision[number])
        asked = rng.choice([n for n in range(1, len(family.first)) if family.precision[n]])
        whole = family.whole()
        assert (kept[asked], kept.sd(asked)) == (whole[asked], whole.sd(asked))
    assert dict(kept) == dict(whole)
    assert list(kept.levels())[1:] == pytest.approx(list(whole.levels())[1:], abs=0, nan_ok=True)
    assert len(kept) == len(whole) == sum(1 for p in family.precision if p)


def test_a_score_that_counts_no_more_takes_a_new_field() -> None:
    field = Field([0, 0, 1], [0, 0, 0], [0.0, 1.0, 1.1], [0.0, 1e5, 1e5], BY)
    assert not field.put(2, 0.0, 0.0)


def test_the_score_that_a_child_would_need_is_the_one_that_gives_it_that_belief() -> None:
    rng = random.Random(3)
    family = Family(rng)
    for _ in range(40):
        family.grow()
        family.score(len(family.first) - 1)
    for first, other in ((7, 0), (11, 30), (0, 0)):
        wanted = 0.9871
        score = family.whole().score_for(first, other, wanted, 0.001, 1 / 0.003**2)
        lone = Family(rng)
        lone.first, lone.other = [*family.first, first], [*family.other, other]
        lone.mean = [*family.mean, score - 0.001]
        lone.precision = [*family.precision, 1 / 0.003**2]
        assert lone.whole()[len(family.first)] == pytest.approx(wanted, abs=2e-4)


def test_the_basis_is_counted_anew_with_every_score_while_there_are_few_and_seldom_afterwards() -> (
    None
):
    few, many = Basis(Noise(1.0), {}, 0, 1, EXACT), Basis(Noise(1.0), {}, 0, 1, 10 * EXACT)
    assert few.holds(EXACT)
    assert not few.holds(EXACT - 1)
    assert not Basis(Noise(1.0), {}, 0, 1, EXACT - 1).holds(EXACT)
    assert [many.holds(n) for n in (9_999, 10_000, 10_049, 10_050)] == [False, True, True, False]
    assert Basis.from_text(BY.as_text()) == BY


def test_a_client_of_a_long_run_goes_by_the_basis_that_the_engine_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path, EXACT + 500)
    with Reader.open(tmp_path / ".autoresearch" / "journal.db") as reader:
        own = Evidence()
        own.update(reader)
    assert own.basis
    told = Basis(Noise(0.5, 3), {}, 0.1, 0.2, own.basis.scores)
    import sqlite3

    db = sqlite3.connect(tmp_path / ".autoresearch" / "journal.db")
    db.execute("INSERT INTO meta VALUES (?, ?)", (BASIS.format("nov21"), told.as_text()))
    db.commit()
    db.close()
    with Reader.open(tmp_path / ".autoresearch" / "journal.db") as reader:
        other = Evidence()
        other.update(reader)
    assert other.basis == told
    assert other.noise.sigma == 0.5
    assert isinstance(array("d", other.field().levels()), array)
