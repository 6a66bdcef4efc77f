"""The beginning of a report: what the run has come to, in one sentence and a few figures."""

from __future__ import annotations

from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.html import Markup, escaped, join, link, paragraph, tag


def headline(facts: Facts) -> Markup:
    """Name, state, what was gained and at what price."""
    run = facts.run
    return tag(
        "section",
        tag("p", _standing(facts), class_="state"),
        tag("h1", f"What “{run.name}” has found"),
        tag("p", _claim(facts), class_="claim"),
        tag("dl", *(_tile(*tile) for tile in _tiles(facts)), class_="tiles"),
        id="headline",
        aria_label="What the run has found",
    )


def _standing(facts: Facts) -> str:
    run = facts.run
    at = words.moment(facts.gathered.at)
    if facts.ended:
        why = f" ({run.reason.rstrip('.')})" if run.reason else ""
        return f"Run {run.name}, {run.state} {words.moment(run.finished)}{why}."
    state = "paused" if run.state == "paused" else "while it runs"
    return f"Run {run.name}, {state}: as of {at}. What follows may still change."


def _claim(facts: Facts) -> Markup:
    if facts.baseline is None or facts.main is None:
        if facts.experiments:
            return escaped("Nothing has a score yet: no training of the baseline came through.")
        return escaped("The baseline has not been measured yet; there is nothing to compare with.")
    beliefs = facts.gathered.beliefs
    if facts.gained is None:
        held = beliefs.get(facts.main.id)
        level = f" at {words.score(held.mean)} {facts.unit}" if held else ""
        tried = len(facts.gathered.everybody) - 1
        return join(
            ["Main is still the baseline, ", link(facts.main.id), f"{level}: of ", words.count(tried, "candidate"),
             ", none was confirmed to be better."]
        )  # fmt: skip
    low = facts.gained.gain - facts.margin
    high = facts.gained.gain + facts.margin
    verb = (
        "is better than the baseline by"
        if facts.confirmed
        else "may be better than the baseline by"
    )
    size = tag("strong", f"{facts.gained.gain:.5f} {facts.unit}".replace("-", words.MINUS))
    interval = f" (95 % interval {words.signed(low)} to {words.signed(high)})"
    end = "." if facts.confirmed else "; that is not confirmed."
    return join(["Main, ", link(facts.main.id), f", {verb} ", size, interval, end])


def _tiles(facts: Facts) -> list[tuple[str, str, str]]:
    gathered, tally = facts.gathered, facts.gathered.tally
    made = []
    if facts.baseline and facts.main and (old := gathered.beliefs.get(facts.baseline.id)):
        new = gathered.beliefs.get(facts.main.id, old)
        made.append(
            ("Score", f"{words.score(old.mean)} → {words.score(new.mean)}", f"{facts.unit}, baseline to main, as believed from all trainings")
        )  # fmt: skip
    children = words.count(max(0, tally.candidates - 1), "candidate")
    made.append(("Trainings", f"{tally.experiments:,}", f"of {children} and the baseline"))
    steps = max(0, len(gathered.path) - 1)
    made.append(("Steps of main", f"{steps}", "promotions, each confirmed by the run's own rule" if gathered.policy == "confirmed" else "promotions by one training each (greedy)"))  # fmt: skip
    made.append(
        (
            f"{facts.device}-hours",
            words.hours(facts.device_seconds),
            "of trainings, with their audits",
        )
    )
    paid = words.count(tally.llm_calls, "call") if tally.llm_calls else "no language model was asked"  # fmt: skip
    made.append(("Dollars", words.dollars(facts.dollars), paid))
    made.append(("Noise of one training", f"± {facts.noise.sigma:.5f}", _noise(facts)))
    return made


def _noise(facts: Facts) -> str:
    if not facts.noise.n:
        return "assumed: nothing was repeated yet"
    return f"one σ in {facts.unit}, from {words.count(facts.noise.n, 'repeat')}"


def _tile(name: str, value: str, about: str) -> Markup:
    return tag(
        "div",
        tag("dt", name),
        tag("dd", tag("b", value), tag("span", about)),
    )


def note(text: str) -> Markup:
    """A quiet line below a figure or a table."""
    return paragraph(text, "note")
