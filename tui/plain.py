"""A run as plain text and as JSON: status, results, events, for pipes, dumb terminals and screen readers.

Values in, strings out. Nothing here reads the journal, moves a cursor or knows a colour; whatever a candidate
or a model wrote is cleaned before it reaches a terminal.
"""

from __future__ import annotations

import json
import math
import re
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from evolve.model import CandidateState, Verdict
from harness.process import clean
from harness.spec import Outcome
from tui import slotwords
from tui.figures import (
    GREEDY,
    asked,
    believed,
    calls,
    goes_by,
    noise,
    operators,
    score,
    times,
    tried,
)

if TYPE_CHECKING:
    from evolve.model import Candidate, Event
    from evolve.view import EngineView, Snapshot

HANGS_AFTER = 30.0  # seconds without a heartbeat, which comes every two
REHEARSAL = (
    "REHEARSAL: a small model on a CPU shows that everything works; its scores are no results.\n"
    "A GPU gives real ones, an API key better ideas."
)
_LABEL = 12  # width of the first column of `status`
_MEMBERS = 8  # of the population that `status` lists


def one_line(text: str, width: int | None = None) -> str:
    """Untrusted text as one printable line, cut to `width` columns with an ellipsis."""
    words = " ".join(clean(text).split())
    # Beyond control sequences: bidirectional overrides and other characters that only confuse a terminal.
    line = "".join(character for character in words if character.isprintable())
    if width is None or columns(line) <= width:
        return line
    kept = ""
    for character in line:
        if columns(kept + character) > width - 1:
            break
        kept += character
    return kept.rstrip() + "…"


def columns(text: str) -> int:
    """How many terminal cells `text` takes: wide East Asian characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def duration(seconds: float) -> str:
    """`45 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def event_line(event: Event) -> str:
    """`14:02:11 #212 finished 0.97440`: one line of the run's story, in local time."""
    text = one_line(event.text)
    label = f"#{event.candidate}"
    if event.candidate is not None and not re.search(rf"{label}\b", text):
        text = f"{label} {text}"
    return f"{_clock(event.time)} {text}"


# ---- status ----------------------------------------------------------------------------------------------


def status(snapshot: Snapshot) -> str:
    """The state of a run as a small table of at most about 30 lines; needs a snapshot with a run."""
    run = snapshot.run
    if run is None:
        return "No run here yet."
    outlook = snapshot.outlook
    rows = [
        ("Run", f"{one_line(run.name)}, {run.state}: {one_line(run.reason)}"),
        ("Engine", _engine(snapshot.engine, run.state)),
        ("Incumbent", _incumbent(snapshot)),
        ("Drift", one_line(snapshot.drift)),
        ("Training", _training(snapshot)),
        ("Foretold", slotwords.forecast(snapshot.running)),
        ("Machine", one_line(slotwords.machine(snapshot.running))),
        ("Queue", _queue(snapshot)),
        *(("Proposer", one_line(text)) for text in slotwords.proposing(snapshot)),
        ("Population", f"{len(snapshot.population)} alive"),
        *(("", line) for line in _members(snapshot)),
        ("Again", ", ".join(f"{c.label} {c.wanted}x" for c in snapshot.wished)),
        ("So far", _counts(snapshot)),
        ("Ideas", one_line(tried(outlook.trends))),
        ("Operators", one_line(operators(outlook))),
        ("Pruning", one_line(outlook.pruned.words) if outlook.pruned else ""),
        ("Spent", calls(outlook.calls, snapshot.dollars)),
        ("Noise", noise(outlook.noise)),
        ("Goes by", one_line(goes_by(outlook))),
        ("Policy", GREEDY if outlook.policy == "greedy" else ""),
        ("Pace", _pace(snapshot)),
        ("Ends after", one_line(snapshot.stop_rules) or "nothing: it goes on until it is stopped"),
        ("Sandbox", one_line(snapshot.sandbox) or "not known yet"),
        *(("Pending", one_line(request)) for request in snapshot.pending),
    ]
    lines = [REHEARSAL, ""] if snapshot.rehearsal else []
    lines += [f"{label:<{_LABEL}}{text}".rstrip() for label, text in rows if text]
    recent = [f"  {event_line(event)}" for event in snapshot.recent[-5:]]
    return "\n".join([*lines, *(["", "Lately"] if recent else []), *recent])


def watch_key(snapshot: Snapshot) -> tuple[object, ...]:
    """What must change before `status --watch` prints again where it cannot repaint.

    Progress counts in tenths, so that a screen reader is not flooded.
    """
    running = snapshot.running
    progress = running.progress if running else None
    return (
        snapshot.run and (snapshot.run.id, snapshot.run.state, snapshot.run.incumbent),
        snapshot.engine.state,
        snapshot.engine.why,
        running and running.experiment.id,
        snapshot.smoking and snapshot.smoking.smoke.id,
        progress and (progress.phase, int(progress.fraction * 10)),
        tuple(candidate.id for candidate in snapshot.queue),
        tuple(candidate.id for candidate in snapshot.population),
        snapshot.recent[-1].id if snapshot.recent else 0,
        snapshot.pending,
        snapshot.drift,
    )


def _engine(engine: EngineView, run_state: str) -> str:
    heard = (
        ""
        if engine.heartbeat_age is None
        else f", last heard from {duration(engine.heartbeat_age)} ago"
    )
    if engine.state == "none" and engine.why:
        return (
            f"none: the run was imported from {one_line(engine.why)}, to be looked at and exported"
        )
    if engine.state == "none" and run_state == "finished":
        return "not running; a later stop rule goes on (`autoresearch run --max N`), --name NAME starts anew"
    if engine.state == "none":
        return "not running; `autoresearch run` goes on from here"
    if engine.state == "dead":
        why = f"gone, {one_line(engine.why)}" if engine.why else "gone without a word"
        return f"{why.rstrip('.')}{heard}; `autoresearch run` goes on from here, nothing is lost"
    if engine.state == "restarting":
        return f"restarting: {one_line(engine.why).rstrip('.')}{heard}"
    if engine.heartbeat_age is not None and engine.heartbeat_age >= HANGS_AFTER:
        silent = duration(engine.heartbeat_age)
        return (
            f"{engine.state} (pid {engine.pid}), but without a sign of life for {silent}: it hangs, or somebody "
            f"stopped it; `kill -9 {engine.pid}` makes way for a fresh one, nothing is lost"
        )
    waits = f"; it waits for {one_line(engine.why)}" if engine.why else ""
    return f"{engine.state} (pid {engine.pid}{heard}){waits}"


def _incumbent(snapshot: Snapshot) -> str:
    best = snapshot.incumbent
    if best is None:
        return "none yet: the baseline is measured first"
    outlook = snapshot.outlook
    believed = score(best, outlook.beliefs.get(best.id), composite=outlook.composite)
    return f"{best.label} {believed}{_sealed(best)}  {one_line(best.title, 60)}"


def _sealed(candidate: Candidate) -> str:
    """`, +0.00400 on the sealed rows (gap +0.00010)`: what a promotion rested on."""
    if candidate.sealed_gain is None or candidate.sealed_gap is None:
        return ""
    return f", {candidate.sealed_gain:+.5f} on the sealed rows (gap {candidate.sealed_gap:+.5f})"


def _training(snapshot: Snapshot) -> str:
    running = snapshot.running
    if running is None:
        return f"nothing: {one_line(slotwords.slot(snapshot))}"
    experiment, candidate, progress = running.experiment, running.candidate, running.progress
    why = "asked for" if experiment.wished else experiment.purpose
    head = f"{candidate.label} {candidate.operator} ({why})"
    if progress is None:
        return f"{head} starting  {one_line(candidate.title, 40)}"
    parts = [f"{progress.phase} {progress.fraction:.0%}"]
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.tokens_per_second is not None:
        rate = f"{progress.tokens_per_second:,.0f} tokens/s"
        if running.main_speed:
            rate += f" ({progress.tokens_per_second / running.main_speed:.2f} of main's)"
        parts.append(rate)
    parts.append(f"{duration(progress.time - experiment.started)} since its start")
    return f"{head} {', '.join(parts)}  {one_line(candidate.title, 40)}"


def _pace(snapshot: Snapshot) -> str:
    """`11.2 trainings an hour; 12 candidates in about 1 h 5 min`; empty before the first."""
    if not snapshot.pace.experiments:
        return ""
    pace = f"{snapshot.pace.experiments:.1f} trainings an hour"
    if snapshot.pace.dollars:
        pace += f", ${snapshot.pace.dollars:.2f} an hour"
    ends = slotwords.ends(snapshot.standings)
    if ends is None or snapshot.engine.state != "running":
        return pace
    return f"{pace}; ends in about {duration(ends[0] * 3600)}, by its {ends[1]}"


def _queue(snapshot: Snapshot) -> str:
    queue, unheard = snapshot.queue, slotwords.waiting_for_word(snapshot)
    names = [
        f"{c.label} {c.operator}{f' ({words})' if words else ''}"
        for c in queue[:6]
        for words in [", ".join((*(["waits for approval"] if c.id in unheard else []), *asked(c)))]
    ]
    more = f" and {len(queue) - 6} more" if len(queue) > 6 else ""
    return ", ".join(names) + more if names else "empty"


def _members(snapshot: Snapshot) -> list[str]:
    shown = snapshot.population[:_MEMBERS]
    beliefs, composite = snapshot.outlook.beliefs, snapshot.outlook.composite
    rows = [
        (
            f"{c.label:>5}",
            *believed(c, beliefs.get(c.id), composite=composite),
            ", ".join((verdict_word(c), *asked(c))),
            one_line(c.title, 48),
        )
        for c in shown
    ]
    lines = table(rows, right=frozenset(range(1, 5))).splitlines() if rows else []
    more = len(snapshot.population) - len(shown)
    return [*lines, f"      and {more} more"] if more > 0 else lines


def _counts(snapshot: Snapshot) -> str:
    return ", ".join(
        (
            times(snapshot.candidates, "candidate"),
            times(snapshot.experiments, "training"),
            f"{snapshot.failures} failed{_why_failed(snapshot)}",
            f"{snapshot.promotions} promoted",
            times(snapshot.crossovers, "crossover"),
        )
    )


def _why_failed(snapshot: Snapshot) -> str:
    """` (2 oom, 1 voided by the audit)`."""
    kinds = slotwords.failures(snapshot.failed_by_kind).replace("voided", "voided by the audit")
    return f" ({kinds})" if kinds else ""


# ---- tables and JSON ------------------------------------------------------------------------------------------


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Rows of cells, aligned by terminal columns and two blanks apart; the columns in `right` end flush."""
    widths = [max(columns(row[i]) for row in rows) for i in range(len(rows[0]))]

    def pad(cell: str, i: int) -> str:
        blanks = " " * (widths[i] - columns(cell))
        return blanks + cell if i in right else cell + blanks

    return "\n".join("  ".join(pad(cell, i) for i, cell in enumerate(row)).rstrip() for row in rows)


def to_json(value: object) -> str:
    """A dataclass, or a list or dict of them, as indented JSON; numbers that JSON lacks become null."""
    return json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)


def jsonable(value: object) -> object:
    """Dataclasses to dicts, tuples to lists, non-finite numbers to None; strings stay as they are.

    JSON escapes control characters itself, so text is not cleaned here: it stays exact.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def verdict_word(candidate: Candidate) -> str:
    """The verdict in a word; a failure says which, an open case says where it stands."""
    if candidate.verdict is Verdict.FAILED and candidate.voided:
        return "voided"
    if candidate.verdict is not None and candidate.outcome is Outcome.PRUNED:
        return str(candidate.outcome)
    if candidate.verdict is Verdict.FAILED and candidate.outcome is not None:
        return str(candidate.outcome)
    if candidate.verdict is not None:
        return str(candidate.verdict)
    return "waiting" if candidate.state is CandidateState.READY else str(candidate.state)


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
