"""What several sections of a report need, counted once: trainings, calls, what main has gained, what the device did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from evolve.model import Candidate, Experiment, LlmCall, Smoke, Verdict
from evolve.noise import t_cdf
from evolve.outlook import Look
from evolve.seeds import Difference, difference
from evolve.trends import Trend

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_DAY = 86400.0  # seconds; no gap between two trainings is longer, short of a clock that was set


@dataclass(frozen=True, slots=True)
class Times:
    """Where the time of the device went, in seconds."""

    span: float  # from the first training's start to the end of the last one
    busy: float  # with trainings and what surrounds them
    idle: float  # between one and the next
    gaps: tuple[float, ...]  # each of those
    setup: float  # until the clock started: launch, imports, the first batch, compiling
    training: float  # on the budget's clock
    scoring: float
    smoke: float  # runs of a few steps before a first training

    @property
    def other(self) -> float:
        """Audits, saving, leaving: what is left of the busy time."""
        return max(0.0, self.busy - self.setup - self.training - self.scoring)


class Facts:
    """What was gathered, with what is counted from it. Only as long as the gathering lasts."""

    def __init__(self, gathered: Gathered) -> None:
        self.gathered = gathered
        self.run = gathered.run
        self.noise = gathered.noise

    @cached_property
    def experiments(self) -> tuple[Experiment, ...]:
        """Every training, oldest first, without curves and logs."""
        return tuple(self.gathered.experiments())

    @cached_property
    def calls(self) -> tuple[LlmCall, ...]:
        """Every call of a language model, oldest first."""
        return tuple(self.gathered.calls())

    @cached_property
    def smokes(self) -> tuple[Smoke, ...]:
        """Every smoke run, oldest first."""
        return tuple(self.gathered.smokes())

    @cached_property
    def unit(self) -> str:
        """What scores are in."""
        return "bpb" if self.goes_by == "val_bpb" else "fitness, bpb"

    @property
    def goes_by(self) -> str:
        """What selection goes by, in words."""
        return self.run.fingerprint.get("metric", "val_bpb")

    @property
    def device(self) -> str:
        """`GPU` or `CPU`."""
        return "CPU" if self.run.fingerprint.get("device", "").lower().startswith("cpu") else "GPU"

    @property
    def ended(self) -> bool:
        """Is the run over?"""
        return self.run.state in ("finished", "stopped", "failed")

    @cached_property
    def main(self) -> Candidate | None:
        """What main holds; None before the baseline."""
        number = self.run.incumbent
        return None if number is None else self.gathered.candidate(number)

    @cached_property
    def baseline(self) -> Candidate | None:
        """What the run began with; None before it was measured."""
        path, everybody = self.gathered.path, self.gathered.everybody
        found = next((c for c in everybody if c.verdict is Verdict.BASELINE), None)
        return found or (self.gathered.candidate(path[0].candidate) if path else None)

    @cached_property
    def gained(self) -> Difference | None:
        """Main over the baseline, by all their scores; None while main is the baseline, or has no score."""
        if self.main is None or self.baseline is None or self.main.id == self.baseline.id:
            return None
        ours = self.gathered.scores.get(self.main.id)
        theirs = self.gathered.scores.get(self.baseline.id)
        return difference(ours, theirs, self.noise) if ours and theirs else None

    @cached_property
    def margin(self) -> float:
        """Half of the 95 % interval of `gained`; 0 without it."""
        return self.gained.sd * quantile(0.975, self.gained.freedom) if self.gained else 0.0

    @cached_property
    def confirmed(self) -> bool:
        """Main and the baseline were both repeated, and the 95 % interval of the gain is above nothing."""
        found = self.gained
        if found is None or self.main is None or self.baseline is None:
            return False
        counts = [len(self.gathered.scores[c.id]) for c in (self.main, self.baseline)]
        return min(counts) > 1 and found.gain > self.margin

    @cached_property
    def times(self) -> Times:
        """Where the time went."""
        phases = [0.0, 0.0, 0.0]
        sql = "SELECT candidate, setup_seconds, train_seconds, eval_seconds FROM experiment"
        for row in self.gathered.journal.each_row(sql):
            for place in range(3):
                phases[place] += row[place + 1] or 0.0
        return _times(self.experiments, self.smokes, phases)

    @cached_property
    def device_seconds(self) -> float:
        """Of all trainings and smoke runs."""
        return self.times.busy + self.times.smoke

    @cached_property
    def dollars(self) -> float:
        """Paid for calls of language models."""
        return sum(call.dollars for call in self.calls if call.status != "reserved")

    @cached_property
    def _look(self) -> Look:
        return Look(self.gathered.journal, self.run.incumbent)

    def trends(self, by: str) -> tuple[Trend, ...]:
        """What children have come to, by category, operator, model or prompt."""
        return self._look.trends(by)


def quantile(chance: float, freedom: float) -> float:
    """The value that Student's t stays below with that chance (0.5…1), by bisection."""
    low, high = 0.0, 1e3
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < chance else (low, middle)
    return high


def _times(
    experiments: Sequence[Experiment], smokes: Sequence[Smoke], phases: Sequence[float]
) -> Times:
    ended = [e for e in experiments if e.finished is not None]
    busy, gaps, last = 0.0, list[float](), None
    for one in sorted(ended, key=lambda e: e.started):
        finished = one.finished or one.started
        took = finished - one.started
        busy += took if 0 <= took <= _DAY else one.total_seconds
        if last is not None and 0 <= one.started - last <= _DAY:
            gaps.append(one.started - last)
        last = finished
    smoke = sum(s.seconds for s in smokes)
    idle = max(0.0, sum(gaps) - smoke)  # smoke runs stand between trainings
    setup, training, scoring = phases
    return Times(busy + sum(gaps), busy, idle, tuple(gaps), setup, training, scoring, smoke)
