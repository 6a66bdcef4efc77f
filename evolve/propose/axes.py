"""The space in which constants are searched: for each knob a range or a list of choices, and numbers for literals.

What a kind of constant means (a rate is a factor, a momentum a horizon, a width comes in heads) decides its scale
here, as it decides its steps in `moves`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evolve.propose.knobs import Knob
from evolve.propose.lessons import number
from evolve.propose.moves import PATTERNS, literal, unit_of

Value = float | int | str

# How far a search may go from where it starts, as a factor up and down.
_FACTORS = {"rate": 6.0, "decay": 10.0, "gain": 3.0, "size": 2.0, "width": 2.0, "momentum": 4.0}
_ANGLES = (1e3, 1e6)  # rotary bases
_SMALL_FRACTION = 0.15  # a share below it is searched below _SMALL_REACH
_SMALL_REACH = 0.3
_NOTHING = 0.2  # up to where a number that is 0 now is searched


@dataclass(frozen=True, slots=True)
class Axis:
    """One knob with its range. `low` and `high` are in the knob's own unit, except for "halvings"."""

    knob: Knob
    scale: str  # "log", "linear", "horizon", "whole", "multiple", "halvings", "choice"
    low: float = 0.0
    high: float = 0.0
    unit: int = 1  # of "multiple"
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The knob's name."""
        return self.knob.name

    def value(self, text: str) -> Value | None:
        """Where a literal lies on the axis, moved to its end when it lies beyond; None when it lies nowhere."""
        if self.scale == "choice":
            return text if text in self.choices else None
        plain = number(text)
        if plain is None:
            return None
        if self.scale == "halvings":
            base = number(self.knob.text) or 1.0
            return round(self._within(math.log2(plain / base))) if plain > 0 else None
        if self.scale == "multiple":
            return round(self._within(plain / self.unit))
        if self.scale == "horizon":
            return self._within(1 - plain)
        return round(self._within(plain)) if self.scale == "whole" else self._within(plain)

    def text(self, value: Value) -> str:
        """The literal for a place on the axis, written as the knob is."""
        if isinstance(value, str):
            return value
        old = self.knob.text
        if self.scale == "halvings":
            return literal(old, (number(old) or 1.0) * 2.0**value)
        if self.scale == "multiple":
            return literal(old, value * self.unit)
        if self.scale == "horizon":
            return literal(old, round(1 - value, 3 if value < 0.1 else 2))
        if self.scale == "linear":
            return literal(old, round(value, 2)) if round(value, 2) else literal(old, 0.0)
        return literal(old, value)

    def _within(self, value: float) -> float:
        return min(self.high, max(self.low, value))


def axes(
    knobs: Sequence[Knob], seen: Mapping[str, Iterable[str]] | None = None
) -> tuple[Axis, ...]:
    """The axes of those knobs that can be searched; `seen` are literals tried before, which widen a range."""
    values = {knob.name: knob.text for knob in knobs}
    found = (_axis(knob, values) for knob in knobs)
    tried = seen or {}
    return tuple(_widened(axis, tried.get(axis.name, ())) for axis in found if axis is not None)


# ---- private ---------------------------------------------------------------------------------------------


def _axis(knob: Knob, values: dict[str, str]) -> Axis | None:
    kind, value = knob.kind.name, number(knob.text)
    if kind == "switch":
        return Axis(knob, "choice", choices=("True", "False"))
    if kind == "pattern":
        quote = knob.text[0]
        known = dict.fromkeys([knob.text, *(f"{quote}{p}{quote}" for p in PATTERNS)])
        return Axis(knob, "choice", choices=tuple(known))
    if value is None or value < 0 or kind == "heads":  # heads must divide a width that moves too
        return None
    if kind == "head_dim":  # a width is a multiple of the present one, so only its parts are safe
        parts = [value / part for part in (1, 2, 4) if value / part >= 16 and value % part == 0]
        texts = tuple(dict.fromkeys(literal(knob.text, part) for part in parts))
        return Axis(knob, "choice", choices=texts) if len(texts) > 1 else None
    return _numeric(knob, kind, value, values)


def _numeric(knob: Knob, kind: str, value: float, values: dict[str, str]) -> Axis | None:
    factor = _FACTORS.get(kind, 2.0)
    if kind in {"fraction", "phase"}:
        most = max(_SMALL_REACH, 2 * value) if value < _SMALL_FRACTION else 1.0
        return Axis(knob, "linear", 0.02 if kind == "phase" else 0.0, most)
    if kind == "momentum":
        if not 0 < value < 1:
            return None
        return Axis(
            knob, "horizon", max(0.001, (1 - value) / factor), min(0.6, (1 - value) * factor)
        )
    if kind == "count" or (kind == "size" and value < 8):
        reach = max(3.0, value // 2)
        return Axis(knob, "whole", max(1.0, value - reach), value + reach)
    if value == 0:
        return Axis(knob, "linear", 0.0, _NOTHING) if kind in {"rate", "decay", "gain"} else None
    if kind == "width":
        unit = unit_of(knob.name, value, values)
        least, most = math.ceil(value / factor / unit), math.floor(value * factor / unit)
        return Axis(knob, "multiple", max(1.0, least), most, unit) if least < most else None
    if kind in {"batch", "rows", "power"}:
        whole = [n for n in range(-2, 3) if value * 2.0**n >= 1 and (value * 2.0**n).is_integer()]
        return Axis(knob, "halvings", float(whole[0]), float(whole[-1]))
    if kind == "angle":
        return Axis(knob, "log", min(_ANGLES[0], value), max(_ANGLES[1], value))
    scale = "whole" if kind == "size" else "log"
    return Axis(knob, scale, max(value / factor, 1.0 if kind == "size" else 0.0), value * factor)


def _widened(axis: Axis, seen: Iterable[str]) -> Axis:
    """What was measured beyond the range belongs to it; what is none of the choices becomes one."""
    if axis.scale == "choice":
        more = tuple(dict.fromkeys([*axis.choices, *seen]))
        return axis if more == axis.choices else Axis(axis.knob, "choice", choices=more)
    far = Axis(axis.knob, axis.scale, -math.inf, math.inf, axis.unit)
    places = [p for text in seen if isinstance(p := far.value(text), (int, float))]
    if axis.scale in {"log", "horizon"}:
        places = [p for p in places if p > 0]
    low, high = min([axis.low, *places]), max([axis.high, *places])
    return Axis(axis.knob, axis.scale, low, high, axis.unit)
