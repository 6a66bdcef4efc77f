"""A value of a setting one step further, as text: numbers by their second digit, choices and switches around. Pure.

What fits is the engine's to say; here only limits keep a step from being a vain one.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from evolve.toml_text import text_of

if TYPE_CHECKING:
    from evolve.keys import Described

SWITCH = ("false", "true")


def step(setting: Described, value: str, by: int) -> str | None:
    """`value` (TOML or bare) `by` steps up or down; None where there are no steps or the limit is reached."""
    bare = text_of(value)
    if setting.kind == "switch":
        return SWITCH[(SWITCH.index(bare) + by) % 2] if bare in SWITCH else None
    if setting.kind == "choice":
        places = setting.choices
        return places[(places.index(bare) + by) % len(places)] if bare in places else None
    if setting.kind in ("whole", "number"):
        return _number(setting, bare, by)
    return None


def _number(setting: Described, text: str, by: int) -> str | None:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    size = Decimal(1) if not value else Decimal(1).scaleb(value.adjusted() - 1)
    if setting.kind == "whole":
        size = max(Decimal(1), size)
    elif not value and setting.most is not None and setting.most <= 1:
        size = Decimal("0.01")
    stepped = value + by * size
    least, most = setting.least, setting.most
    if (least is not None and stepped < Decimal(str(least))) or (
        most is not None and stepped > Decimal(str(most))
    ):
        stepped = Decimal(str(least if by < 0 else most))
    return None if stepped == value else f"{stepped.normalize():f}"
