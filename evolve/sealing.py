"""The last gate before main: is a child better on rows that selection has never seen?

Pure rules on scores by seed; bits per byte, lower is better. A child that gained on the validation rows alone
has learned those rows. It never looks at the journal and never asks for a training; that is `judging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean


@dataclass(frozen=True, slots=True)
class SealedGain:
    """What a challenger gains over main at the same seeds, on both kinds of rows; positive is better."""

    seeds: int  # that both sides share
    sealed: float  # bits per byte on the sealed rows
    validation: float  # bits per byte on the validation rows

    @property
    def gap(self) -> float:
        """The part of the gain that only the validation rows show, bits per byte."""
        return self.validation - self.sealed

    def data(self) -> dict[str, float]:
        """For an event."""
        return {
            "seeds": self.seeds,
            "sealed_gain": self.sealed,
            "validation_gain": self.validation,
            "sealed_gap": self.gap,
        }


@dataclass(frozen=True, slots=True)
class Sides:
    """The scores of one candidate by seed."""

    validation: Mapping[int, float]
    sealed: Mapping[int, float]


def missing(challenger: Sides, incumbent: Sides) -> tuple[int, ...]:
    """Seeds at which the challenger was scored on the sealed rows and main was not."""
    return tuple(seed for seed in challenger.sealed if seed not in incumbent.sealed)


def gain(challenger: Sides, incumbent: Sides) -> SealedGain | None:
    """The mean gains at the seeds that have a sealed score on both sides; None without such a seed."""
    seeds = [seed for seed in challenger.sealed if seed in incumbent.sealed]
    if not seeds:
        return None
    return SealedGain(
        seeds=len(seeds),
        sealed=fmean(incumbent.sealed[s] - challenger.sealed[s] for s in seeds),
        validation=fmean(incumbent.validation[s] - challenger.validation[s] for s in seeds),
    )


def refusal(found: SealedGain, margin: float = 0.0) -> str:
    """Why main stays, in a sentence, or an empty string when the gain holds on the sealed rows.

    `margin` (bits per byte) is what a simpler challenger may lie behind; without one it has to be better.
    """
    if found.sealed > 0 or (margin > 0 and found.sealed >= -margin):
        return ""
    why = "it fits the validation rows" if found.validation > 0 else "no gain"
    first = _side(found.validation)
    return f"{first[:1].upper()}{first[1:]} on the validation rows, {_side(found.sealed)} on the sealed ones: {why}."


def in_words(found: SealedGain) -> str:
    """`Sealed rows: better by 0.0040 (0.0001 less than on the validation rows).`"""
    less = "less" if found.gap >= 0 else "more"
    return (
        f"Sealed rows: {_side(found.sealed)} "
        f"({abs(found.gap):.4f} {less} than on the validation rows)."
    )


def _side(change: float) -> str:
    if change == 0:
        return "equal"
    return f"{'better' if change > 0 else 'worse'} by {abs(change):.4f}"
