"""Every template of a prompt that is or was in force, with what the children made from it have come to. Pure.

A version is one text as it is hashed; a rewrite's template has one for each intent that it may be given. For people
who edit templates these belong together again: a `Prompt` is the text that a person would write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from evolve.model import Operator, Template
from evolve.propose.placeholders import BUILT_IN, in_force, versions_in_force
from evolve.propose.templates import INTENTS
from evolve.trends import Trend


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a template."""

    operator: str
    version: str
    in_force: bool
    text: str
    since: float | None  # unix seconds of its first use here; None = not used yet
    trend: Trend | None  # what its children have come to; None without any

    @property
    def intent(self) -> str:
        """Of a rewrite's version, the intent that it tells; empty otherwise."""
        if self.operator != Operator.REWRITE:
            return ""
        return next((name for name, told in INTENTS.items() if told in self.text), "")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One template as a person edits it, with all its versions."""

    operator: str
    text: str
    versions: tuple[Version, ...]
    in_force: bool
    built_in: bool  # what counts where nobody has written one

    @property
    def version(self) -> str:
        """The first of its versions, by which it is called."""
        return self.versions[0].version

    @property
    def since(self) -> float | None:
        """Unix seconds of its first use here; None = not used yet."""
        return min((v.since for v in self.versions if v.since is not None), default=None)

    @property
    def trend(self) -> Trend | None:
        """What the children of all its versions have come to together; None without any."""
        found = [v.trend for v in self.versions if v.trend is not None]
        return together(self.operator, found) if found else None


def versions(
    own: Mapping[str, str], kept: Iterable[Template], trends: Iterable[Trend]
) -> tuple[Version, ...]:
    """Every version by operator, those in force first, then the newest.

    `own`: a person's templates by operator, empty ones built in; `kept`: what the journal has, oldest first; `trends`:
    by prompt. Raises UsageError when one of a person's is wrong.
    """
    now = versions_in_force(own)
    known = {(t.operator, t.version): t for t in kept}
    came_to = {trend.key: trend for trend in trends}
    rows = [
        _version(known.get((operator, version)), operator, version, text, came_to, in_force=True)
        for version, operator, text in now
    ]
    current = {(operator, version) for version, operator, _ in now}
    rows += [
        _version(old, old.operator, old.version, old.text, came_to, in_force=False)
        for key, old in reversed(known.items())
        if key not in current
    ]
    order = {name: place for place, name in enumerate(BUILT_IN)}
    return tuple(sorted(rows, key=lambda row: order.get(row.operator, len(order))))


def prompts(own: Mapping[str, str], found: Iterable[Version]) -> tuple[Prompt, ...]:
    """The versions of each template together: by operator those in force first; the built-in ones are always there."""
    groups: dict[tuple[str, str], list[Version]] = {}
    for version in found:
        groups.setdefault((version.operator, as_written(version)), []).append(version)
    for name, operator, text in versions_in_force({}):
        members = groups.setdefault((operator, BUILT_IN[operator]), [])
        if all(known.version != name for known in members):
            members.append(Version(operator, name, False, text, None, None))
    made = [
        Prompt(
            operator=operator,
            text=text,
            versions=tuple(members),
            in_force=text == in_force(operator, own),
            built_in=text == BUILT_IN.get(operator),
        )
        for (operator, text), members in groups.items()
    ]
    order = {name: place for place, name in enumerate(BUILT_IN)}
    return tuple(sorted(made, key=lambda p: (order.get(p.operator, len(order)), not p.in_force)))


def together(key: str, found: Iterable[Trend]) -> Trend:
    """Several trends as one. The mean gain weighs each by its measured children; what came last is not told."""
    every = list(found)
    told = [trend for trend in every if trend.gain is not None and trend.measured]
    weight = sum(trend.measured for trend in told)
    merged = replace(
        every[0],
        key=key,
        attempts=sum(t.attempts for t in every),
        measured=sum(t.measured for t in every),
        failed=sum(t.failed for t in every),
        promoted=sum(t.promoted for t in every),
        kept=sum(t.kept for t in every),
        pending=sum(t.pending for t in every),
        gain=sum((t.gain or 0.0) * t.measured for t in told) / weight if weight else None,
        best=max((t.best for t in every if t.best is not None), default=None),
    )
    return merged if len(every) == 1 else replace(merged, latest="")


def as_written(version: Version) -> str:
    """The text that a person would write: a rewrite's version with its intent taken out again."""
    told = INTENTS.get(version.intent, "")
    return version.text.replace(told, "{intent}") if told else version.text


# ---- private ---------------------------------------------------------------------------------------------


def _version(
    kept: Template | None,
    operator: str,
    version: str,
    text: str,
    came_to: Mapping[str, Trend],
    *,
    in_force: bool,
) -> Version:
    since = None if kept is None else kept.time
    return Version(operator, version, in_force, text, since, came_to.get(version))
