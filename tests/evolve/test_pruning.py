"""Which trainings are stopped early: forecasts from the run's own curves, and a rule that is tested as it goes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from evolve.forecast import ENOUGH, Known, forecast, loss_at
from evolve.model import Experiment, Purpose
from evolve.pruning import (
    FIRST_SHARE,
    FRACTIONS,
    Audit,
    Doom,
    audit,
    doom,
    is_spared,
    loss_form,
    pruning_report,
)
from harness.spec import Outcome
from tests.evolve.test_vetting import PLAIN

Points = list[tuple[float, float]]
GRID = [i / 40 for i in range(1, 41)]


def curve(quality: float, rng: random.Random, slow: float = 0.0) -> Points:
    """A curve that shows the quality more and more clearly; a slow one starts high and catches up."""
    wobble, points = 0.0, []
    for at in GRID:
        wobble = 0.8 * wobble + rng.gauss(0, 0.004)
        loss = 3 + 3 * math.exp(-4 * at) + quality * (0.6 + 1.4 * at) + wobble + slow * (1 - at)
        points.append((at, loss))
    return points


def a_run(size: int = 12, seed: int = 1, slow: tuple[float, ...] = (0.0,)) -> list[Known]:
    rng, known = random.Random(seed), []
    for _ in range(size):
        quality = rng.uniform(0, 0.1)
        points = curve(quality, rng, rng.choice(slow))
        known.append(Known((points,), 1 + quality + rng.gauss(0, 0.002)))
    return known


# ---- curves ----------------------------------------------------------------------------------------------


def test_the_loss_is_averaged_over_what_came_just_before() -> None:
    points = [(0.25, 5.0), (0.27, 3.0), (0.29, 2.0), (0.31, 1.0)]
    assert loss_at(points, 0.3) == pytest.approx(2.5)


def test_where_a_script_prints_seldom_its_neighbours_tell() -> None:
    assert loss_at([(0.24, 4.0), (0.32, 2.0)], 0.3) == pytest.approx(2.5)
    assert loss_at([(0.1, 4.0), (0.5, 2.0)], 0.3) is None
    assert loss_at([(0.1, 4.0)], 0.3) is None
    assert loss_at([], 0.3) is None


def test_nobody_is_stopped_who_prints_no_loss_or_none_that_is_a_number() -> None:
    known = a_run()
    assert doom([], known, 1.05, 0.02) is None
    assert doom([(at, math.nan) for at in GRID], known, 1.05, 0.02) is None
    assert doom([(at, math.inf) for at in GRID], known, 1.05, 0.02) is None


# ---- forecasts -------------------------------------------------------------------------------------------


def test_a_hopeless_training_is_stopped_at_the_first_look() -> None:
    flat = [(at, 6.0) for at in GRID if at < 0.4]  # a learning rate of 0
    found = doom(flat, a_run(), 1.05, 0.02)
    assert found is not None
    assert found.fraction == FRACTIONS[0]
    assert found.score > 1.3
    assert found.chance < 0.02
    assert found.sentence().startswith("Stopped early at 30%: its loss of 6.0000 foretells")


def test_a_good_one_is_not_and_neither_is_a_middling_one_that_may_live() -> None:
    rng = random.Random(5)
    assert doom(curve(0.0, rng), a_run(), 1.05, 0.02) is None
    assert doom(curve(0.05, rng), a_run(), 1.05, 0.02) is None


def test_looks_that_are_behind_it_are_not_repeated() -> None:
    flat = [(at, 6.0) for at in GRID if at < 0.5]
    found = doom(flat, a_run(), 1.05, 0.02, after=0.3)
    assert found is not None
    assert found.fraction == 0.45
    assert doom(flat, a_run(), 1.05, 0.02, after=0.45) is None


def test_without_enough_finished_curves_nothing_is_foretold() -> None:
    known = a_run(ENOUGH)
    assert forecast(6.0, 0.3, known) is not None
    assert forecast(6.0, 0.3, known[:-1]) is None
    repeated = [Known((*known[0].curves, *known[1].curves), 1.0)] * (ENOUGH - 1)
    assert forecast(6.0, 0.3, repeated) is None  # repeats of a script are one script


def test_a_slow_starter_is_spared_where_the_run_has_seen_slow_starters() -> None:
    """Curves may cross: how surely an early loss tells the end is read off this run."""
    rng = random.Random(3)
    slow = curve(0.0, rng, slow=0.25)
    seen = a_run(30, slow=(0.0, 0.1, 0.25))
    assert doom(slow, seen, 1.03, 0.02) is None
    early = forecast(slow[11][1], 0.3, seen)
    late = forecast(slow[35][1], 0.9, seen)
    assert early is not None
    assert late is not None
    assert early.spread > 2 * late.spread
    hopeless = doom(curve(0.5, rng), seen, 1.03, 0.02)
    assert hopeless is not None


def test_curves_that_say_nothing_stop_next_to_nobody() -> None:
    stopped = 0
    for seed in range(10):
        rng = random.Random(seed)
        known = [
            Known(([(at, 3 + rng.uniform(0, 0.5)) for at in GRID],), rng.uniform(1, 1.1))
            for _ in range(40)
        ]
        for _ in range(40):
            high = rng.uniform(0, 0.5)
            stopped += doom([(at, 3 + high) for at in GRID], known, 1.03, 0.02) is not None
    assert stopped <= 0.02 * 400


def test_where_a_lower_loss_means_a_worse_score_nothing_is_foretold() -> None:
    turned = [Known(k.curves, -k.score) for k in a_run()]
    assert forecast(3.5, 0.6, turned) is None


def test_scripts_with_another_kind_of_loss_are_not_compared() -> None:
    assert loss_form(PLAIN) == loss_form(PLAIN.replace("0.9", "0.91") + "\n# another loss\n")
    assert "reduction=reduction)" in PLAIN
    smoothed = PLAIN.replace("reduction=reduction)", "reduction=reduction, label_smoothing=0.1)")
    assert loss_form(smoothed) != loss_form(PLAIN)


# ---- a whole run -----------------------------------------------------------------------------------------


def evolve(
    seed: int, curve_of: Callable[[int, float, random.Random], Points], children: int = 120
) -> tuple[int, int, float, Audit]:
    """Screen children against a population of eight; returns stopped, wrongly so, trainings saved, the audit."""
    rng, found = random.Random(seed), Audit()
    known: list[Known] = []
    living: list[float] = []
    stopped = wrongly = 0
    saved = 0.0
    for number in range(children):
        broken = rng.random() < 0.15
        quality = rng.uniform(0.1, 0.5) if broken else abs(rng.gauss(0, 0.03)) - 0.01
        score = 1 + quality + rng.gauss(0, 0.002)
        points = curve_of(number, quality, rng)
        limit = sorted(living)[7] if len(living) >= 8 and not found.failed else -math.inf
        end = doom(points, known, limit, 0.02) if limit > 0 else None
        if end is not None and not is_spared(f"run{seed}", number, found.share(0.05)):
            stopped, wrongly, saved = (
                stopped + 1,
                wrongly + (score < limit),
                saved + 1 - end.fraction,
            )
            continue
        if end is not None:
            found = Audit(found.finished + 1, found.wrong + (score < limit))
        living.append(score)
        known.append(Known((points,), score))
    return stopped, wrongly, saved, found


def test_an_honest_rule_saves_a_quarter_of_the_time_and_is_not_switched_off() -> None:
    runs = [evolve(seed, lambda _, quality, rng: curve(quality, rng)) for seed in range(12)]
    assert sum(wrongly for _, wrongly, _, _ in runs) <= 0.01 * sum(run[0] for run in runs)
    assert sum(saved for _, _, saved, _ in runs) > 0.2 * 12 * 120
    assert not any(found.failed for *_, found in runs)
    assert all(found.finished for *_, found in runs)  # it was tested


def test_nor_is_one_where_slow_starters_are_common() -> None:
    def some_slow(_: int, quality: float, rng: random.Random) -> Points:
        return curve(quality, rng, rng.choice((0.0, 0.0, 0.08, 0.2)))

    runs = [evolve(seed, some_slow) for seed in range(12)]
    assert sum(wrongly for _, wrongly, _, _ in runs) <= 0.02 * sum(run[0] for run in runs)
    assert sum(saved for _, _, saved, _ in runs) > 0.1 * 12 * 120
    assert not any(found.failed for *_, found in runs)


def test_where_curves_suddenly_lie_the_run_itself_ends_it() -> None:
    """Fifteen honest curves, then curves that say nothing: the audit or the next regression ends the stopping."""

    def lies(number: int, quality: float, rng: random.Random) -> Points:
        high = rng.uniform(0.2, 0.6)
        return curve(quality, rng) if number < 15 else [(a, p + high) for a, p in curve(0.0, rng)]

    for seed in range(6):
        early = evolve(seed, lies, children=120)
        late = evolve(seed, lies, children=240)
        assert late[0] - early[0] <= 15, "it goes on and on"


# ---- the audit -------------------------------------------------------------------------------------------


def judged(rate: float, doomed: int, seed: int, spare: float = 0.05) -> tuple[int | None, int]:
    """Audit a rule of which a share of `rate` is wrong: at which doomed child it ends, and how many were spared."""
    rng, found, spared = random.Random(seed), Audit(), 0
    for number in range(1, doomed + 1):
        if is_spared(f"run{seed}", number, found.share(spare)):
            spared += 1
            found = Audit(found.finished + 1, found.wrong + (rng.random() < rate))
            if found.failed:
                return number, spared
    return None, spared


def test_a_lying_rule_is_caught_and_an_honest_one_is_not() -> None:
    lying = [judged(0.4, 120, seed)[0] for seed in range(100)]
    caught = sorted(number for number in lying if number is not None)
    assert len(caught) >= 90
    assert caught[len(caught) // 2] <= 30  # within the night
    honest = [judged(0.02, 300, seed) for seed in range(100)]
    assert sum(end is not None for end, _ in honest) <= 2
    assert sum(spared for _, spared in honest) < 0.08 * 300 * 100


def test_after_a_mistake_it_is_tested_at_every_other_turn_until_the_doubt_is_gone() -> None:
    assert Audit().share(0.05) == FIRST_SHARE
    assert Audit(5, 0).share(0.05) == 0.05
    assert Audit(5, 0).share(0.3) == 0.3
    assert Audit(5, 1).share(0.05) == 0.5
    assert Audit(40, 1).share(0.05) == 0.05
    assert not Audit(1, 1).failed
    assert Audit(2, 2).failed


def test_the_lot_is_the_same_after_a_restart_and_another_in_another_run() -> None:
    drawn = [is_spared("a", number, 0.05) for number in range(4000)]
    assert drawn == [is_spared("a", number, 0.05) for number in range(4000)]
    assert drawn != [is_spared("b", number, 0.05) for number in range(4000)]
    assert 150 < sum(drawn) < 250


def experiment(number: int, fitness: float | None, spared: bool, **more: object) -> Experiment:
    said = Doom(0.45, 3.2, 2.6, 2.5, 0.004, spared).data()
    outcome = Outcome.OK if fitness is not None else Outcome.PRUNED
    plain = {"outcome": outcome, "fitness": fitness, "pruning": said, "total_seconds": 150.0}
    return Experiment(number, number, Purpose.SCREEN, 0, 0.0, **(plain | more))  # type: ignore[arg-type]


def test_only_the_spared_with_a_score_that_counts_say_something() -> None:
    told = [
        experiment(1, 2.4, True),
        experiment(2, 2.7, True),
        experiment(3, None, False),
        experiment(4, None, True, outcome=Outcome.CRASH),
        experiment(5, 2.3, True, discounted="the machine drifted"),
        experiment(6, 2.3, False, pruning=None),
    ]
    assert audit(told) == Audit(finished=2, wrong=1)


def test_the_report_is_a_sentence_and_nothing_before_there_is_anything() -> None:
    whole = [experiment(n, 2.4, False, pruning=None, total_seconds=330.0) for n in range(9)]
    assert pruning_report(whole) == ""
    assert pruning_report([*whole, *(experiment(n, None, False) for n in range(10, 30))]) == (
        "20 stopped early, 60 minutes saved; none of the doomed was let finish yet."
    )
    assert "0 of 1 that were let finish" in pruning_report([*whole, experiment(10, 2.7, True)])
