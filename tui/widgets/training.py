"""The painters of the candidate that trains now: its figures and its idea. Pure."""

from __future__ import annotations

from evolve.model import Candidate, Purpose
from evolve.view import RunningView, Snapshot
from harness.spec import Progress
from tui import slotwords
from tui.figures import chance
from tui.state import ViewState, belief
from tui.widgets.facts import Fact, fact_lines
from tui.widgets.gauges import load_facts
from tui.widgets.ink import Ink, Line, Part, bar, bpb, clock, count, cut, pack, rule, wrap
from tui.widgets.tables import parents, words

PURPOSES = {
    Purpose.BASELINE: "baseline",
    Purpose.SCREEN: "first try",
    Purpose.CONFIRM: "repeat",
    Purpose.INCUMBENT: "main again",
}


def phase(running: RunningView) -> str:
    """What the harness is at: starting, training, scoring, auditing, done."""
    return running.progress.phase if running.progress is not None else "starting"


def eta(progress: Progress) -> float | None:
    """Seconds of the budget that are left, judged by what is spent."""
    if progress.fraction <= 0.01 or progress.phase != "training":
        return None
    return progress.seconds * (1.0 - progress.fraction) / progress.fraction


def now_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The figures of the running candidate, one a line; a small pane keeps those that matter most."""
    snapshot = state.snapshot
    running = snapshot.running if snapshot is not None else None
    if snapshot is None or running is None:
        head = rule((("now", Ink.BOLD),), (), columns, state.glyphs)
        return [head, *fact_lines(_run_facts(snapshot), columns, rows - 1, state.glyphs)]
    progress = running.progress
    lines: list[Line] = [rule(((phase(running), Ink.BOLD),), (), columns, state.glyphs)]
    if progress is not None:
        percent = f"{progress.fraction * 100:3.0f}%"
        room = max(4, columns - len(percent) - 3)
        text = f" {bar(progress.fraction, room, state.glyphs)} {percent}"
        lines.append(((text, Ink.PLAIN),))
    facts = [
        *_progress_facts(state, running),
        *load_facts(running, max(0, columns - 14), state.glyphs),
        *_candidate_facts(state, snapshot, running),
        *_run_facts(snapshot),
    ]
    return lines + fact_lines(facts, columns, rows - len(lines), state.glyphs)


def _progress_facts(state: ViewState, running: RunningView) -> list[Fact]:
    progress = running.progress
    if progress is None:
        return []
    left = eta(progress)
    told = running.foretold
    facts = [
        Fact(9, "elapsed", clock(progress.seconds)),
        Fact(0, "left", "-" if left is None else clock(left)),
        Fact(1, "loss", "-" if progress.loss is None else f"{progress.loss:.4f}"),
        Fact(2, "foretold", slotwords.foretold(running, state.glyphs.plus_minus)),
    ]
    if told is not None and told.better is not None:
        facts.append(Fact(3, "beats main", chance(told.better)))
    if progress.tokens_per_second is not None:
        facts.append(Fact(4, "tokens/s", _speed(progress.tokens_per_second, running, state)))
    if progress.mfu_percent:  # a script on a CPU prints 0
        facts.append(Fact(6, "MFU", f"{progress.mfu_percent:.1f}%"))
    if progress.step is not None:
        facts.append(Fact(13, "step", str(progress.step)))
    return [*facts, Fact(20, "tokens", count(progress.tokens))]


def _speed(rate: float, running: RunningView, state: ViewState) -> str:
    """`412k 1.02× main`."""
    if not running.main_speed:
        return count(rate)
    return f"{count(rate)} {rate / running.main_speed:.2f}{state.glyphs.times} main"


def _candidate_facts(state: ViewState, snapshot: Snapshot, running: RunningView) -> list[Fact]:
    candidate = running.candidate
    gap = snapshot.gap_seconds
    run = running.experiment
    why = "asked for" if run.wished else PURPOSES[run.purpose]
    return [
        Fact(14, "why", why),
        *_believed(state, candidate),
        Fact(22, "seed", str(running.experiment.seed)),
        Fact(18, "made by", str(candidate.operator)),
        Fact(16, "from", words(state, parents(state, candidate)) or "-"),
        Fact(21, "slot idle", "" if gap is None else f"{gap:.2f} s"),
    ]


def _believed(state: ViewState, candidate: Candidate) -> list[Fact]:
    """What a repeat is to settle: the score so far without luck, and how sure it is; nothing before a first score."""
    known = belief(state, candidate)
    if known is None:
        return []
    facts = [
        Fact(4, "corrected", f"{bpb(known.mean)} {state.glyphs.plus_minus}{known.sd:.4f}"),
        Fact(6, "state", f"{known.word}, {known.n}{state.glyphs.times}"),
    ]
    if known.better is not None:
        facts.insert(1, Fact(5, "P(better)", chance(known.better)))
    return facts


def _run_facts(snapshot: Snapshot | None) -> list[Fact]:
    """Figures of the run: they fill what the training leaves free."""
    if snapshot is None or snapshot.run is None:
        return []
    running = snapshot.engine.state == "running"  # a paused run counts nothing down
    pace, ends = snapshot.pace, slotwords.ends(snapshot.standings) if running else None
    hourly = f"{pace.experiments:.1f} trainings" if pace.experiments else ""
    dollars = f"${snapshot.dollars:.2f}" + (f", {pace.dollars:.2f}/h" if pace.dollars else "")
    pruned = snapshot.outlook.pruned
    return [
        Fact(19, "ends in", f"{_minutes(ends[0])}, by {ends[1]}" if ends else ""),
        Fact(23, "an hour", hourly),
        Fact(24, "dollars", dollars if snapshot.llm_calls else ""),
        Fact(25, "failed", slotwords.failures(snapshot.failed_by_kind)),
        Fact(27, "candidates", str(snapshot.candidates)),
        Fact(26, "trained", str(snapshot.experiments)),
        Fact(28, "pruned", "" if pruned is None else str(pruned.stopped)),
        Fact(29, "promoted", str(snapshot.promotions)),
        Fact(30, "crossovers", str(snapshot.crossovers)),
    ]


def _minutes(hours: float) -> str:
    """`1 h 5 min`: whole minutes, so that it moves once a minute."""
    minutes = round(hours * 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def now_line(state: ViewState, columns: int, rows: int) -> list[Line]:
    """The most important figures of the running candidate in one line, for narrow screens."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.running is None:
        said = "" if snapshot is None else slotwords.slot(snapshot)
        return [((f" {cut(words(state, said), columns - 2, state.glyphs)}", Ink.DIM),)]
    running = snapshot.running
    parts = [Part(0, phase(running), Ink.BOLD)]
    progress = running.progress
    if progress is not None:
        left = eta(progress)
        told = running.foretold
        parts += [
            Part(1, f"{progress.fraction * 100:3.0f}%"),
            Part(2, "" if left is None else f"{clock(left)} left"),
            Part(3, "" if progress.loss is None else f"loss {progress.loss:.4f}"),
            Part(4, "" if told is None else f"foretold {slotwords.foretold(running, state.glyphs.plus_minus)}"),
            Part(5, "" if not progress.tokens_per_second else f"{count(progress.tokens_per_second)} tok/s"),
        ]  # fmt: skip
    return [((" ", Ink.PLAIN), *pack(parts, columns - 2))]


def idea_pane(state: ViewState, columns: int, rows: int) -> list[Line]:
    """Why the candidate in the slot exists: its hypothesis and its changes (only on wide screens)."""
    snapshot = state.snapshot
    shown = None
    if snapshot is not None and snapshot.running is not None:
        shown = snapshot.running.candidate
    elif snapshot is not None and snapshot.smoking is not None:
        shown = snapshot.smoking.candidate
    name = "idea" if shown is None else f"{shown.label} idea"
    lines: list[Line] = [rule(((name, Ink.DIM),), (), columns, state.glyphs)]
    if shown is None:
        return lines
    text = words(state, shown.hypothesis) or "No hypothesis was given."
    lines += [((f" {part}", Ink.PLAIN),) for part in wrap(text, columns - 2)]
    for change in shown.changes:
        lines.append(((f" {cut(words(state, change), columns - 2, state.glyphs)}", Ink.DIM),))
    return lines
