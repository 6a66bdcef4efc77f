"""Where the gain came from: main's steps as a waterfall, and what each kind of idea has brought."""

from __future__ import annotations

from evolve.export.gather import Step
from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.headline import note
from evolve.export.report.html import Child, Markup, bar, join, link, paragraph, section, table, tag
from evolve.text import one_line
from evolve.trends import Trend


def waterfall(facts: Facts) -> Markup:
    """A row for each step of main, with its gain over the main before and where that leaves the score."""
    steps = facts.gathered.path
    if len(steps) < 2:
        return section("steps", "Main's steps", paragraph("Main has not moved from the baseline."))
    rows = [_row(facts, step, bounds) for step, bounds in zip(steps, _bounds(steps), strict=True)]
    heads = ("Step", "What it does", "After", "Gain ± σ", "P(better)", "Trainings", "From where to where")  # fmt: skip
    shown = table(
        "Main's way: each step's gain over the main before it, by all scores known now",
        heads,
        rows,
        numbers=(2, 3, 4, 5),
        name="water",
    )
    weak = [s.candidate for s in steps[1:] if not s.confirmed]
    told: list[Child] = [
        "A gain is the difference of two candidates' scores, compared at equal seeds; bars go to the right as the score falls. "
    ]
    if weak:
        told += [
            "An asterisk: it rests on a single training on one side, ",
            join(map(link, weak), ", "),
            ".",
        ]
    return section("steps", "Main's steps", shown, tag("p", *told, class_="note"))


def kinds(facts: Facts) -> Markup:
    """What children of each category, operator and model have come to."""
    titles = {
        "category": "By category of the idea",
        "operator": "By how it was made",
        "model": "By who proposed it",
    }
    tables = [_trends(title, facts.trends(by), facts) for by, title in titles.items()]
    if not any(tables):
        return section("kinds", "What worked", paragraph("There are no children with a verdict yet."))  # fmt: skip
    about = note(
        "Gain: mean over the better parent in σ (noise of one training), corrected for luck; below zero is usual, for most changes do "
        "harm. Lived: kept or promoted. Latest: P promoted, k kept, · rejected, - stopped early, x failed."
    )
    return section("kinds", "What worked", *tables, about)


# ---- private ---------------------------------------------------------------------------------------------


def _bounds(steps: tuple[Step, ...]) -> list[tuple[float, float, float]]:
    """Start, end (shares of the cell) and total gain after each step."""
    total, points = 0.0, [0.0]
    for step in steps[1:]:
        total += step.gain or 0.0
        points.append(total)
    low, high = min(points), max(points)
    width = (high - low) or 1.0
    before = [points[0], *points[:-1]]
    return [((a - low) / width, (b - low) / width, b) for a, b in zip(before, points, strict=True)]


def _row(facts: Facts, step: Step, bounds: tuple[float, float, float]) -> list[Child]:
    start, end, total = bounds
    candidate = facts.gathered.candidate(step.candidate)
    if step.before is None:
        return [
            link(step.candidate),
            one_line(candidate.title, 120),
            str(step.trainings),
            "–",
            "–",
            str(step.n),
            "",
        ]
    name = "worse" if (step.gain or 0.0) < 0 else "" if step.confirmed else "weak"
    shown = bar(start, end, f"gain {words.gain(step.gain)}, {words.signed(total)} in all", name)
    doubt = "" if step.confirmed else " *"
    return [
        link(step.candidate),
        one_line(candidate.title, 120),
        f"{step.trainings:,}",
        words.gain(step.gain, step.sd) + doubt,
        words.percent(step.better),
        f"{step.n} / {step.n_before}",
        shown,
    ]


def _trends(title: str, found: tuple[Trend, ...], facts: Facts) -> Markup | None:
    tried = [t for t in found if t.attempts]
    if not tried:
        return None
    largest = max((abs(t.gain) for t in tried if t.gain is not None), default=0.0) or 1.0
    rows: list[list[Child]] = [_trend(t, largest) for t in tried]
    heads = ("Kind", "Tried", "Lived", "Promoted", "Failed", "Mean gain, σ", "", "Best, σ", "Latest")  # fmt: skip
    return table(title, heads, rows, numbers=(1, 2, 3, 4, 5, 7), name="kinds")


def _trend(trend: Trend, largest: float) -> list[Child]:
    lived = trend.kept + trend.promoted
    shown: Child = ""
    if trend.gain is not None:
        middle = 0.5
        end = middle + trend.gain / largest / 2
        name = "worse" if trend.gain < 0 else ""
        shown = bar(middle, end, f"mean gain {words.signed(trend.gain, 1)} sigma", name)
    return [
        one_line(trend.key, 60) or "none",
        f"{trend.attempts:,}",
        f"{lived:,} ({words.percent(trend.success)})",
        f"{trend.promoted:,}",
        f"{trend.failed:,}",
        "–" if trend.gain is None else words.signed(trend.gain, 2),
        shown,
        "–" if trend.best is None else words.signed(trend.best, 1),
        tag("code", trend.latest.replace(".", "·")),
    ]
