"""How far the figures can be believed: the noise, predictions against what came of them, and the pruning rule's audit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from evolve.acceptance import Samples, gain_probability
from evolve.export.report import words
from evolve.export.report.facts import Facts, quantile
from evolve.export.report.headline import note
from evolve.export.report.html import Child, Markup, bar, paragraph, section, table
from evolve.forecast import BAND, LATEST, Known, forecast, loss_at
from evolve.model import Experiment
from evolve.pruning import FRACTIONS, audit, pruning_report
from evolve.seeds import difference
from harness.spec import Outcome

_EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_CURVES = 160  # newest scored trainings that forecasts are looked at of


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a repeated candidate's first training promised, and what its other ones said."""

    candidate: int
    chance: float  # P(better than the main of that moment) by the first training, 0…1
    better: bool  # by the other trainings alone


def certainty(facts: Facts) -> Markup:
    """The section."""
    return section(
        "noise",
        "Noise and calibration",
        _noise(facts),
        _predicted(tuple(predictions(facts))),
        _forecasts(facts),
        _pruning(facts),
    )


def predictions(facts: Facts) -> Iterator[Prediction]:
    """Of every candidate with scores at two seeds or more, in order; neither the baseline nor ties with itself."""
    gathered, noise = facts.gathered, facts.noise
    path = [s for s in gathered.path if s.candidate in gathered.scores]
    moments = [step.time for step in path]
    started: dict[int, float] = {}
    for one in facts.experiments:
        started.setdefault(one.candidate, one.started)
    for number, table_of in gathered.scores.items():
        place = bisect_right(moments, started.get(number, 0.0)) - 1
        if len(table_of) < 2 or place < 0 or path[place].candidate == number:
            continue
        (seed, score), *others = table_of.items()
        candidate, rival = gathered.candidate(number), gathered.candidate(path[place].candidate)
        theirs = gathered.scores[rival.id]
        chance = gain_probability(
            Samples({seed: score}, candidate.lines), Samples(theirs, rival.lines), noise
        )
        yield Prediction(number, chance, difference(dict(others), theirs, noise).gain > 0)


def coverage(facts: Facts) -> tuple[int, int, float]:
    """Trainings whose score lay in the band foretold at 60 % of the budget, of how many, and the mean half width.

    Each is foretold from the curves of those that had ended before it, as the app would have done. Candidates that print
    another kind of loss are not compared.
    """
    inside = total = 0
    widths = 0.0
    known: list[tuple[str, int, Known]] = []
    for one, form in _with_curves(facts):
        curve = [(p.fraction, p.loss) for p in facts.gathered.journal.curve(one.id)]
        if not curve or one.fitness is None:
            continue
        fit = [k for f, number, k in known if f == form and number != one.candidate][-LATEST:]
        loss = loss_at(curve, FRACTIONS[2])
        told = None if loss is None else forecast(loss, FRACTIONS[2], fit)
        if told is not None:
            margin = told.spread * quantile((1 + BAND) / 2, told.freedom)
            total += 1
            inside += abs(one.fitness - told.score) <= margin
            widths += margin
        known.append((form, one.candidate, Known((tuple(curve),), one.fitness)))
    return inside, total, widths / total if total else 0.0


# ---- private ---------------------------------------------------------------------------------------------


def _with_curves(facts: Facts) -> Iterator[tuple[Experiment, str]]:
    """The newest scored trainings, oldest first, with the kind of loss that their candidates print."""
    scored = (
        e for e in reversed(facts.experiments) if e.outcome is Outcome.OK and not e.discounted
    )
    for one in reversed(tuple(islice(scored, _CURVES))):
        yield one, facts.gathered.candidate(one.candidate).loss_form


def _noise(facts: Facts) -> Markup:
    noise = facts.noise
    about = "assumed, for nothing was repeated yet" if not noise.n else f"from {words.count(noise.n, 'repeat')}"  # fmt: skip
    share = words.percent(noise.share)
    seeds = f"{share} of its variance" if noise.pairs else f"taken to be {share} of its variance, until the run shows more"  # fmt: skip
    once = sum(len(t) == 1 for t in facts.gathered.scores.values())
    rows: list[list[Child]] = [
        ["σ of one training", f"{noise.sigma:.5f} {facts.unit}, {about}"],
        ["What a seed explains", seeds],
        ["Relied upon when a difference is called sure", words.percent(noise.sure)],
        ["Smallest gain that two trainings a side can show (95 %)", f"{1.96 * noise.sigma:.5f} {facts.unit}"],
        ["Candidates that were trained once", f"{once:,} of {len(facts.gathered.scores):,} with a score"],
    ]  # fmt: skip
    return table("The noise of one training", ("What", "How much"), rows, name="small")


def _predicted(found: tuple[Prediction, ...]) -> Markup:
    if not found:
        return paragraph("No candidate but main was repeated, so there is no promise to hold against what came of it.")  # fmt: skip
    rows: list[list[Child]] = []
    for low, high in pairwise(_EDGES):
        some = [p for p in found if low <= p.chance < high or (high == 1.0 and p.chance == 1.0)]
        if not some:
            continue
        told = sum(p.chance for p in some) / len(some)
        came = sum(p.better for p in some) / len(some)
        shown = bar(0, came, f"{words.percent(came)} came out better")
        band = f"{low:.0%} to {high:.0%}".replace("%", " %")
        rows.append([band, f"{len(some):,}", words.percent(told), words.percent(came), shown])
    shown = table(
        "P(better than main) after the first training, against what the other trainings said",
        ("Promised", "Candidates", "Mean promise", "Came out better", ""),
        rows,
        numbers=(1, 2, 3),
        name="kinds",
    )
    about = note(
        "Only those that were repeated are here, and they were repeated because they promised something. The promise is sceptical, "
        "so it should lie below what came of it."
    )
    return Markup(shown + about)


def _forecasts(facts: Facts) -> Markup:
    inside, total, width = coverage(facts)
    if not total:
        return paragraph("No training could be foretold from earlier curves: there are too few, or none were kept.")  # fmt: skip
    wanted = words.percent(BAND)
    return paragraph(
        f"Forecasts at 60 % of the budget: {inside} of the last {total} trainings ({words.percent(inside / total)}) scored within the band "
        f"that should hold {wanted} of them; its half width was {width:.5f} on average."
    )


def _pruning(facts: Facts) -> Markup:
    told = pruning_report(facts.experiments)
    if not told:
        return paragraph("No training was stopped early.")
    verdict = " The rule was wrong too often." if audit(facts.experiments).failed else ""
    return paragraph(f"Stopping early: {told}{verdict}")
