"""What the run has cost, and where the time of its device went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from statistics import median

from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.headline import note
from evolve.export.report.html import Child, Markup, bar, paragraph, section, table
from evolve.model import LlmCall, Purpose
from evolve.text import one_line
from harness.spec import Outcome

_PURPOSES = {
    Purpose.BASELINE: "measuring the baseline",
    Purpose.SCREEN: "first trainings of candidates",
    Purpose.CONFIRM: "repeats of contenders",
    Purpose.INCUMBENT: "repeats of main",
}


def costs(facts: Facts) -> Markup:
    """Device hours by purpose, dollars by model and kind of call, and the price of what was confirmed."""
    rows: list[list[Child]] = []
    hours = facts.device_seconds / 3600
    rows.append([f"{facts.device}-hours in all", words.hours(facts.device_seconds)])
    for purpose, about in _PURPOSES.items():
        seconds = sum(e.total_seconds for e in facts.experiments if e.purpose is purpose)
        if seconds:
            rows.append([f"… {about}", words.hours(seconds)])
    if facts.times.smoke:
        rows.append(["… smoke runs", words.hours(facts.times.smoke)])
    rows.append(["Dollars for language models", words.dollars(facts.dollars)])
    rows += _per_gain(facts, hours)
    parts: list[Child] = [table("What it cost", ("What", "How much"), rows, numbers=(1,), name="small")]  # fmt: skip
    calls = [c for c in facts.calls if c.status != "reserved"]
    if calls:
        parts.append(_calls("Calls by kind", calls, lambda c: c.operator))
        parts.append(_calls("Calls by model", calls, lambda c: c.model))
        parts.append(_reserved(facts))
    else:
        parts.append(paragraph("No language model was asked: the built-in proposer made every candidate."))  # fmt: skip
    return section("cost", "What it cost", *parts)


def pace(facts: Facts) -> Markup:
    """Trainings an hour, what surrounds a training, and the share of time in which the device did nothing."""
    times, ended = facts.times, [e for e in facts.experiments if e.finished is not None]
    if not ended or times.span <= 0:
        return section("pace", "Throughput", paragraph("No training has ended yet."))
    parts = (
        ("training, on the budget's clock", times.training, ""),
        ("setting up: launch, imports, first batch, compiling", times.setup, "weak"),
        ("scoring", times.scoring, "weak"),
        ("audits, saving, leaving", times.other, "weak"),
        ("smoke runs", times.smoke, "weak"),
        ("idle between trainings", times.idle, "worse"),
    )
    whole = sum(seconds for _, seconds, _ in parts) or 1.0
    rows: list[list[Child]] = [
        [about, words.duration(seconds), words.percent(seconds / whole),
         bar(0, seconds / whole, f"{words.percent(seconds / whole)} {about}", name)]
        for about, seconds, name in parts
        if seconds > 0
    ]  # fmt: skip
    shown = table("Where the time went", ("Phase", "Time", "Share", ""), rows, numbers=(1, 2), name="kinds")  # fmt: skip
    speeds = [e.tokens_per_second for e in ended if e.tokens_per_second > 0]
    scored = [e.total_seconds for e in ended if e.outcome is Outcome.OK and e.total_seconds > 0]
    told = [
        f"{len(ended) / (times.span / 3600):,.1f} trainings an hour over {words.duration(times.span)}"
    ]
    if scored:
        told.append(f"a scored one takes {words.duration(median(scored))} (median)")
    if times.gaps:
        told.append(f"the gap to the next {words.duration(median(times.gaps))} (median), {words.duration(max(times.gaps))} at most")  # fmt: skip
    if speeds:
        told.append(f"{median(speeds):,.0f} tokens a second (median)")
    about = note(
        "Pauses that a person asked for count as idle; gaps of more than a day as nothing."
    )
    return section("pace", "Throughput", paragraph("; ".join(told) + "."), shown, about)


# ---- private ---------------------------------------------------------------------------------------------


def _per_gain(facts: Facts, hours: float) -> list[list[Child]]:
    if not facts.confirmed or facts.gained is None:
        return [["Per confirmed 0.001", "– (no confirmed gain)"]]
    thousandths = facts.gained.gain / 0.001
    return [
        [f"Dollars per confirmed 0.001 {facts.unit}", words.dollars(facts.dollars / thousandths)],
        [f"{facts.device}-hours per confirmed 0.001 {facts.unit}", f"{hours / thousandths:,.3f}"],
    ]


def _calls(title: str, calls: list[LlmCall], key: Callable[[LlmCall], str]) -> Markup:
    groups: dict[str, list[LlmCall]] = defaultdict(list)
    for call in calls:
        groups[key(call)].append(call)
    ordered = sorted(groups.items(), key=lambda pair: -sum(c.dollars for c in pair[1]))
    rows = [_group(name, found) for name, found in ordered]
    heads = ("Kind", "Calls", "Answered", "Dollars", "Each", "Input tokens", "… cached", "Output tokens", "Wait, median")  # fmt: skip
    return table(title, heads, rows, numbers=range(1, 9))


def _group(name: str, calls: list[LlmCall]) -> list[Child]:
    dollars = sum(c.dollars for c in calls)
    read = sum(c.cache_read_tokens for c in calls)
    given = sum(c.input_tokens + c.cache_read_tokens + c.cache_write_tokens for c in calls)
    waits = [c.seconds for c in calls if c.status == "answered"]
    answered = sum(c.status == "answered" for c in calls)
    return [
        one_line(name, 60) or "none",
        f"{len(calls):,}",
        words.percent(answered / len(calls)),
        words.dollars(dollars),
        words.dollars(dollars / len(calls)),
        f"{given:,}",
        words.percent(read / given) if given else "–",
        f"{sum(c.output_tokens for c in calls):,}",
        words.duration(median(waits)) if waits else "–",
    ]


def _reserved(facts: Facts) -> Markup | None:
    open_ones = [c for c in facts.calls if c.status == "reserved"]
    if not open_ones:
        return None
    bound = sum(c.dollars for c in open_ones)
    what = words.count(len(open_ones), "call is", "calls are")
    return note(f"{what} not answered yet; at most {words.dollars(bound)} more.")
