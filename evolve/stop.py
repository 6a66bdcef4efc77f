"""When a run ends: the rules as data, what they say in words, and which of them is met.

Pure. A rule of 0 is off. Measuring (hours, dollars, scores) is the caller's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StopRules:
    """Whichever comes first ends the run; 0 switches a rule off."""

    candidates: int = 0  # children that have their verdict
    hours: float = 0.0
    dollars: float = 0.0
    target_bpb: float = 0.0  # val_bpb of main, bits per byte
    plateau: int = 0  # children since main moved last
    experiments: int = 0  # finished trainings, repeats and the baseline's among them


def rules_in(settings: Mapping[str, str]) -> StopRules:
    """The rules from settings in their flat form (dotted key to TOML); what is not there is off."""

    def number(name: str) -> float:
        return float(settings.get(f"stop.{name}", "0"))

    return StopRules(
        candidates=int(number("candidates")),
        hours=number("hours"),
        dollars=number("dollars"),
        target_bpb=number("target_bpb"),
        plateau=int(number("plateau")),
        experiments=int(number("experiments")),
    )


@dataclass(frozen=True, slots=True)
class StopState:
    """How far a run has come."""

    candidates: int
    hours: float
    dollars: float
    best_bpb: float | None  # mean of what main holds; None before it is measured
    since_promotion: int
    experiments: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run has come along lately, an hour; 0 where nothing tells."""

    candidates: float = 0.0
    experiments: float = 0.0
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one rule that is on has been used."""

    rule: str  # a name in StopRules
    used: float | None  # in the unit of its limit; None = not known yet
    limit: float
    hours: float | None  # left at the pace of late; None = nothing tells

    @property
    def share(self) -> float:
        """How much of it is used, 0…1. Of a target all or nothing: how hard the rest is nobody knows."""
        if self.rule == "target_bpb":
            return float(self.used is not None and self.used <= self.limit)
        return min(1.0, max(0.0, (self.used or 0.0) / self.limit))


def standings(rules: StopRules, state: StopState, pace: Pace) -> tuple[Standing, ...]:
    """Every rule that is on with what is used of it, in the order of `StopRules`.

    Neither a plateau nor a target has a pace: nobody knows when main moves next.
    """
    used: dict[str, tuple[float | None, float]] = {
        "candidates": (state.candidates, pace.candidates),
        "hours": (state.hours, 1.0),
        "dollars": (state.dollars, pace.dollars),
        "target_bpb": (state.best_bpb, 0.0),
        "plateau": (state.since_promotion, 0.0),
        "experiments": (state.experiments, pace.experiments),
    }
    found = []
    for rule, (so_far, hourly) in used.items():
        limit = float(getattr(rules, rule))
        if limit > 0:
            left = max(0.0, limit - (so_far or 0.0)) / hourly if hourly > 0 else None
            found.append(Standing(rule, so_far, limit, left))
    return tuple(found)


def check(rules: StopRules, state: StopState) -> str | None:
    """The sentence with which the run ends, or None while it goes on."""
    if rules.target_bpb > 0 and state.best_bpb is not None and state.best_bpb <= rules.target_bpb:
        return f"The target is reached: {state.best_bpb:.6f}, asked for {rules.target_bpb:g} bpb."
    if 0 < rules.candidates <= state.candidates:
        return f"All {_count(state.candidates, 'candidate')} asked for are done."
    if 0 < rules.experiments <= state.experiments:
        return f"All {_count(state.experiments, 'training')} asked for are done."
    if 0 < rules.hours <= state.hours:
        return f"The time is up: {_duration(rules.hours)}."
    if 0 < rules.dollars <= state.dollars:
        return f"The budget for the language model is spent: ${state.dollars:.2f} of ${_money(rules.dollars)}."
    if 0 < rules.plateau <= state.since_promotion:
        return (
            f"A plateau: {_count(state.since_promotion, 'candidate')} in a row did not move main."
        )
    return None


def describe(rules: StopRules) -> str:
    """The rules in words: `12 candidates, 20 minutes or $5, whichever comes first`."""
    parts = []
    if rules.candidates > 0:
        parts.append(_count(rules.candidates, "candidate"))
    if rules.experiments > 0:
        parts.append(_count(rules.experiments, "training"))
    if rules.hours > 0:
        parts.append(_duration(rules.hours))
    if rules.dollars > 0:
        parts.append(f"${_money(rules.dollars)}")
    if rules.target_bpb > 0:
        parts.append(f"{rules.target_bpb:g} bpb")
    if rules.plateau > 0:
        parts.append(f"{_count(rules.plateau, 'candidate')} without progress")
    if not parts:
        return "a person stops it"
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} or {parts[-1]}, whichever comes first"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _duration(hours: float) -> str:
    """`20 minutes`, `1.5 hours`, `45 seconds`: the unit that reads best."""
    if hours >= 1:
        return f"{hours:g} hour" + ("" if hours == 1 else "s")
    if hours >= 1 / 60:
        minutes = round(hours * 60, 1)
        return f"{minutes:g} minute" + ("" if minutes == 1 else "s")
    return f"{hours * 3600:.0f} seconds"


def _money(dollars: float) -> str:
    return f"{dollars:g}" if dollars == int(dollars) else f"{dollars:.2f}"
