"""Main's way as steps that still stand: who, instead of whom, by how much, and after how much work. Pure.

What main gave up again is left out: a candidate whose score was voided, and whatever came after the one that main holds now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.model import Candidate, EvolveError, NothingToDo

if TYPE_CHECKING:
    from evolve.export.gather import Gathered, Step

SURE = 0.95  # P(better) from which on a gain is called more than noise


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of main that stands."""

    place: int  # 0 = the baseline
    candidate: Candidate
    step: Step
    follows: int | None  # the stage before it; None for the baseline
    squashed: tuple[
        int, ...
    ]  # ancestors that main never held and that are new since the step before
    trainings: int  # of itself
    minutes: float  # that those took, setup and scoring with them

    @property
    def comparable(self) -> bool:
        """Is the gain over the stage before it known? Not where main gave up what was between them."""
        return self.step.gain is not None and self.step.before == self.follows

    @property
    def verdict(self) -> str:
        """What today's scores say of its gain, in a few words."""
        gain, sd, better = self.step.gain, self.step.sd, self.step.better
        if self.place == 0:
            return "the start"
        if not self.comparable or gain is None or sd is None or better is None:
            return "cannot be compared"
        if gain + 2 * sd < 0:  # P(better) is sceptical by design, so a low one is no sign of harm
            return "worse"
        if better < SURE:
            return "within noise"
        return "better" if self.step.confirmed else "better, not confirmed"


def stages(gathered: Gathered) -> tuple[Stage, ...]:
    """The steps from the baseline to what main holds. Raises NothingToDo before the baseline."""
    standing = _standing(gathered)
    work = _work(gathered, {step.candidate for step in standing})
    found: list[Stage] = []
    known: set[int] = set()  # of those before, with all their ancestors
    for place, step in enumerate(standing):
        line = _line(gathered, step.candidate)
        fresh = tuple(sorted(line - known - {step.candidate})) if place else ()
        known |= line
        before = found[-1].candidate.id if found else None
        trainings, seconds = work[step.candidate]
        candidate = gathered.candidate(step.candidate)
        found.append(Stage(place, candidate, step, before, fresh, trainings, seconds / 60))
    return tuple(found)


def gain_of(stage: Stage) -> str:
    """`0.001240 ± 0.000400, P(better) 0.998`, or `not known`; of the baseline `""`."""
    if stage.place == 0:
        return ""
    gain, sd, better = stage.step.gain, stage.step.sd, stage.step.better
    if not stage.comparable or gain is None or sd is None:
        return "not known"
    words = f"{gain:+.6f} ± {sd:.6f}"
    return words if better is None else f"{words}, P(better) {better:.3f}"


# ---- private -------------------------------------------------------------------------------------------------


def _standing(gathered: Gathered) -> tuple[Step, ...]:
    main = gathered.run.incumbent
    if main is None:
        raise NothingToDo("Main holds nothing yet; the baseline comes first.")
    ends = [at for at, step in enumerate(gathered.path) if step.candidate == main]
    if not ends:
        raise EvolveError(f"The journal does not tell when #{main} became main, so its way is not known.")  # fmt: skip
    sound: list[Step] = []
    for step in gathered.path[: ends[-1] + 1]:
        numbers = [one.candidate for one in sound]
        if step.candidate in numbers:  # main went back to it
            sound = sound[: numbers.index(step.candidate)]
        if not gathered.candidate(step.candidate).voided:
            sound.append(step)
    return tuple(sound)


def _line(gathered: Gathered, number: int) -> set[int]:
    """A candidate with all its ancestors."""
    seen, waiting = {number}, [number]
    while waiting:
        fresh = set(gathered.candidate(waiting.pop()).parents) - seen
        seen |= fresh
        waiting += fresh
    return seen


def _work(gathered: Gathered, numbers: set[int]) -> Mapping[int, tuple[int, float]]:
    """Candidate to its trainings and the seconds they took."""
    found: dict[int, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for experiment in gathered.experiments():
        if experiment.candidate in numbers and experiment.finished is not None:
            count, seconds = found[experiment.candidate]
            found[experiment.candidate] = (count + 1, seconds + experiment.total_seconds)
    return found
