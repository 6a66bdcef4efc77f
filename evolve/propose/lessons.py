"""What the history teaches about each thing that can be changed: what helped, what failed, what was tried.

Pure. It reads `Attempt.changes` ("MATRIX_LR: 0.04 -> 0.05") with their deltas; it proposes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evolve.propose.history import FAILURES as FAILED
from evolve.propose.history import gained
from evolve.propose.operators import Attempt

MEMORY = 24  # attempts after which a failure is forgotten: the code around it has changed by then
FAILURES = 1.0  # without a score, after which a direction is left alone for as long


@dataclass(frozen=True, slots=True)
class Trial:
    """One change that was tried."""

    old: str
    new: str
    helped: bool
    weight: float  # 1 when it was the only change of its attempt, else its share
    broke: bool = False  # no score came of it


@dataclass(frozen=True, slots=True)
class Lessons:
    """Trials by name, newest last."""

    trials: dict[str, tuple[Trial, ...]]

    def of(self, name: str) -> tuple[Trial, ...]:
        """All that was tried with `name`, newest last."""
        return self.trials.get(name, ())

    def helped(self, name: str) -> Trial | None:
        """The newest trial of `name`, when it helped."""
        trials = self.of(name)
        return trials[-1] if trials and trials[-1].helped else None

    def broke(self, name: str, direction: int) -> float:
        """How often a step of `name` in that direction (+1, -1; 0 for a choice) led to no score, shared ones in part."""
        return sum(
            trial.weight
            for trial in self.of(name)
            if trial.broke and direction_of(trial.old, trial.new) == direction
        )

    def tried(self, name: str, old: str, new: str) -> bool:
        """True when exactly this step was taken before."""
        return any(trial.old == old and trial.new == new for trial in self.of(name))


def learn(history: Sequence[Attempt], sigma: float | None) -> Lessons:
    """Read the attempts, oldest first. A change helped when it was promoted or gained over half a sigma."""
    trials: dict[str, list[Trial]] = {}
    for index, attempt in enumerate(history):
        helped = gained(attempt, sigma)
        if not helped and index < len(history) - MEMORY:
            continue
        for change in attempt.changes:
            name, old, new = parse_change(change)
            if name:
                trials.setdefault(name, []).append(
                    Trial(old, new, helped, 1 / len(attempt.changes), attempt.status in FAILED)
                )
    return Lessons({name: tuple(found) for name, found in trials.items()})


def parse_change(change: str) -> tuple[str, str, str]:
    """`("MATRIX_LR", "0.04", "0.05")`; three empty strings when it is something else."""
    name, colon, rest = change.partition(": ")
    old, arrow, new = rest.partition(" -> ")
    return (name.strip(), old.strip(), new.strip()) if colon and arrow else ("", "", "")


def direction_of(old: str, new: str) -> int:
    """+1 when a number grew, -1 when it shrank, 0 when they are no numbers."""
    before, after = number(old), number(new)
    if before is None or after is None or before == after:
        return 0
    return 1 if after > before else -1


def number(text: str) -> float | None:
    """The value of a plain number or of a power such as `2**19`; None for anything else."""
    base, power, exponent = text.replace("_", "").partition("**")
    try:
        return float(base) ** float(exponent) if power else float(base)
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
