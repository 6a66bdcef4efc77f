"""What a run does not show, said of this very run, and what the words mean."""

from __future__ import annotations

from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.html import Markup, join, link, section, tag

GLOSSARY = {
    "baseline": "the script that the run began with, measured several times",
    "main": "the best script that was confirmed so far; the branch of the same name follows it",
    "candidate": "one version of train.py, made of one parent or two",
    "training": "one run of one candidate with one seed, for the frozen budget",
    "val_bpb": "bits per byte on the validation rows: what the script needs to write the text down; lower is better",
    "believed score": "the mean of all scores of a candidate, without the luck of its seeds, drawn towards its relatives",
    "σ (sigma)": "the standard deviation of one training's score: the same script, trained again",
    "P(better)": "the chance that a candidate's true score is below that of main",
    "confirmed": "repeated, on both sides, until chance explains the gain less than the run's own limit",
    "promoted": "confirmed, and made main",
    "kept": "good or different enough to live in the population, and not confirmed to be better than main",
    "rejected": "measured, and neither",
    "failed": "without a score",
    "seed": "a number that fixes the order of the data and the initial weights",
    "sealed rows": "validation rows that selection never sees; a promotion has to gain there too",
    "blind audit": "a second run of a script on its own weights, with the future hidden",
    "crossover": "a candidate of two parents",
    "fitness": "what selection goes by: val_bpb, unless speed, memory or lines were given a price",
}


def limits(facts: Facts) -> Markup:
    """What this run does not show."""
    told = [_selected(facts), *_thin(facts), *_machine(facts)]
    return section("limits", "What this does not show", tag("ul", *(tag("li", one) for one in told if one)))  # fmt: skip


def glossary() -> Markup:
    """One line for each term."""
    made = [tag("div", tag("dt", word), tag("dd", about)) for word, about in GLOSSARY.items()]
    return section("glossary", "What the words mean", tag("dl", *made, class_="glossary"))


# ---- private ---------------------------------------------------------------------------------------------


def _selected(facts: Facts) -> str:
    if facts.gained is None:
        return "No gain was confirmed. That does not show that there is none: a longer run, or quieter trainings, might find one."
    return (
        "Main was chosen because it scored well, so its gain is a little flattered, however carefully that is corrected. Train main and "
        "the baseline at fresh seeds for a figure to publish."
    )


def _thin(facts: Facts) -> list[Markup | str]:
    told: list[Markup | str] = []
    weak = [step.candidate for step in facts.gathered.path[1:] if not step.confirmed]
    if weak:
        told.append(join(["Not confirmed by a repeat on both sides: ", join(map(link, weak), ", "), "."]))  # fmt: skip
    once = sum(len(t) == 1 for t in facts.gathered.scores.values())
    if once:
        told.append(
            f"{words.count(once, 'candidate was', 'candidates were')} trained once only. Their order among each other is mostly noise, "
            "and a rejected one may be better than it looked."
        )
    if facts.gathered.policy == "greedy":
        told.append("The policy was greedy: one lucky training moves main. Its steps are not confirmed.")  # fmt: skip
    if not facts.noise.n:
        told.append("The noise of a training is assumed, for nothing was repeated.")
    return told


def _machine(facts: Facts) -> list[Markup | str]:
    told: list[Markup | str] = []
    if facts.device == "CPU":
        told.append("It ran on a CPU with a small model: a rehearsal. What helps there need not help on a GPU.")  # fmt: skip
    told.append(
        "Everything holds for this budget, this data and this device. A gain at five minutes need not be one at five hours."
    )
    told.append("Gains of several ideas were measured in the order in which they came; alone, or in another order, each may be worth more or less.")  # fmt: skip
    if facts.run.settings.get("llm", {}).get("model") or facts.calls:
        told.append("Titles and reasons are the proposer's own words. They say what was tried, not why it helped.")  # fmt: skip
    if not facts.ended:
        told.append("The run goes on; all of this is of one instant.")
    return told
