"""What all measured changes of constants together say about each: a response surface, and draws from what is believed.

Response surface methodology (Box and Wilson 1951) as a Bayesian regression: along each knob the score is a parabola in
the knob's own unit, knobs add up, and every attempt, also one that turned several, is one noisy difference between two
places. Thompson sampling on it (Thompson 1933; Russo et al. 2018) brings bold steps on promising knobs first, further
steps where it went well, and smaller ones as the parabola is known. Pure; numpy is imported when it is needed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from evolve.propose.history import FAILURES
from evolve.propose.lessons import number, parse_change
from evolve.propose.moves import classify
from evolve.propose.operators import Attempt

if TYPE_CHECKING:
    import numpy

    Floats = numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.float64]]

MEMORY = 200  # newest attempts that count
LEAST_SPREAD, MOST_SPREAD = 1.0, 20.0  # of what one unit of a knob does, in sigmas
CURVATURE = 0.3  # harm of a unit's step off the best place, of that spread; and as uncertain
_PARTS = 2  # numbers behind a knob: slope and curvature

# What a bold step is, by kind: a factor, or a difference where the scale is linear.
_FACTOR = {"rate": 2.0, "decay": 3.0, "gain": 1.5, "angle": 4.0, "size": 1.4, "width": 1.4}
_DIFFERENCE = {"fraction": 0.2, "phase": 0.2, "count": 1.0, "heads": 1.0}


def place(kind: str, text: str) -> float | None:
    """Where a literal lies along its knob, in bold steps of that kind; None for what is no place on a line."""
    value = number(text)
    if value is None or not math.isfinite(value):
        return None
    if kind in _DIFFERENCE:
        return value / _DIFFERENCE[kind]
    if kind == "momentum":  # the horizon 1 / (1 - beta)
        return -math.log2(1 - value) if value < 1 else None
    return math.log(value) / math.log(_FACTOR.get(kind, 2.0)) if value > 0 else None


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a constant or of code, by its name, as the history and the proposals write it."""

    name: str
    old: str
    new: str
    kind: str  # of the knob; "" = not a number
    weight: float = 1.0  # how promising the knob is before anything is known
    lean: float = 0.0  # what a bold step up is expected to do then, in spreads; negative is better

    def key(self) -> str:
        """What its effect is filed under: the knob, or for a choice the knob with the choice."""
        line = place(self.kind, self.old) is not None and place(self.kind, self.new) is not None
        return self.name if line else f"{self.name} -> {self.new}"


class Surface:
    """The belief about every knob after some attempts; `draw` gives one world that it holds possible."""

    def __init__(self, history: Sequence[Attempt], sigma: float | None) -> None:
        """`history` oldest first, `sigma` the noise of one training, in bits per byte."""
        self._sigma = sigma or 0.001
        self._seen = [
            (steps, attempt.delta_bpb)
            for attempt in history[-MEMORY:]
            if attempt.delta_bpb is not None and attempt.status not in FAILURES
            if (steps := _steps(attempt))
        ]
        sizes = [abs(delta) for _, delta in self._seen]
        typical = 1.5 * median(sizes) / self._sigma if len(sizes) >= 4 else 2.0
        self._spread = self._sigma * min(MOST_SPREAD, max(LEAST_SPREAD, typical))

    def draw(self, options: Sequence[Step], rng: random.Random) -> Draw:
        """A possible world for these options: how much each would change the score. Milliseconds."""
        import numpy

        offered = {option.key(): option for option in options}
        here = {option.name: option.old for option in options}
        index = {key: i for i, key in enumerate(dict.fromkeys([*offered, *self._keys()]))}
        mean, precision = self._prior(index, offered)
        rows = [self._row(steps, index, here) for steps, _ in self._seen]
        if rows:
            design, noise = numpy.array(rows), 2 * self._sigma**2
            seen = numpy.array([delta for _, delta in self._seen])
            target = precision * mean + design.T @ seen / noise
            whole = numpy.diag(precision) + design.T @ design / noise
            mean = numpy.linalg.solve(whole, target)
        else:
            whole = numpy.diag(precision)
        luck = numpy.array([rng.gauss(0.0, 1.0) for _ in range(len(mean))])
        world = mean + numpy.linalg.solve(numpy.linalg.cholesky(whole).T, luck)
        return Draw({o: float(numpy.dot(world, self._row([o], index, here))) for o in options})

    # ---- private -----------------------------------------------------------------------------------------

    def _keys(self) -> list[str]:
        return [step.key() for steps, _ in self._seen for step in steps]

    def _prior(
        self, index: Mapping[str, int], offered: Mapping[str, Step]
    ) -> tuple[Floats, Floats]:
        """Mean and precision: a slope may be either way, and away from where it stands it rather bends upwards."""
        import numpy

        mean = numpy.zeros(_PARTS * len(index))
        precision = numpy.ones(_PARTS * len(index))
        for key, i in index.items():
            step = offered.get(key)
            spread = self._spread * math.sqrt(max(0.05, step.weight if step else 1.0))
            mean[_PARTS * i] = spread * (step.lean if step else 0.0)
            mean[_PARTS * i + 1] = CURVATURE * spread
            precision[_PARTS * i] = spread**-2
            precision[_PARTS * i + 1] = (CURVATURE * spread) ** -2
        return mean, precision

    def _row(
        self, steps: Sequence[Step], index: Mapping[str, int], here: Mapping[str, str]
    ) -> Floats:
        """What an attempt measures of the unknowns: the difference of two places on each parabola.

        Places are counted from where the knob stands now (`here`), so a slope is the slope there.
        """
        import numpy

        row = numpy.zeros(_PARTS * len(index))
        for step in steps:
            i = _PARTS * index[step.key()]
            old, new = place(step.kind, step.old), place(step.kind, step.new)
            if old is None or new is None:
                row[i] += 1.0
            else:
                origin = place(step.kind, here.get(step.name, step.old))
                origin = old if origin is None else origin
                row[i] += new - old
                row[i + 1] += (new - origin) ** 2 - (old - origin) ** 2
        return row


@dataclass(frozen=True, slots=True)
class Draw:
    """One possible world: the change of the score by option, bits per byte; negative is better."""

    effects: Mapping[Step, float]

    def best(self, options: Sequence[Step]) -> Step:
        """The most promising of some options."""
        return min(options, key=lambda option: self.effects[option])


def _steps(attempt: Attempt) -> tuple[Step, ...]:
    steps = []
    for change in attempt.changes:
        name, old, new = parse_change(change)
        if name:
            kind = classify(name, old)
            steps.append(Step(name, old, new, kind.name if kind else ""))
    return tuple(steps)
