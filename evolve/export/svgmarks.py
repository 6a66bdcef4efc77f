"""The marks of the lineage's picture: a shape for each operator, a paint for each fate, light and dark. Pure.

The colours are those of Okabe and Ito, which most colour-blind people tell apart; shape and fill say the same without them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.model import Operator, Verdict

if TYPE_CHECKING:
    from evolve.model import Candidate


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a candidate, as its mark says it."""

    key: str
    about: str  # as the legend has it
    size: float  # of the usual radius


WAY = Fate("way", "was main", 1.5)
KEPT = Fate("kept", "lives", 1.15)
LEFT = Fate("left", "kept, later displaced", 0.95)
LOST = Fate("lost", "turned away", 0.85)
FAILED = Fate("failed", "failed", 0.9)
OPEN = Fate("open", "no verdict yet", 0.95)
FATES = (WAY, KEPT, LEFT, LOST, FAILED, OPEN)


def fate_of(candidate: Candidate, way: frozenset[int]) -> Fate:
    """The fate of one; `way`: who was main."""
    if candidate.id in way:
        return WAY
    if candidate.alive:
        return KEPT
    if candidate.verdict is None:
        return OPEN
    if candidate.verdict == Verdict.FAILED:
        return FAILED
    return LEFT if candidate.verdict in (Verdict.KEPT, Verdict.PROMOTED) else LOST


def shape(operator: Operator, radius: float) -> str:
    """The path of an operator's shape around the origin, all of about the same area."""
    if operator == Operator.MUTATE:
        r = f"{radius:.2f}"
        return f"M-{r} 0a{r} {r} 0 1 0 {2 * radius:.2f} 0a{r} {r} 0 1 0 -{2 * radius:.2f} 0z"
    if operator == Operator.TUNE:
        return _polygon(4, radius * 1.24, 45)
    if operator == Operator.CROSSOVER:
        return _polygon(4, radius * 1.34, 0)
    if operator == Operator.REWRITE:
        return _polygon(3, radius * 1.42, -90)
    if operator == Operator.SEED:
        return _polygon(6, radius * 1.12, 0)
    if operator == Operator.HUMAN:
        return _polygon(10, radius * 1.45, -90, inner=0.48)
    arm, half = radius * 1.2, radius * 0.45  # repair: a plus
    return (
        f"M-{half:.2f} -{arm:.2f}h{2 * half:.2f}v{arm - half:.2f}h{arm - half:.2f}v{2 * half:.2f}h-{arm - half:.2f}"
        f"v{arm - half:.2f}h-{2 * half:.2f}v-{arm - half:.2f}h-{arm - half:.2f}v-{2 * half:.2f}h{arm - half:.2f}z"
    )


def cross(radius: float) -> str:
    """The mark of a failure."""
    r = f"{radius:.2f}"
    return f"M-{r} -{r}L{r} {r}M-{r} {r}L{r} -{r}"


def _polygon(corners: int, radius: float, turn: float, inner: float = 1.0) -> str:
    points = list[str]()
    for corner in range(corners):
        angle = math.radians(turn + 360 * corner / corners)
        r = radius * (inner if corner % 2 else 1.0)
        points.append(f"{r * math.cos(angle):.2f} {r * math.sin(angle):.2f}")
    return f"M{'L'.join(points)}z"


# Attribute values of each class, light and dark. The light ones are attributes of groups, too, for programs without CSS.
_LIGHT = {
    "paper": {"fill": "#ffffff"},
    "ink": {"fill": "#1f2328"},
    "muted": {"fill": "#656d76"},
    "halo": {"stroke": "#ffffff"},
    "grid": {"stroke": "#e4e7ea"},
    "rail": {"stroke": "#eef0f2"},
    "band": {"fill": "#0072b2"},
    "stair": {"stroke": "#0072b2"},
    "way": {"stroke": "#0072b2"},
    "kin": {"stroke": "#4d9ecb"},
    "living": {"stroke": "#3fae8c"},
    "faint": {"stroke": "#8c959f"},
    "m-way": {"fill": "#0072b2", "stroke": "#ffffff"},
    "m-kept": {"fill": "#009e73", "stroke": "#ffffff"},
    "m-left": {"fill": "#cdebe0", "stroke": "#009e73"},
    "m-lost": {"fill": "#ffffff", "stroke": "#8c959f"},
    "m-failed": {"fill": "none", "stroke": "#d55e00"},
    "m-open": {"fill": "#ffffff", "stroke": "#1f2328"},
    "d-left": {"stroke": "#7fcdb4"},
    "d-lost": {"stroke": "#b4bac1"},
}
_DARK = {
    "paper": {"fill": "#14171b"},
    "ink": {"fill": "#e6e9ec"},
    "muted": {"fill": "#9aa4ae"},
    "halo": {"stroke": "#14171b"},
    "grid": {"stroke": "#2a3038"},
    "rail": {"stroke": "#20252b"},
    "band": {"fill": "#56b4e9"},
    "stair": {"stroke": "#56b4e9"},
    "way": {"stroke": "#56b4e9"},
    "kin": {"stroke": "#4a8db8"},
    "living": {"stroke": "#2f9c7c"},
    "faint": {"stroke": "#77818c"},
    "m-way": {"fill": "#56b4e9", "stroke": "#14171b"},
    "m-kept": {"fill": "#2fc49a", "stroke": "#14171b"},
    "m-left": {"fill": "#1d4438", "stroke": "#2fc49a"},
    "m-lost": {"fill": "#14171b", "stroke": "#77818c"},
    "m-failed": {"fill": "none", "stroke": "#f0884a"},
    "m-open": {"fill": "#14171b", "stroke": "#e6e9ec"},
    "d-left": {"stroke": "#2c7a62"},
    "d-lost": {"stroke": "#4c545d"},
}


def paint(prefix: str, name: str) -> str:
    """Class and light attributes of an element."""
    told = " ".join(f'{key}="{value}"' for key, value in _LIGHT[name].items())
    return f'class="{prefix}-{name}" {told}'


def style(prefix: str) -> str:
    """Rules for dark screens, and for the pointer; all of them name the picture's own id or classes.

    A page around it may set `data-theme` of its root to light or dark, whatever the system says.
    """
    system, chosen = (
        "".join(
            f":root{which} .{prefix}-{name}{{{';'.join(f'{k}:{v}' for k, v in values.items())}}}"
            for name, values in _DARK.items()
        )
        for which in (":not([data-theme=light])", "[data-theme=dark]")
    )
    return (
        f"<style>#{prefix} use:hover{{stroke-width:2.5}}"
        f"@media screen and (prefers-color-scheme:dark){{{system}}}@media screen{{{chosen}}}</style>"
    )
