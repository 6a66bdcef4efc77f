"""A whole run in memory: the real rules of acceptance on made-up trainings whose truth is known.

It plays the order of `judging`: baseline repeats, then one child after another; what leads is repeated when `patience`
says so, until it is promoted or turned away; main measured again every so often, and then second chances; what leads
at the end is looked into. Nothing of the rules is written here again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from evolve.acceptance import SIMPLER_LINES, Acceptance, Action, Greedy, Samples
from evolve.beliefs import posteriors
from evolve.chances import Rejected, second_chance
from evolve.model import Candidate, CandidateState, Operator
from evolve.noise import Noise
from evolve.patience import LASTED, Promising, to_confirm
from evolve.seeds import measured

MAIN_LINES = 500


@dataclass
class Run:
    """One simulated run; the truth is in sigmas, lower is better, and the seed is at 0."""

    rule: Acceptance
    rng: random.Random
    share: float = 0.0  # of the variance that a seed brings to whatever is trained with it
    sigma: float = 0.001
    level: float = 1.0
    baselines: int = 3
    remeasure_every: int = 20
    truth: list[float] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    tables: list[dict[int, float]] = field(default_factory=list)
    luck: dict[int, float] = field(default_factory=dict)
    chances: dict[int, int] = field(default_factory=dict)
    main: int = 0
    promoted: list[int] = field(
        default_factory=list
    )  # in order; numbers count from 1, 0 is the seed
    extra: int = 0  # trainings beyond the baselines and one of each child
    noise: Noise = field(default_factory=lambda: Noise(0.001))
    since: int = 0  # trainings since main was measured last
    patient: bool = True  # False: every contender is repeated at once
    waiting: list[int] = field(default_factory=list)  # trained once, and perhaps better than main
    trained: int = 0
    last: dict[int, int] = field(default_factory=dict)  # child to the training that was its latest

    def play(self, gains: Sequence[float], simpler: Sequence[bool] = ()) -> Run:
        """Children whose true gains over main are given, in sigmas."""
        self._add(0.0, MAIN_LINES)
        for _ in range(self.baselines):
            self._train(0)
        for number, gain in enumerate(gains, 1):
            lines = self.lines[self.main] - (10 if simpler and simpler[number - 1] else 0)
            self._add(self.truth[self.main] - gain, lines)
            self._train(number)
            if not self._postponed(number):
                self._contend(number)
            self._confirm()
            if self.remeasure_every and self.since >= self.remeasure_every:
                self._again(self.main)
                self._look_again()
        self._confirm(idle=True)
        return self

    def _postponed(self, number: int) -> bool:
        """May this child be better than main, and is it too early to repeat it?"""
        judgement = self.rule.judge(self._samples(number), self._samples(self.main), self.noise)
        if judgement.action not in (Action.REPEAT_CHALLENGER, Action.REPEAT_INCUMBENT):
            return False
        if not self.patient or to_confirm(self._promising([number])) is not None:
            return False
        self.waiting.append(number)
        return True

    def _confirm(self, *, idle: bool = False) -> None:
        """Repeat what leads, as long as it is worth it; a lead that was not clear at first has to last."""
        if not idle and all(self.trained - self.last[n] < LASTED for n in self.waiting):
            return
        while (leader := to_confirm(self._promising(self.waiting), idle=idle)) is not None:
            self.waiting.remove(leader.id)
            self._contend(leader.id)

    def _promising(self, numbers: Sequence[int]) -> list[Promising]:
        if not numbers:
            return []
        found = posteriors(self._everybody(), self.noise, dict(enumerate(self.tables)))
        return [
            Promising(
                n,
                (found[self.main].mean - found[n].mean) / self.noise.sigma,
                self.trained - self.last[n],
                simpler=self.lines[n] <= self.lines[self.main] - SIMPLER_LINES,
            )
            for n in numbers
        ]

    def _add(self, truth: float, lines: int) -> None:
        self.truth.append(truth)
        self.lines.append(lines)
        self.tables.append({})

    def _train(self, number: int, seed: int | None = None) -> None:
        table = self.tables[number]
        if seed is None:
            seed = next(s for s in count() if s not in table)
        shared = self.luck.setdefault(seed, self.rng.gauss(0, self.share**0.5))
        score = self.truth[number] + shared + self.rng.gauss(0, (1 - self.share) ** 0.5)
        table[seed] = self.level + self.sigma * score
        self.since = 0 if number == self.main else self.since + 1
        self.trained += 1
        self.last[number] = self.trained
        if len(table) > 1:  # single scores say nothing of noise
            self.noise = measured(t for t in self.tables if len(t) > 1)

    def _again(self, number: int, seed: int | None = None) -> None:
        self.extra += 1
        self._train(number, seed)

    def _contend(self, number: int) -> None:
        main_measured = False
        while True:
            judgement = self.rule.judge(self._samples(number), self._samples(self.main), self.noise)
            if judgement.action is Action.REPEAT_CHALLENGER:
                self._again(number)
            elif judgement.action is Action.REPEAT_INCUMBENT:
                self._again(self.main, judgement.seed)
                main_measured = True
            else:
                break
        if judgement.action is Action.PROMOTE:
            self.promoted.append(number)
            self.main = number
        elif main_measured:
            self._look_again()

    def _look_again(self) -> None:
        """Second chances, as long as somebody gets one."""
        if isinstance(self.rule, Greedy):
            return
        found = posteriors(self._everybody(), self.noise, dict(enumerate(self.tables)))
        standing = [
            Rejected(i, self._samples(i), found[i], self.chances.get(i, 0))
            for i in range(len(self.tables))
            if i == self.main or (i not in self.promoted and i not in self.waiting)
        ]
        main = next(s for s in standing if s.id == self.main)
        chosen = second_chance([s for s in standing if s.id], main, self.noise, self.rule)
        if chosen is not None:
            self.chances[chosen[0]] = self.chances.get(chosen[0], 0) + 1
            self._contend(chosen[0])

    def _everybody(self) -> list[Candidate]:
        return [
            Candidate(
                *(i, Operator.MUTATE if i else Operator.SEED, "sim", (0,) if i else ()),
                *("", "", "other", "", "", "", self.lines[i], 0.0, CandidateState.JUDGED),
                fitness=tuple(t.values()),
            )
            for i, t in enumerate(self.tables)
        ]

    def _samples(self, number: int) -> Samples:
        return Samples(self.tables[number], self.lines[number])
