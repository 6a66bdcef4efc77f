"""The table of all candidates: one row each, with what is known of it folded into the row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import unified_diff

from evolve.concealing import conceal_keys
from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.html import Child, Markup, escaped, join, link, paragraph, section, tag
from evolve.export.scripts import scripts
from evolve.model import Candidate, Verdict
from evolve.text import one_line

MOST = 2000  # rows, beside those that live or were promoted
DIFFS = 300  # newest candidates with a diff, beside those
DIFF_LINES = 200  # a longer one is left out
_ROOM = 1_400_000  # characters of all diffs together
HEADS = ("#", "What it tries", "Verdict", "Score", "± σ", "P(better)", "Runs", "Category", "How", "Generation")  # fmt: skip
_NUMBERS = (0, 3, 4, 5, 6, 9)


def roster(facts: Facts) -> Markup:
    """The section, with what the search box and the filters need."""
    shown = chosen(facts)
    if not shown:
        return section("candidates", "All candidates", paragraph("There is no candidate yet."))
    everybody = facts.gathered.everybody
    diffs = _diffs(facts, shown)
    left = len(everybody) - len(shown)
    told: Child = None
    if left:
        told = paragraph(
            f"Of {len(everybody):,} candidates, {len(shown):,} are here: all that live or were promoted, and the latest {MOST:,}. "
            "The others are in `autoresearch export results`.",
            "note",
        )
    head = tag("tr", *(
        tag("th", title, scope="col", class_="n" if place in _NUMBERS else None, data_sort="n" if place in _NUMBERS else "t")
        for place, title in enumerate(HEADS)
    ))  # fmt: skip
    rows = (_row(facts, candidate, diffs.get(candidate.id)) for candidate in reversed(shown))
    caption = tag("caption", "Candidates, the newest first. A title opens what is known of one.")
    body = tag("table", caption, tag("thead", head), tag("tbody", *rows), id="all", class_="all")
    wide = tag(
        "div", body, class_="wide", tabindex=0, role="region", aria_label="Table of candidates"
    )
    return section("candidates", "All candidates", told, _controls(shown), wide)


def chosen(facts: Facts) -> tuple[Candidate, ...]:
    """Those that are shown, by number: the latest, and of older ones those that live or were ever main."""
    everybody, main = facts.gathered.everybody, set(facts.gathered.main)
    first = len(everybody) - MOST
    return tuple(
        c for c in everybody if c.id > first or c.alive or c.id in main or c.verdict is Verdict.PROMOTED
    )  # fmt: skip


def diff(before: str, after: str, names: tuple[str, str] = ("", ""), most: int = DIFF_LINES) -> Markup | None:  # fmt: skip
    """A unified diff with its lines marked; None where there is none, or one of more than `most` lines."""
    lines: list[str] = []
    for line in unified_diff(before.splitlines(), after.splitlines(), *names, n=2, lineterm=""):
        lines.append(line)
        if len(lines) > most + 2:
            return None
    if not lines:
        return None
    inks = {"+": "ins", "-": "del", "@": "b"}
    made = []
    for line in lines[2:]:
        ink = inks.get(line[:1])
        text = conceal_keys(line)
        made.append(tag(ink, escaped(text, 400)) if ink else escaped(text, 400))
    return tag("pre", join(made, "\n"), class_="diff", tabindex=0)


# ---- private ---------------------------------------------------------------------------------------------


def _diffs(facts: Facts, shown: Sequence[Candidate]) -> Mapping[int, Markup]:
    """What each changed in its first parent's script, for main's way, the living and the latest, as far as there is room."""
    main = set(facts.gathered.main)
    latest = len(facts.gathered.everybody) - DIFFS
    wanted = [
        c for c in shown if c.parents and (c.id in main or c.alive or c.id > latest)
    ]  # fmt: skip
    wanted.sort(key=lambda c: (c.id not in main, not c.alive, -c.id))
    texts = scripts(facts.gathered, {n for c in wanted for n in (c.id, c.parents[0])})
    made: dict[int, Markup] = {}
    room = _ROOM
    for candidate in wanted:
        ours, theirs = texts.get(candidate.id), texts.get(candidate.parents[0])
        found = None if ours is None or theirs is None else diff(theirs, ours)
        if found is not None and len(found) <= room:
            made[candidate.id] = found
            room -= len(found)
    return made


def _row(facts: Facts, candidate: Candidate, changes: Markup | None) -> Markup:
    belief = facts.gathered.beliefs.get(candidate.id)
    verdict = _verdict(facts, candidate)
    cells: list[tuple[Child, object]] = [
        (f"#{candidate.id}", candidate.id),
        (_details(facts, candidate, changes), None),
        (tag("span", verdict, class_=f"v {verdict.split()[0]}"), verdict),
        (words.score(belief.mean if belief else None), belief.mean if belief else None),
        (f"{belief.sd:.5f}" if belief else "–", belief.sd if belief else None),
        (words.percent(belief.better if belief else None), belief.better if belief else None),
        (str(len(candidate.scores)), len(candidate.scores)),
        (one_line(candidate.category, 30), None),
        (str(candidate.operator), None),
        (str(candidate.generation), candidate.generation),
    ]
    made = []
    for place, (shown, value) in enumerate(cells):
        numeric = place in _NUMBERS
        key = None if not numeric else ("" if value is None else f"{value:.7g}" if isinstance(value, float) else str(value))  # fmt: skip
        made.append(
            tag(
                "th" if not place else "td",
                shown,
                scope=None if place else "row",
                class_="n" if numeric else None,
                data_k=key,
                data_h=HEADS[place],
            )
        )
    return tag("tr", *made, id=f"c{candidate.id}", data_v=verdict)


def _verdict(facts: Facts, candidate: Candidate) -> str:
    if candidate.id == facts.run.incumbent:
        return "main"
    return str(candidate.verdict or candidate.state)


def _details(facts: Facts, candidate: Candidate, changes: Markup | None) -> Markup:
    title = one_line(conceal_keys(candidate.title), 160) or "without a title"
    known: list[tuple[str, Child]] = []
    if candidate.hypothesis:
        known.append(("Why", conceal_keys(candidate.hypothesis)[:1200]))
    if candidate.verdict_reason:
        known.append(("Verdict", conceal_keys(candidate.verdict_reason)))
    known.append(("Made by", one_line(candidate.model or candidate.proposer, 60)))
    if candidate.parents:
        known.append(("Parents", join([link(p) for p in dict.fromkeys(candidate.parents)], ", ")))
    if candidate.changes:
        known.append(("Changes", one_line("; ".join(candidate.changes[:12]), 600)))
    if candidate.scores:
        known.append(("val_bpb", ", ".join(f"{s:.6f}" for s in candidate.scores)))
    if memory := facts.gathered.memory.get(candidate.id):
        known.append(("Memory", f"{memory:,.0f} MB"))
    known.append(("Commit", tag("code", candidate.commit[:12])))
    listed = [tag("div", tag("dt", name), tag("dd", value)) for name, value in known]
    return tag("details", tag("summary", title), tag("dl", *listed), changes)


def _controls(shown: Sequence[Candidate]) -> Markup:
    """Shown by the script only, because they do nothing without it."""
    verdicts = sorted({str(c.verdict or c.state) for c in shown} | {"main"})
    options = [tag("option", "every verdict", value=""), *(tag("option", v, value=v) for v in verdicts)]  # fmt: skip
    return tag(
        "div",
        tag("label", "Search ", tag("input", type="search", id="find", placeholder="title, category, #17 …")),
        tag("label", "Verdict ", tag("select", *options, id="verdict")),
        tag("output", id="hits", aria_live="polite"),
        class_="controls",
        hidden=True,
    )  # fmt: skip
