"""What selection goes by: bits per byte, and what else a person said that a training is worth. Pure.

`[metric]` prices speed, memory, length and steadiness in bits per byte, so that everything downstream (noise, posterior,
acceptance, population) goes on with one number. With the default weights that number is val_bpb, bit for bit. A figure
that is missing is an error with a name, never a number; what only the script says about itself can cost, never pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from evolve.model import EvolveError
from harness.spec import CurvePoint

MOST = 2.0  # doublings of speed, or halvings of memory or length, that pay; beyond them nothing is gained
SECOND_HALF = 0.5  # share of the budget from which on a loss curve is looked at
WINDOW = 9  # points of the running median
FEWEST = 2 * WINDOW  # points in the second half without which roughness is not known
SPIKE = 6.0  # robust deviations from the running median at which a point is a spike
_NORMAL = 1.4826  # a median deviation as the standard deviation of normal noise


class MissingFigure(EvolveError):
    """A weight asks for a figure that this training does not have."""

    def __init__(self, figure: str) -> None:
        """`figure` is the name of the setting that asks for it."""
        super().__init__(f"[metric] {figure} needs a figure that this training does not have.")
        self.figure = figure


@dataclass(frozen=True, slots=True)
class Weights:
    """What one unit of each figure is worth, in bits per byte; 0 = nothing, and the figure is not asked for."""

    val_bpb: float = 1.0
    tokens_per_second: float = 0.0  # for twice the speed
    peak_memory: float = 0.0  # for half the memory
    lines: float = 0.0  # for half the lines
    stability: float = 0.0  # for each nat by which the loss curve is rougher than the baseline's
    memory_limit_mb: float = 0.0  # soft; 0 = none
    memory_penalty: float = 0.0  # for exceeding the limit by all of itself; linear

    @property
    def plain(self) -> bool:
        """Is fitness val_bpb and nothing else, whatever a training measures?"""
        return not self.composite and not self.limited

    @property
    def composite(self) -> bool:
        """Does anything beside val_bpb pay, so that a worse score may be the better training?"""
        extras = (self.tokens_per_second, self.peak_memory, self.lines, self.stability)
        return self.val_bpb != 1.0 or any(extras)

    @property
    def limited(self) -> bool:
        """Is there a soft limit of memory?"""
        return bool(self.memory_limit_mb and self.memory_penalty)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one training measured. None = not known."""

    val_bpb: float
    tokens_per_second: float | None = None  # by the trusted meter
    memory_mb: float | None = None  # peak, measured from outside the script
    lines: int | None = None  # of the normalised code: neither comments nor layout count
    roughness: float | None = None  # nats, of the losses that the script printed


def terms(weights: Weights, figures: Figures, reference: Figures) -> dict[str, float]:
    """The parts of fitness by setting, bits per byte; their sum is the fitness, lower is better.

    Ratios count in doublings against `reference`, the run's first scored training of the baseline: twice the speed, half
    the memory or half the lines each earn their weight, and half the speed costs it. In a difference of two trainings the
    reference cancels, except beyond `MOST`. Raises MissingFigure where a weight has no figure to go by.
    """
    found = {"val_bpb": weights.val_bpb * figures.val_bpb}
    speed, base_speed = figures.tokens_per_second, reference.tokens_per_second
    for name, weight, more, less in (
        ("tokens_per_second", weights.tokens_per_second, base_speed, speed),
        ("peak_memory", weights.peak_memory, figures.memory_mb, reference.memory_mb),
        ("lines", weights.lines, figures.lines, reference.lines),
    ):
        if weight:
            if not more or not less:
                raise MissingFigure(name)
            found[name] = weight * max(-MOST, math.log2(more / less))
    if weights.stability:
        if figures.roughness is None or reference.roughness is None:
            raise MissingFigure("stability")
        # The script prints its own losses, so smoothness earns nothing: a lie can only spare it a penalty.
        found["stability"] = weights.stability * max(0.0, figures.roughness - reference.roughness)
    if weights.limited:
        if figures.memory_mb is None:
            raise MissingFigure("memory_limit_mb")
        beyond = figures.memory_mb / weights.memory_limit_mb - 1.0
        found["memory_limit_mb"] = weights.memory_penalty * max(0.0, beyond)
    return found


def fitness(weights: Weights, figures: Figures, reference: Figures) -> float:
    """Bits per byte that selection goes by, lower is better; val_bpb itself with the default weights.

    Raises MissingFigure like `terms`.
    """
    return sum(terms(weights, figures, reference).values())


def roughness(curve: Sequence[CurvePoint]) -> float | None:
    """How unsteady the second half of a loss curve is, in nats; None with fewer than `FEWEST` points there.

    The robust deviation from a running median, plus what spikes stick out by, averaged over all points: a curve of small
    steady noise and one of rare large jumps are both rough. The trend itself does not count.
    """
    losses = [point.loss for point in curve if point.fraction >= SECOND_HALF]
    if len(losses) < FEWEST:
        return None
    gaps = _gaps(losses)
    scale = _NORMAL * median(gaps)
    return scale + sum(max(0.0, gap - SPIKE * scale) for gap in gaps) / len(gaps)


def _gaps(losses: Sequence[float]) -> list[float]:
    """Distance of each loss from the median of those around it; itself left out, so that a zigzag is seen."""
    half = WINDOW // 2
    return [
        abs(loss - median([*losses[max(0, i - half) : i], *losses[i + 1 : i + half + 1]]))
        for i, loss in enumerate(losses)
    ]
