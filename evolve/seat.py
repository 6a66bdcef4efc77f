"""The training in the slot as a client sees it: progress, curves to compare with, a forecast, the machine's load.

Follows the files of one training after another and keeps what does not change, so that a look twice a second costs little.
It writes nothing and imports nothing heavy, because `status` starts through here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.beliefs import Belief
from evolve.forecast import LATEST, Foretold, Known, Rival, foretell
from evolve.model import Candidate, EvolveError, Experiment
from evolve.noise import Noise
from evolve.places import EXPERIMENTS
from evolve.reader import Reader
from evolve.view import Curve, RunningView
from harness.rundir import read_progress
from harness.spec import Progress

if TYPE_CHECKING:
    from evolve.telemetry import Gauge, Load

_KEPT = 2 * LATEST  # curves that are remembered


class Seat:
    """Looks at the slot of one workspace."""

    def __init__(self, state: Path) -> None:
        """`state`: the workspace's folder .autoresearch."""
        self._state = state
        self._progress = ProgressTail()
        self._curves: dict[int, Curve] = {}  # by experiment; a finished one never changes
        self._known: tuple[tuple[object, ...], tuple[Known, ...]] = ((), ())
        self._foretold: tuple[tuple[object, ...], Foretold | None] = ((), None)
        self._gauge: Gauge | None = None

    def look(
        self,
        journal: Reader,
        experiment: Experiment,
        incumbent: Candidate | None,
        beliefs: Mapping[int, Belief],
        noise: Noise | None,
        *,
        curves: bool,
    ) -> RunningView:
        """The training `experiment` now; without `curves` only what they lead to is told."""
        folder = self._state / EXPERIMENTS / journal.directory(experiment.id)
        candidate = journal.candidate(experiment.candidate)
        now, so_far = self._progress.read(experiment.id, folder)
        main = None if incumbent is None else journal.last_scored(incumbent.id)
        view = RunningView(
            experiment=experiment,
            candidate=candidate,
            progress=now,
            curve=so_far,
            reference=() if main is None else self._curve(journal, main.experiment),
            main_speed=(main.tokens_per_second or None) if main else None,
            main_memory_mb=None if main is None else main.memory_mb,
            load=self._load(folder, now),
        )
        belief = None if incumbent is None else beliefs.get(incumbent.id)
        view = replace(view, foretold=self._foretell(journal, view, incumbent, belief, noise))
        if not curves:
            return replace(view, curve=(), reference=())
        return replace(view, parent=self._of_parent(journal, candidate, incumbent))

    def _foretell(
        self,
        journal: Reader,
        view: RunningView,
        incumbent: Candidate | None,
        belief: Belief | None,
        noise: Noise | None,
    ) -> Foretold | None:
        """Computed once a new line of progress."""
        if view.progress is None or not view.curve:
            return None
        seen = (view.experiment.id, len(view.curve), view.progress.fraction, belief, noise)
        if seen != self._foretold[0]:
            known = self._comparable(journal, view.candidate)
            rival = None
            if belief is not None and incumbent is not None and view.candidate.loss_form:
                alike = incumbent.loss_form == view.candidate.loss_form
                rival = Rival(view.reference if alike else (), belief.mean, belief.sd)
            main = incumbent is not None and incumbent.id == view.candidate.id
            told = foretell(view.curve, view.progress.fraction, known, rival, noise, main=main)
            self._foretold = (seen, told)
        return self._foretold[1]

    def _comparable(self, journal: Reader, candidate: Candidate) -> tuple[Known, ...]:
        """What the run's finished trainings have shown, of candidates that print the same kind of loss."""
        if not candidate.loss_form:
            return ()
        found = journal.finished_like(candidate.loss_form, LATEST)
        if found != self._known[0]:
            by_candidate: dict[int, list[tuple[Curve, float]]] = {}
            for one in found:
                if curve := self._curve(journal, one.experiment):
                    by_candidate.setdefault(one.candidate, []).append((curve, one.fitness))
            known = tuple(
                Known(tuple(curve for curve, _ in runs), sum(s for _, s in runs) / len(runs))
                for runs in by_candidate.values()
            )
            self._known = (found, known)
        return self._known[1]

    def _of_parent(self, journal: Reader, child: Candidate, main: Candidate | None) -> Curve:
        """The curve of the edited parent, where that is another one than main and prints the same loss."""
        if not child.parents or (main is not None and child.parents[0] == main.id):
            return ()
        parent = journal.candidate(child.parents[0])
        scored = journal.last_scored(parent.id)
        if scored is None or parent.loss_form != child.loss_form:
            return ()
        return self._curve(journal, scored.experiment)

    def _curve(self, journal: Reader, experiment: int) -> Curve:
        """The curve of a finished training; read once, because it does not change."""
        known = self._curves.get(experiment)
        if known is None:
            known = tuple((p.fraction, p.loss) for p in journal.curve(experiment))
            if len(self._curves) >= _KEPT:
                self._curves.pop(next(iter(self._curves)))
            self._curves[experiment] = known
        return known

    def _load(self, folder: Path, now: Progress | None) -> Load | None:
        if now is None or now.phase == "done":
            return None
        if self._gauge is None:
            from evolve.telemetry import Gauge  # only while something trains

            self._gauge = Gauge()
        return self._gauge.read(folder)


class ProgressTail:
    """Follows progress.jsonl, so that each look reads only what is new."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._experiment = 0
        self._offset = 0
        self._last: Progress | None = None
        self._curve: list[tuple[float, float]] = []

    def read(self, experiment: int, folder: Path) -> tuple[Progress | None, Curve]:
        """The newest progress, and (fraction, loss in nats) so far."""
        if experiment != self._experiment:
            self._experiment, self._offset, self._last, self._curve = experiment, 0, None, []
        try:
            fresh, self._offset = read_progress(folder, self._offset)
        except (OSError, ValueError, TypeError) as error:
            raise EvolveError(
                f"The progress in {folder} cannot be read ({error}); the run goes on, look at its log."
            ) from error
        for progress in fresh:
            self._last = progress
            if progress.loss is not None:
                self._curve.append((progress.fraction, progress.loss))
        return self._last, tuple(self._curve)
