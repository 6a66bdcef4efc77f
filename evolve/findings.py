"""A scratchpad without a language model: what the figures of a run say by themselves, in the same three sections.

Pure and deterministic. The built-in proposer does not read it; people do, and the next call to a language model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from evolve.kinship import reached
from evolve.propose.deadends import DeadEnd, dead_among
from evolve.propose.history import FAILURES, gained, outcome_of, signed
from evolve.propose.lessons import direction_of, parse_change
from evolve.propose.operators import CATEGORIES, Attempt
from evolve.propose.quoting import inline
from evolve.propose.scratchpad import LIMIT, RECOMMENDATIONS, Scratchpad
from evolve.trends import Trend

GAINS = 4  # told of
INSIGHTS = 12
JOINED = 8  # of the best, among which two are looked for that should be joined
LATELY = 20  # attempts among which failures are counted
_STRUCTURAL = frozenset({"architecture", "attention", "optimizer"})


def findings(
    trends: Sequence[Trend],
    attempts: Sequence[Attempt],
    sigma: float | None,
    by_person: Scratchpad | None = None,
) -> Scratchpad:
    """What `trends` (by category) and `attempts` (oldest first) teach; what a person wrote stands first."""
    dead = dead_among(attempts, sigma)
    best = sorted((a for a in attempts if gained(a, sigma)), key=_worth)
    insights = [
        *(by_person.insights if by_person else ()),
        *_insights(trends, attempts, best, dead),
    ]
    advice = [
        *(by_person.recommendations if by_person else ()),
        *_advice(trends, attempts, best, dead),
    ]
    pad = Scratchpad(
        summary=_summary(trends, attempts),
        insights=tuple(dict.fromkeys(insights))[:INSIGHTS],
        recommendations=tuple(dict.fromkeys(advice))[:RECOMMENDATIONS],
    )
    while len(str(pad)) > LIMIT and pad.insights:
        pad = replace(pad, insights=pad.insights[:-1])
    return pad


# ---- private ---------------------------------------------------------------------------------------------


def _worth(attempt: Attempt) -> float:
    """A difference without luck where it is known; the most negative is the best."""
    return attempt.believed if attempt.believed is not None else attempt.delta_bpb or 0.0


def _told(attempt: Attempt) -> str:
    """`#12 “MATRIX_LR: 0.04 -> 0.05”`."""
    return f"#{attempt.id} {inline(attempt.title, 72)}"


def _summary(trends: Sequence[Trend], attempts: Sequence[Attempt]) -> str:
    tried = sum(t.attempts for t in trends)
    main, kept = sum(t.promoted for t in trends), sum(t.kept for t in trends)
    failed = sum(t.failed for t in trends)
    counted = Counter(outcome_of(a) for a in attempts if a.status in FAILURES)
    why = ", ".join(f"{count} {word}" for word, count in counted.most_common(4))
    return (
        f"{tried} children have a verdict: {main} became main, {kept} joined the population, "
        f"{tried - main - kept - failed} were no better and {failed} failed{f' ({why})' if why else ''}."
    )


def _insights(
    trends: Sequence[Trend],
    attempts: Sequence[Attempt],
    best: Sequence[Attempt],
    dead: Sequence[DeadEnd],
) -> Iterator[str]:
    for attempt in best[:GAINS]:
        certainty = "confirmed" if attempt.confirmed else "one training"
        yield f"{_told(attempt)} ({attempt.category}) gained: {signed(_worth(attempt))}, {certainty}"
    for trend in trends[:4]:
        if trend.attempts:
            mean = "" if trend.gain is None else f", {trend.gain:+.1f} sigma on average"
            yield f"{trend.key}: {trend.promoted + trend.kept} of {trend.attempts} kept or promoted{mean}"
    for end in dead[:4]:
        yield f"dead end: {end}"
    lost = Counter(outcome_of(a) for a in attempts[-LATELY:] if a.status in FAILURES)
    if sum(lost.values()) * 4 > len(attempts[-LATELY:]):
        words = ", ".join(f"{count} {word}" for word, count in lost.most_common(3))
        yield f"of the last {len(attempts[-LATELY:])} children too many failed: {words}"


def _advice(
    trends: Sequence[Trend],
    attempts: Sequence[Attempt],
    best: Sequence[Attempt],
    dead: Sequence[DeadEnd],
) -> Iterator[str]:
    """The most promising first; the last one always has something to say."""
    yield from islice(_further(best, dead), 1)
    yield from islice(_joined(best[:JOINED], attempts), 1)
    untuned = [a for a in best if a.category in _STRUCTURAL and not _tuned(a, attempts)]
    for attempt in untuned[:1]:
        yield f"Tune the rates and sizes that {_told(attempt)} needs: it gained, and nothing around it was adapted yet."
    tried = {t.key: t.attempts + t.pending for t in trends}
    open_ = [name for name in CATEGORIES if name != "other" and not tried.get(name)]
    if open_:
        yield f"Try something of the kind {' or '.join(open_[:3])}: nothing like that has been measured in this run."
    good = max((t for t in trends if t.gain is not None), key=lambda t: t.gain or 0.0, default=None)
    if good is not None and (good.promoted or good.kept):
        yield f"Look further at {good.key}: {good.promoted + good.kept} of {good.attempts} such children were kept or promoted."
    least = min(
        (name for name in CATEGORIES if name != "other"), key=lambda name: tried.get(name, 0)
    )
    yield f"Look at {least}, the kind of change that was tried least."


def _further(best: Sequence[Attempt], dead: Sequence[DeadEnd]) -> Iterator[str]:
    """A constant that helped is moved on the same way, unless that has come to its end."""
    closed = " ".join(end.direction for end in dead)
    for attempt in best:
        for change in attempt.changes:
            name, old, new = parse_change(change)
            way = direction_of(old, new) if name else 0
            word = "up" if way > 0 else "down"
            if way and len(attempt.changes) == 1 and f"{name} {word}" not in closed:
                step = inline(f"{name}: {old} -> {new}", 80)
                yield f"Go on with {step}, which gained {-_worth(attempt):.5f} in #{attempt.id}: the same way, a step further."


def _joined(best: Sequence[Attempt], attempts: Sequence[Attempt]) -> Iterator[str]:
    """Two gains of different lines that no child has joined yet."""
    parents = {a.id: a.parents for a in attempts}
    lines = {a.id: reached([a.id], parents) for a in attempts}
    for n, one in enumerate(best):
        for two in best[n + 1 :]:
            both = {one.id, two.id}
            related = one.id in lines[two.id] or two.id in lines[one.id]
            if not related and not any(both <= line for line in lines.values()):
                yield f"Join {_told(one)} and {_told(two)}: both gained, and no child has both."


def _tuned(attempt: Attempt, attempts: Sequence[Attempt]) -> bool:
    return any(attempt.id in a.parents and a.operator == "tune" for a in attempts)
