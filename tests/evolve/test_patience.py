"""Which child is repeated when, and that patience brings main further than repeating every contender at once."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from evolve.acceptance import Action, Confirmed, Samples
from evolve.beliefs import posteriors
from evolve.boot import boot
from evolve.choosing import EXPLOIT, MAYBE_BEST, front
from evolve.engine import Engine
from evolve.model import Candidate, CandidateState, Operator, Purpose
from evolve.patience import CLEAR, CLOSING, LASTED, Promising, to_confirm
from evolve.population import Member, choose_parents
from evolve.seeds import measured
from evolve.workspace import create
from harness.spec import ExperimentSpec, Result
from tests.evolve.test_engine import ShortSlot, overrides
from tests.evolve.workbench import scored


def test_a_clear_lead_is_confirmed_at_once_and_a_small_one_when_it_has_lasted() -> None:
    clear, small = Promising(2, CLEAR, 0), Promising(3, 1.0, LASTED - 1)
    assert to_confirm([small]) is None
    assert to_confirm([small, clear]) == clear
    assert to_confirm([replace(small, waited=LASTED)]) == replace(small, waited=LASTED)
    assert to_confirm([]) is None


def test_only_the_leader_is_repeated() -> None:
    """One that waits for longer, but is behind, would be measured for nothing when the leader becomes main."""
    leader, other = Promising(4, 2.0, 1), Promising(3, 1.0, LASTED)
    assert to_confirm([other, leader]) is None
    assert to_confirm([other, replace(leader, waited=LASTED)]) == replace(leader, waited=LASTED)


@pytest.mark.parametrize("ending", [{"left": CLOSING}, {"idle": True}])
def test_at_the_end_a_lead_is_looked_into_that_has_not_lasted(ending: dict[str, float]) -> None:
    young, hopeless = Promising(5, 1.0, 0), Promising(6, 0.0, 0)
    assert to_confirm([young, hopeless], **ending) == young  # type: ignore[arg-type]
    assert to_confirm([hopeless], **ending) is None  # type: ignore[arg-type]
    assert to_confirm([young], left=CLOSING + 1) is None


def test_a_simpler_child_need_not_lead() -> None:
    simpler = Promising(7, -0.8, LASTED, simpler=True)
    assert to_confirm([simpler]) == simpler
    assert to_confirm([replace(simpler, simpler=False)]) is None


# ---- what it is worth ------------------------------------------------------------------------------------


class Climb:
    """A search on a made-up landscape: parabolas of which a few matter, noise of one sigma, half of it by the seed."""

    def __init__(self, seed: int, *, patient: bool) -> None:
        rng = random.Random(seed)
        self.rng, self.patient = random.Random(f"{seed} search"), patient
        weights = [rng.paretovariate(1.2) for _ in range(20)]
        self.weights = [w * 12 / sum(weights) for w in weights]
        self.luck = [rng.gauss(0, math.sqrt(0.5)) for _ in range(200)]
        self.places = {1: [rng.choice((-1, 1)) * rng.uniform(0.3, 1.6) for _ in range(20)]}
        self.known = {1: _candidate(1, ())}
        self.tables: dict[int, dict[int, float]] = {1: {}}
        self.main, self.spent = 1, 0
        self.last: dict[int, int] = {}

    def truth(self, number: int) -> float:
        """Bits per byte at a level at which the first guess of the noise is about right."""
        return 2000.0 + sum(
            w * x * x for w, x in zip(self.weights, self.places[number], strict=True)
        )

    def gain(self, trainings: int) -> float:
        """Sigmas by which main truly has become better."""
        for _ in range(3):
            self._train(1)
        turned_away: set[int] = set()
        while self.spent < trainings:
            if (number := self._contender(turned_away, trainings - self.spent)) is None:
                self._child()
            elif not self._advance(number):
                turned_away.add(number)
        return self.truth(1) - self.truth(self.main)

    def greedy(self, trainings: int) -> float:
        """The same by the ancestor's rule: always the same seed, strictly better is kept."""
        self._train(1)
        while self.spent < trainings:
            self._offspring(self.main)
            newest = len(self.known)
            if self.tables[newest][0] < self.tables[self.main][0]:
                self.main = newest
        return self.truth(1) - self.truth(self.main)

    def _contender(self, turned_away: set[int], left: int) -> int | None:
        noise = measured(self.tables.values())
        found = posteriors(list(self.known.values()), noise, self.tables)
        begun = [n for n, t in self.tables.items() if len(t) > 1 and n not in turned_away]
        if open_ := [n for n in begun if n not in (1, self.main)]:
            return open_[0]
        promising = [
            Promising(n, (found[self.main].mean - found[n].mean) / noise.sigma, self._waited(n))
            for n in found
            if len(self.tables[n]) == 1 and n not in turned_away
        ]
        if not self.patient:
            hopeful = [p for p in promising if p.waited == 0 and p.lead > 0]
            return hopeful[0].id if hopeful else None
        leader = to_confirm(promising, left=left)
        return None if leader is None else leader.id

    def _advance(self, number: int) -> bool:
        """One step of a confirmation; False when it is turned away."""
        judgement = Confirmed().judge(
            Samples(self.tables[number]),
            Samples(self.tables[self.main]),
            measured(self.tables.values()),
        )
        if judgement.action is Action.REPEAT_CHALLENGER:
            self._train(number)
        elif judgement.action is Action.REPEAT_INCUMBENT:
            self._train(self.main, judgement.seed)
        elif judgement.action is Action.PROMOTE:
            self.main = number
        return judgement.action is not Action.REJECT

    def _child(self) -> None:
        noise = measured(self.tables.values())
        found = posteriors(list(self.known.values()), noise, self.tables)
        best = sorted(found, key=lambda n: found[n].mean)[:6]
        members = [Member(n, found[n], children=self.known[n].children) for n in best]
        if self.rng.random() < EXPLOIT:
            members = front(members, MAYBE_BEST)
        (parent,) = choose_parents(members, self.rng, Operator.MUTATE)
        self._offspring(parent)

    def _offspring(self, parent: int) -> None:
        self.known[parent] = replace(self.known[parent], children=self.known[parent].children + 1)
        number = len(self.known) + 1
        place = list(self.places[parent])
        for _ in range(self.rng.choice((1, 1, 2))):
            place[self.rng.randrange(20)] += self.rng.choice((-1, 1)) * self.rng.uniform(0.2, 1.2)
        self.places[number], self.tables[number] = place, {}
        self.known[number] = _candidate(number, (parent,))
        self._train(number)

    def _train(self, number: int, seed: int | None = None) -> None:
        table = self.tables[number]
        seed = len(table) if seed is None else seed
        table[seed] = self.truth(number) + self.luck[seed] + self.rng.gauss(0, math.sqrt(0.5))
        self.known[number] = replace(self.known[number], fitness=tuple(table.values()))
        self.spent += 1
        self.last[number] = self.spent

    def _waited(self, number: int) -> int:
        return self.spent - self.last[number]


def _candidate(number: int, parents: tuple[int, ...]) -> Candidate:
    words = ("", "", "other", "", "", "")
    return Candidate(
        number, Operator.MUTATE, "sim", parents, *words, 500, 0.0, CandidateState.JUDGED
    )


def test_with_the_same_trainings_patience_brings_main_further() -> None:
    patient, hasty = (
        fmean(Climb(seed, patient=patience).gain(80) for seed in range(24))
        for patience in (True, False)
    )
    assert patient > hasty + 0.2
    assert patient > 3.0


class SlightlyBetter(ShortSlot):
    """Every child is better than the start by about a sigma and a half: too little to be repeated at once."""

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        self.seeds.setdefault(spec.source, []).append(spec.seed)
        start = next(iter(self.seeds))
        return scored(spec, 2.0 + 0.002 * (spec.seed % 3) - 0.0016 * (spec.source != start))


async def test_what_leads_is_measured_again_before_a_run_ends_by_its_number_of_children(
    tmp_path: Path,
) -> None:
    workspace = tmp_path / "work"
    create(workspace)
    rules = overrides(tmp_path) | {"stop.candidates": "3"}
    with boot(
        workspace, overrides=rules, name=None, allow_weak_sandbox=True, on_event=None
    ) as ready:
        assert await Engine(ready, SlightlyBetter()).run() == 0
        journal = ready.context.journal
        told = [e for e in journal.events(limit=500) if e.kind == "contender"]
        assert told
        assert "measured again" in told[0].text
        leader = journal.candidate(told[0].candidate or 0)
        assert len(leader.scores) > 1
        trained = [e for e in journal.all_experiments() if e.purpose is Purpose.SCREEN]
        assert len(trained) == 3
        assert journal.experiments(leader.id)[1].id > trained[-1].id  # after the last child
        assert journal.run().state == "finished"
