"""TPE over constants: a space that fits every knob, a search that finds what is there, and failures that are no numbers."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

import pytest

from evolve.model import Operator
from evolve.propose.axes import axes
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.knobs import find_knobs, in_force
from evolve.propose.operators import Brief, ParentView, Relative
from evolve.propose.presets import read_budget
from evolve.propose.tpe import TpeSearch, available, skeleton, values
from evolve.propose.vetting import code_hash, vet

OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
CPU = read_budget("200,000 tokens on a CPU")
SMALL = "MATRIX_LR = 0.04\nWARMDOWN = 0.5\nMOMENTUM = 0.95\nprint(MATRIX_LR, WARMDOWN, MOMENTUM)\n"

needs_optuna = pytest.mark.skipif(not available(), reason="optuna is not installed")


def loss(source: str) -> float:
    """Best at MATRIX_LR 0.02, WARMDOWN 0.8, MOMENTUM 0.9."""
    found = {name: float(text) for name, text in values(source).items()}
    return (
        math.log2(found["MATRIX_LR"] / 0.02) ** 2
        + (4 * (found["WARMDOWN"] - 0.8)) ** 2
        + math.log2((1 - found["MOMENTUM"]) / 0.1) ** 2
    )


def test_every_axis_takes_the_knob_where_it_stands_and_gives_it_back() -> None:
    space = axes(in_force(OURS, CPU))
    assert len(space) >= 35
    for axis in space:
        here = axis.value(axis.knob.text)
        assert here is not None, axis.name
        assert axis.text(here) == axis.knob.text, axis.name


def test_a_literal_beyond_the_range_is_moved_to_its_end_or_widens_it() -> None:
    (axis,) = [a for a in axes(find_knobs(SMALL)) if a.name == "MATRIX_LR"]
    assert axis.value("40.0") == axis.high
    (wide,) = [a for a in axes(find_knobs(SMALL), {"MATRIX_LR": ["40.0"]}) if a.name == "MATRIX_LR"]
    assert wide.value("40.0") == wide.high == 40.0
    assert axis.value("not a number") is None


def test_variants_have_one_skeleton_and_other_code_has_another() -> None:
    changed = SMALL.replace("0.04", "0.01").replace("print(", "print(  # a remark\n    ")
    assert skeleton(changed) == skeleton(SMALL)
    assert skeleton(SMALL + "print(1)\n") != skeleton(SMALL)
    assert values(changed)["MATRIX_LR"] == "0.01"


@needs_optuna
def test_a_search_finds_what_random_draws_do_not() -> None:
    def searched(seed: int) -> float:
        search = TpeSearch(SMALL, seed=seed)
        best = loss(SMALL)
        search.tell(values(SMALL), best)
        for _ in range(30):
            found = next(search.ask())
            search.tell(values(found.source), loss(found.source))
            best = min(best, loss(found.source))
        return best

    def drawn(seed: int) -> float:
        search = TpeSearch(SMALL, seed=seed, startup=1000)
        tries = search.ask()
        return min(loss(next(tries).source) for _ in range(30))

    assert sum(searched(s) for s in range(5)) < 0.6 * sum(drawn(s) for s in range(5))


@needs_optuna
def test_what_led_to_no_score_is_avoided_and_is_never_a_number() -> None:
    search = TpeSearch(SMALL, seed=1)
    rng = random.Random(0)
    for _ in range(40):
        rate = rng.uniform(0.01, 0.2)
        search.tell({"MATRIX_LR": f"{rate:.3f}"}, None if rate > 0.08 else 1.0 + rng.gauss(0, 0.01))
    tries = search.ask(["MATRIX_LR"])
    rates = [float(values(next(tries).source)["MATRIX_LR"]) for _ in range(20)]
    assert sum(rate > 0.09 for rate in rates) <= 4


@needs_optuna
def test_only_the_named_knobs_move_and_the_same_seed_asks_the_same() -> None:
    def asked() -> list[str]:
        search = TpeSearch(OURS, CPU, seed=7)
        tries = search.ask(["MATRIX_LR", "WARMDOWN"])
        return [next(tries).source for _ in range(3)]

    first = asked()
    assert first == asked()
    for source in first:
        moved = {name for name, text in values(source).items() if text != values(OURS)[name]}
        assert moved <= {"MATRIX_LR", "WARMDOWN"}
        assert vet(source, [OURS]) == []


@needs_optuna
def test_searches_with_neighbouring_seeds_draw_different_places() -> None:
    drawn = []
    for seed in range(3):
        search = TpeSearch(SMALL, seed=seed)
        asked = set()
        for _ in range(4):
            found = next(search.ask())
            asked.add(found.source)
            search.tell(values(found.source), None)
        drawn.append(asked)
    assert not drawn[0] & drawn[1]
    assert not drawn[1] & drawn[2]


@needs_optuna
def test_five_hundred_variants_cost_less_than_half_a_second() -> None:
    search, rng = TpeSearch(OURS, CPU, seed=3), random.Random(1)
    next(search.ask())  # optuna is imported once
    names = [axis.name for axis in search.axes if axis.scale == "log"]
    knobs = values(OURS)
    for _ in range(500):
        turned = {n: repr(float(knobs[n]) * rng.uniform(0.5, 2)) for n in rng.sample(names, 3)}
        search.tell(turned, rng.random())
    began = time.thread_time()
    next(search.ask())
    assert time.thread_time() - began < 0.5 * 3  # this box is shared


@needs_optuna
async def test_the_built_in_proposer_asks_it_once_enough_variants_are_measured() -> None:
    rng, relatives = random.Random(4), [Relative(1, OURS, 2.40)]
    for number in range(2, 14):
        rate = round(rng.uniform(0.01, 0.2), 3)
        source = OURS.replace("MATRIX_LR = 0.05", f"MATRIX_LR = {rate}")
        relatives.append(Relative(number, source, None if number == 5 else 2.4 + abs(rate - 0.03)))
    relatives.append(Relative(14, OURS.replace(".square()", ".abs()"), 1.0))  # no variant

    async def share(known: tuple[Relative, ...], seeds: int) -> int:
        told = 0
        for seed in range(seeds):
            brief = Brief(
                operator=Operator.TUNE,
                parents=(ParentView(1, OURS, 2.4),),
                ancestor=None,
                program="",
                history=(),
                seed=seed,
                sigma=0.01,
                budget="200,000 tokens on a CPU",
                relatives=known,
            )
            proposal = await BuiltinProposer().propose(brief)
            assert code_hash(proposal.source) != code_hash(OURS)
            told += "13 measured variants" in proposal.hypothesis
        return told

    assert 1 <= await share(tuple(relatives), 12) <= 10
    assert await share(tuple(relatives[:6]), 4) == 0
