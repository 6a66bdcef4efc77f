"""What went wrong, and why the scores can be believed: failures by kind with examples, audits, voids, the machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from evolve.concealing import conceal_keys
from evolve.drift import assess
from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.headline import note
from evolve.export.report.html import Child, Markup, join, link, paragraph, section, table, tag
from evolve.model import Candidate, Experiment, Verdict
from evolve.text import one_line
from harness.spec import Outcome

_EXAMPLES = 3  # of each kind of failure
_TAIL = 1500  # characters of a traceback
_ABOUT = {
    Outcome.CRASH: "the script ended with an error of its own",
    Outcome.OOM: "out of memory",
    Outcome.NAN: "a loss, weight or logit stopped being finite",
    Outcome.TIMEOUT: "the wall limit ran out",
    Outcome.INVALID: "the rules of the measurement were broken",
    Outcome.PRUNED: "stopped early, for it could not win any more",
    Outcome.VOID: "lost to something that was not its doing",
}


def failures(facts: Facts) -> Markup:
    """How trainings ended without a score, by kind, with the newest examples."""
    lost = [e for e in facts.experiments if e.outcome not in (None, Outcome.OK)]
    smoked = [s for s in facts.smokes if s.outcome not in (None, Outcome.OK, Outcome.VOID)]
    if not lost and not smoked:
        return section("failures", "Failures", paragraph("Every training that ended has a score."))
    groups: dict[Outcome, list[Experiment]] = defaultdict(list)
    for one in lost:
        if one.outcome is not None:
            groups[one.outcome].append(one)
    whole = sum(e.finished is not None for e in facts.experiments)
    rows: list[list[Child]] = []
    for kind, found in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        shown = join([link(e.candidate) for e in found[-6:]], ", ")
        rows.append([str(kind), f"{len(found):,}", words.percent(len(found) / whole), _ABOUT.get(kind, ""), shown])  # fmt: skip
    if smoked:
        newest = join([link(s.candidate) for s in smoked[-6:]], ", ")
        rows.append(["smoke run", f"{len(smoked):,}", "–", "failed within a few steps, before any training", newest])  # fmt: skip
    heads = ("Kind", "Times", "Of trainings", "What it means", "The latest")
    shown = table("Trainings without a score", heads, rows, numbers=(1, 2))
    wanted = {e.id for found in groups.values() for e in found[-_EXAMPLES:]}
    return section("failures", "Failures", shown, *_examples(facts, wanted))


def integrity(facts: Facts) -> Markup:
    """Audits, voided scores, the sealed rows, the sandbox, and whether the machine drifted."""
    audited = [e for e in facts.experiments if e.audit is not None]
    passed = sum(e.audit is not None and e.audit.passed for e in audited)
    scored = sum(e.outcome is Outcome.OK for e in facts.experiments)
    levels = Counter(e.sandbox for e in facts.experiments if e.sandbox)
    discounted = sum(bool(e.discounted) for e in facts.experiments)
    rows: list[list[Child]] = [
        ["Blind audits", f"{len(audited):,} done, {passed:,} passed, of {scored:,} scores"],
        ["Voided by an audit", _voided(facts)],
        ["Promotions without a passed audit", _unaudited(facts, audited)],
        ["Sealed rows, which selection never sees", _sealed(facts)],
        ["Sandbox", join([f"{one_line(k, 30)} ({n:,})" for k, n in levels.most_common()], ", ") or "not told"],
        ["Speed of the machine", _drift(facts)],
        ["Scores that count no more", f"{discounted:,}"],
    ]  # fmt: skip
    about = note(
        "A blind audit runs a script again on its own weights with the future hidden; a score that needs the future fails it. "
        "It proves no script innocent: it makes the known ways of cheating fail."
    )
    shown = table("What was checked", ("What", "Found"), rows, name="small")
    return section("integrity", "Integrity", shown, about)


# ---- private ---------------------------------------------------------------------------------------------


def _examples(facts: Facts, wanted: set[int]) -> list[Markup]:
    made = []
    for one in facts.gathered.experiments(texts=True):
        if one.id not in wanted:
            continue
        text = conceal_keys((one.traceback or one.log_tail)[-_TAIL:])
        title = facts.gathered.candidate(one.candidate).title
        summary = tag("summary", f"{one.outcome}: ", link(one.candidate), f" {one_line(title, 90)}")
        reason = paragraph(conceal_keys(one.reason))
        body = tag("pre", text, tabindex=0) if text.strip() else None
        made.append(tag("details", summary, reason, body))
    return made


def _voided(facts: Facts) -> Child:
    found = [c for c in facts.gathered.everybody if c.voided]
    if not found:
        return "none"
    shown = [tag("li", link(c.id), f": {one_line(c.voided, 200)}") for c in found[:8]]
    more = tag("li", f"and {len(found) - 8} more") if len(found) > 8 else None
    return join([f"{len(found)}", tag("ul", *shown, more)])


def _unaudited(facts: Facts, audited: Sequence[Experiment]) -> Child:
    fine = {e.candidate for e in audited if e.audit is not None and e.audit.passed}
    missing = [step.candidate for step in facts.gathered.path[1:] if step.candidate not in fine]
    if not missing:
        return "none"
    return join([f"{len(missing)}: ", join(map(link, missing[:20]), ", ")])


def _sealed(facts: Facts) -> Child:
    known: list[Candidate] = [
        c for c in facts.gathered.everybody if c.sealed_gap is not None and c.verdict is Verdict.PROMOTED
    ]  # fmt: skip
    if not known:
        return "no promotion was looked at there"
    gaps = [c.sealed_gap for c in known if c.sealed_gap is not None]
    mean = sum(gaps) / len(gaps)
    beside = "smaller" if mean > 0 else "larger"
    return (
        f"{words.count(len(known), 'promotion')}: the gain was {abs(mean):.5f} bpb {beside} there than on the validation rows, "
        "on average"
    )


def _drift(facts: Facts) -> str:
    found = assess(facts.gathered.journal.speeds())
    if facts.run.settings.get("budget", {}).get("kind") == "tokens":
        return "does not matter: the budget is counted in tokens"
    if found.drifting:
        return f"drifted: {found.change}"
    return "as at the start" if found.start else "not measured twice"
