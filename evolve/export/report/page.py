"""The whole report: sections in the order in which they tell a story, the style sheet and the script, in one file."""

from __future__ import annotations

import base64
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, BinaryIO

from evolve.export.progress import plot
from evolve.export.progress_svg import FIGURE, progress_svg
from evolve.export.report import words
from evolve.export.report.background import environment, prompts, reproduce, settings
from evolve.export.report.certainty import certainty
from evolve.export.report.costs import costs, pace
from evolve.export.report.facts import Facts
from evolve.export.report.gains import kinds, waterfall
from evolve.export.report.headline import headline, note
from evolve.export.report.honesty import glossary, limits
from evolve.export.report.html import Markup, paragraph, section, tag, trusted
from evolve.export.report.roster import roster
from evolve.export.report.trust import failures, integrity
from evolve.export.svg import lineage_svg

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

# Nothing is fetched, and no script runs but ours.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
CONTENTS = {
    "progress": "Progress",
    "steps": "Steps",
    "lineage": "Lineage",
    "kinds": "What worked",
    "cost": "Cost",
    "pace": "Throughput",
    "noise": "Noise",
    "integrity": "Integrity",
    "failures": "Failures",
    "candidates": "Candidates",
    "prompts": "Prompts",
    "settings": "Settings",
    "reproduce": "Reproduce",
    "limits": "Limits",
    "glossary": "Words",
}


def write_html(gathered: Gathered, file: BinaryIO) -> None:
    """The report of one run, as UTF-8."""
    for part in _page(Facts(gathered)):
        file.write(part.encode("utf-8", "replace"))


# ---- private ---------------------------------------------------------------------------------------------


def _page(facts: Facts) -> list[Markup]:
    script, style = _asset("report.js"), _asset("report.css")
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY.format(digest)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="autoresearch"),
        tag("title", f"autoresearch: {facts.run.name}"),
        tag("style", trusted(style + FIGURE)),
    )
    body = tag(
        "body",
        tag("a", "To the content", href="#headline", class_="skip"),
        _header(facts),
        tag("main", *_sections(facts)),
        tag("footer", f"Written by autoresearch at {words.moment(facts.gathered.at)}. It needs no network, and asks for nothing."),
        tag("script", trusted(script)),
    )  # fmt: skip
    return [trusted("<!doctype html>\n"), tag("html", head, body, lang="en"), trusted("\n")]


def _sections(facts: Facts) -> list[Markup]:
    return [
        headline(facts),
        _progress(facts),
        waterfall(facts),
        _lineage(facts),
        kinds(facts),
        costs(facts),
        pace(facts),
        certainty(facts),
        integrity(facts),
        failures(facts),
        limits(facts),
        roster(facts),
        prompts(facts),
        settings(facts),
        environment(facts),
        reproduce(facts),
        glossary(),
    ]


def _header(facts: Facts) -> Markup:
    links = [tag("a", title, href=f"#{name}") for name, title in CONTENTS.items()]
    switch = tag("button", "Dark", type="button", id="theme", hidden=True, aria_label="Switch between light and dark")  # fmt: skip
    name = tag("a", facts.run.name, href="#headline", class_="home")
    return tag("header", name, tag("nav", *links, aria_label="Sections"), switch)


def _progress(facts: Facts) -> Markup:
    found = plot(facts.gathered)
    if found.empty:
        return section("progress", "Score over time", paragraph("Nothing has a score yet."))
    views = []
    for place, by in enumerate(("trainings", "hours")):
        label = "by trainings" if by == "trainings" else "by hours"
        views.append(tag("input", type="radio", name="by", id=f"by-{by}", checked=not place))
        views.append(tag("label", label, for_=f"by-{by}"))
    figures = [
        tag("div", trusted(progress_svg(found, "trainings")), class_="figure trainings", tabindex=0, role="group", aria_label="Figure by trainings"),
        tag("div", trusted(progress_svg(found, "hours")), class_="figure hours", tabindex=0, role="group", aria_label="Figure by hours"),
    ]  # fmt: skip
    legend = note(
        "The line is the main that was confirmed at that moment, at the score that is believed of it now; it is not the running minimum, "
        "which the luckiest noise would set. The band is where 95 of 100 single trainings of main would land (±2σ). Dots: every measured "
        "candidate, those in a ring lived; triangles lie above the figure; crosses on the rail failed."
    )
    return section("progress", "Score over time", tag("div", *views, *figures, class_="switch"), legend)  # fmt: skip


def _lineage(facts: Facts) -> Markup:
    if facts.main is None:
        return section("lineage", "Lineage", paragraph("There is no family yet."))
    drawing = trusted(lineage_svg(facts.gathered, prefix="family", paper=False))
    figure = tag("div", drawing, class_="figure", tabindex=0, role="group", aria_label="Lineage")
    return section("lineage", "Lineage", figure)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
