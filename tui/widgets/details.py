"""Everything about one candidate as a page of lines: what it tries, where it comes from, how it did. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from evolve.beliefs import Belief
from evolve.model import Candidate, Experiment, Smoke
from harness.process import clean
from harness.spec import Outcome
from tui.figures import asked, chance, corrected
from tui.state import Details, ViewState
from tui.widgets.ink import Ink, Line, Span, bpb, clock, count, times, width, wrap
from tui.widgets.tables import pad, parents, status, time_of_day, words

LOG_LINES = 40
NAMES = 11  # columns of the names of facts


def details_page(state: ViewState, details: Details, columns: int, hint: str = "") -> list[Line]:
    """The page of a candidate, `columns` wide; the caller scrolls it. `hint` says how to see its changes in full."""
    candidate = details.candidate
    lines: list[Line] = [*_facts(state, candidate, details.belief, columns), ()]
    lines += _section(
        "Hypothesis", _paragraph(state, candidate.hypothesis or "None given.", columns)
    )
    changes = candidate.changes or ("Not recorded.",)
    lines += _section("Changes", (_text(state, change) for change in changes), hint)
    if candidate.recommendation:
        lines += _section(
            "Recommendation that its prompt carried",
            _paragraph(state, candidate.recommendation, columns),
        )
    if details.smokes:
        lines += _section("Smoke runs", _smokes(state, details.smokes, columns))
    lines += _section("Trainings", _trainings(state, details.experiments))
    last = details.experiments[-1] if details.experiments else None
    if last is not None and last.reason:
        lines += _section("Last end", _paragraph(state, last.reason, columns))
    if last is not None and last.traceback:
        lines += _section("Traceback", _block(state, last.traceback))
    if last is not None and last.log_tail:
        lines += _section("End of its log", _block(state, last.log_tail))
    return lines


def _facts(
    state: ViewState, candidate: Candidate, belief: Belief | None, columns: int
) -> list[Line]:
    word, ink = status(candidate)
    maker = f"{candidate.operator} by {candidate.proposer}"
    if candidate.model:
        maker += f" ({words(state, candidate.model)})"
    kids = times(candidate.children, "child", "children")
    reasons = _reasons(state, candidate, columns - NAMES - width(word) - 3)
    verdict: tuple[Span, ...] = ((word, ink),)
    if reasons:
        verdict += ((f"  {reasons[0]}", Ink.PLAIN),)
    inset = " " * (width(word) + 2)
    further: list[tuple[str, Line]] = [("", ((inset + r, Ink.PLAIN),)) for r in reasons[1:]]
    facts: list[tuple[str, Line]] = [
        *_scores(state, candidate, belief),
        ("sealed", ((_sealed(candidate), Ink.PLAIN),)),
        ("became", verdict),
        *further,
        ("made by", ((maker, Ink.PLAIN),)),
        ("parents", ((parents(state, candidate) or "none", Ink.PLAIN),)),
        ("category", ((words(state, candidate.category), Ink.PLAIN),)),
        ("kin", ((f"generation {candidate.generation}, {kids}", Ink.PLAIN),)),
        ("size", ((f"{candidate.lines} lines", Ink.PLAIN),)),
        ("commit", ((candidate.commit[:12], Ink.PLAIN),)),
        ("created", ((time_of_day(candidate.created), Ink.PLAIN),)),
    ]
    if candidate.sealed_gain is None:
        facts = [fact for fact in facts if fact[0] != "sealed"]
    if candidate.prompt_version:
        facts.append(("prompt", ((words(state, candidate.prompt_version), Ink.PLAIN),)))
    if standing := _standing(candidate):
        facts.append(("held", ((standing, Ink.BOLD),)))
    return [((f" {name:9} ", Ink.DIM), *value) for name, value in facts]


def _reasons(state: ViewState, candidate: Candidate, columns: int) -> list[str]:
    """Why it became what it is, and why its score was voided, as lines."""
    told = (candidate.verdict_reason, candidate.voided)
    text = " ".join(words(state, reason) for reason in dict.fromkeys(told) if reason)
    return wrap(text, max(20, columns)) if text else []


def _standing(candidate: Candidate) -> str:
    """What people and the search decided about it beside its verdict."""
    parts = (
        *asked(candidate),
        f"given {times(candidate.chances, 'second chance')}" if candidate.chances else "",
        f"island {candidate.island}" if candidate.island else "",
    )
    return ", ".join(part for part in parts if part)


def _scores(
    state: ViewState, candidate: Candidate, belief: Belief | None
) -> list[tuple[str, Line]]:
    """As measured, as believed, against main, and what selection goes by where that is something else."""
    measured = f"  mean of {times(len(candidate.scores), 'training')}" if candidate.scores else ""
    facts: list[tuple[str, Line]] = [
        ("val_bpb", ((bpb(candidate.mean), Ink.BOLD), (measured, Ink.DIM)))
    ]
    outlook = state.snapshot.outlook if state.snapshot is not None else None
    if outlook is not None and outlook.composite:
        by = f"  selection goes by {words(state, outlook.goes_by)}"
        facts.append(("fitness", ((bpb(candidate.mean_fitness), Ink.BOLD), (by, Ink.DIM))))
    if belief is None:
        return facts
    sure = Ink.WARN if belief.n == 1 else Ink.PLAIN
    score = corrected(belief, 4, state.glyphs.plus_minus)
    facts.append(
        (
            "corrected",
            (
                (score, Ink.BOLD),
                ("  without what luck explains, ", Ink.DIM),
                (belief.word, sure),
            ),
        )
    )
    if belief.better is not None:
        facts.append(("P(better)", ((f"{chance(belief.better)} than main", Ink.PLAIN),)))
    return facts


def _sealed(candidate: Candidate) -> str:
    """`+0.0040 over main on the sealed rows, gap +0.0001`."""
    if candidate.sealed_gain is None or candidate.sealed_gap is None:
        return ""
    return f"{candidate.sealed_gain:+.4f} over main on the sealed rows, gap {candidate.sealed_gap:+.4f}"


def _section(title: str, body: Iterable[Line], hint: str = "") -> list[Line]:
    return [((f" {title}", Ink.BOLD), (f"  {hint}", Ink.DIM)), *body, ()]


def _text(state: ViewState, text: str) -> Line:
    return ((f"   {words(state, text)}", Ink.PLAIN),)


def _paragraph(state: ViewState, text: str, columns: int) -> list[Line]:
    return [((f"   {line}", Ink.PLAIN),) for line in wrap(words(state, text), columns - 4)]


def _block(state: ViewState, text: str) -> list[Line]:
    return [_text(state, line) for line in clean(text).rstrip().splitlines()[-LOG_LINES:]]


def _smokes(state: ViewState, smokes: tuple[Smoke, ...], columns: int) -> list[Line]:
    """How it was tried out before its first training, with the traceback where that failed."""
    lines: list[Line] = []
    for smoke in smokes:
        end = "running" if smoke.outcome is None else str(smoke.outcome)
        ink = Ink.PLAIN if smoke.outcome in (None, Outcome.OK) else Ink.BAD
        lines.append((("   ", Ink.PLAIN), (end, ink), (f"  in {clock(smoke.seconds)}", Ink.DIM)))
        if smoke.reason and smoke.outcome is not Outcome.OK:
            lines += _paragraph(state, smoke.reason, columns)
        if smoke.traceback:
            lines += _block(state, smoke.traceback)
    return lines


def _trainings(state: ViewState, experiments: tuple[Experiment, ...]) -> list[Line]:
    if not experiments:
        return [(("   None yet.", Ink.DIM),)]
    head = f"   {pad('why', 10)}{pad('seed', 7)}{pad('end', 9)}{pad('val_bpb', 9)}"
    priced = any(run.fitness not in (None, run.val_bpb) for run in experiments)
    head += pad("fitness", 9) + pad("memory", 9) if priced else ""
    head += f"{pad('time', 8)}{pad('tokens', 9)}{pad('tokens/s', 9)}{pad('audit', 8)}"
    lines: list[Line] = [((head, Ink.DIM),)]
    for run in experiments:
        end = str(run.outcome) if run.outcome is not None else "running"
        text = f"   {pad(str(run.purpose), 10)}{pad(str(run.seed), 7)}{pad(end, 9)}"
        text += pad(bpb(run.val_bpb), 9)
        if priced:
            text += f"{pad(bpb(run.fitness), 9)}{pad(_memory(run), 9)}"
        text += pad(clock(run.train_seconds), 8)
        text += f"{pad(count(run.train_tokens), 9)}{pad(count(run.tokens_per_second), 9)}"
        lines.append(((text, Ink.DIM if run.discounted else Ink.PLAIN), _audit(run)))
    discounted = {run.discounted for run in experiments if run.discounted}
    lines += [_text(state, _hopeless(run)) for run in experiments if run.pruning]
    lines += [_text(state, f"Scores in grey count no more: {why}") for why in sorted(discounted)]
    return lines


def _memory(run: Experiment) -> str:
    """Measured from outside the script: of the GPU, or of the process tree where there is none."""
    used = run.device_memory_mb if run.device_memory_mb is not None else run.host_memory_mb
    return "-" if used is None else f"{used / 1024:.1f} GB"


def _hopeless(run: Experiment) -> str:
    """What the pruning rule said of a training, and what followed."""
    said = run.pruning or {}
    then = "let finish, as a test of that rule" if said["spared"] else "stopped"
    return (
        f"Seed {run.seed}: its loss of {said['loss']:.4f} at {said['fraction']:.0%} foretold {said['score']:.4f}, "
        f"no use above {said['limit']:.4f}; {then}."
    )


def _audit(run: Experiment) -> Span:
    """What the blind audit of a training found, in a word."""
    if run.audit is None:
        return ("-", Ink.DIM)
    return ("passed", Ink.PLAIN) if run.audit.passed else ("VOID", Ink.BAD)
