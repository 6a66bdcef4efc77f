"""Turns several constants at once by the tree-structured Parzen estimator, where optuna is installed.

TPE (Bergstra et al. 2011; multivariate: Falkner et al. 2018, in optuna) models where good and where bad variants lie
and asks for places that are likelier good. On this task it ties code agents, which mostly turn constants anyway.
A study lives for one proposal and is rebuilt from the history, so that nothing has to be kept. Pure apart from the
lazy import, which takes a fraction of a second: call it from a worker thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from evolve.propose.axes import Axis, Value, axes
from evolve.propose.knobs import Turn, apply_turns, find_knobs, in_force
from evolve.propose.presets import Setting
from evolve.propose.spans import Edit, parsed
from evolve.propose.turns import companions
from evolve.propose.vetting import normalise

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STARTUP = 10  # measured variants before which places are drawn at random
MOST_TRIALS = 500  # newest that a study is made of


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A variant of the source that is worth a measurement."""

    source: str
    turns: tuple[Turn, ...]  # against the source of the search


def available() -> bool:
    """Is optuna installed? Looks without importing it."""
    return importlib.util.find_spec("optuna") is not None


class TpeSearch:
    """A search over the constants of one source: tell what was measured, ask for what to measure next."""

    def __init__(
        self,
        source: str,
        setting: Setting = Setting(),  # noqa: B008 - frozen
        *,
        seed: int = 0,
        startup: int = STARTUP,
    ) -> None:
        """`setting`: where it is trained, which decides the knobs in force. Raises SyntaxError for no Python."""
        self._source, self._knobs = source, in_force(source, setting)
        self._seed, self._startup = seed, startup
        self._trials: list[tuple[dict[str, str], float | None]] = []
        self._asked = 0

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The space, widened to hold whatever was told."""
        seen = {k.name: [texts[k.name] for texts, _ in self._trials] for k in self._knobs}
        return axes(self._knobs, seen)

    def tell(self, values: Mapping[str, str], score: float | None) -> None:
        """Take in a measured variant: its literals by knob, and its score (lower is better).

        None as a score is one that came to none. A failure never becomes a number: it counts as worse than every
        score. What `values` lack stands as in the search's source.
        """
        texts = {knob.name: values.get(knob.name, knob.text) for knob in self._knobs}
        self._trials = [*self._trials, (texts, score)][-MOST_TRIALS:]

    def ask(self, names: Sequence[str] | None = None) -> Iterator[Suggestion]:
        """Variants to measure next, most promising first and without end, each anew drawn.

        `names`: the only knobs that may move; None = all. Some may be the source itself or known: that is for the
        caller to see. Empty when there is nothing to turn. Raises ImportError without optuna.
        """
        space = [axis for axis in self.axes if names is None or axis.name in names]
        if not space:
            return
        study, wanted = self._study(space)
        while True:
            params = study.ask(wanted).params
            if (found := self._suggestion(space, params)) is not None:
                yield found

    # ---- private -----------------------------------------------------------------------------------------

    def _study(self, space: Sequence[Axis]) -> tuple[Any, dict[str, BaseDistribution]]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        wanted = {axis.name: _distribution(axis) for axis in space}
        self._asked += 1
        sampler = optuna.samplers.TPESampler(
            multivariate=True,  # in groups there would be one, as every trial knows every knob
            n_startup_trials=self._startup,
            seed=_mixed(self._seed, self._asked),
        )
        study = optuna.create_study(sampler=sampler)
        study.add_trials(list(self._measured(space, wanted)))
        return study, wanted

    def _measured(
        self, space: Sequence[Axis], wanted: Mapping[str, BaseDistribution]
    ) -> Iterator[FrozenTrial]:
        from optuna.trial import TrialState, create_trial

        for texts, score in self._trials:
            places = {axis.name: axis.value(texts[axis.name]) for axis in space}
            params = {name: place for name, place in places.items() if place is not None}
            if len(params) == len(space):
                yield create_trial(
                    state=TrialState.PRUNED if score is None else TrialState.COMPLETE,
                    value=score,
                    params=params,
                    distributions=dict(wanted),
                )

    def _suggestion(self, space: Sequence[Axis], params: Mapping[str, Value]) -> Suggestion | None:
        turns: list[Turn] = []
        for axis in space:
            text = axis.text(params[axis.name])
            if text != axis.knob.text:
                turns.append(Turn(axis.knob, text))
        for turn in tuple(turns):
            turns += companions(turn, self._knobs, turns)
        child = apply_turns(self._source, turns) if turns else None
        return None if child is None else Suggestion(child, tuple(turns))


def values(source: str) -> dict[str, str]:
    """The literals of a source by knob. Raises SyntaxError."""
    return {knob.name: knob.text for knob in find_knobs(source)}


def skeleton(source: str) -> str:
    """What is left of a source without the values of its constants, as a hash: variants of one have the same.

    Costs some tens of milliseconds. Raises SyntaxError.
    """
    blank = parsed(source).apply([Edit(knob.start, knob.end, "0") for knob in find_knobs(source)])
    return sha256(normalise(blank or source).encode()).hexdigest()


def _mixed(seed: int, asked: int) -> int:
    """A seed of optuna's for one question of one search. Their sum would not do: searches with neighbouring seeds
    would draw the same places one question later."""
    return int.from_bytes(sha256(f"{seed}:{asked}".encode()).digest()[:4])


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.scale == "choice":
        return CategoricalDistribution(axis.choices)
    if axis.scale in {"whole", "multiple", "halvings"}:
        return IntDistribution(round(axis.low), round(axis.high))
    return FloatDistribution(axis.low, axis.high, log=axis.scale in {"log", "horizon"})
