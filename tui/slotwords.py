"""What the slot and the proposer are at, in words, for the app and for plain text. Pure.

Whatever a candidate, a model or an engine wrote is passed on as it is; whoever shows it makes it safe first.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evolve import approval
from evolve.forecast import EARLY
from tui.figures import chance, percent

if TYPE_CHECKING:
    from evolve.slotbook import UnderWay
    from evolve.stop import Standing
    from evolve.view import RunningView, Snapshot

PURPOSES = {"scratchpad": "rewrites the scratchpad"}
RULES = {
    "candidates": "candidates",
    "hours": "hours",
    "dollars": "dollars",
    "experiments": "trainings",
}


def clock_time(moment: float) -> str:
    """`14:02`, in the person's time zone."""
    return time.strftime("%H:%M", time.localtime(moment))


def slot(snapshot: Snapshot) -> str:
    """Why nothing trains, in words; empty while something does."""
    if snapshot.running is not None:
        return ""
    if (tried := snapshot.smoking) is not None:
        passed = max(0.0, snapshot.time - tried.smoke.started)
        return f"trying out {tried.candidate.label} (smoke run), {passed:.0f} s: {tried.candidate.title}"
    if snapshot.playback is not None and snapshot.playback.over(snapshot.time):
        return "the recording ends here"
    state = snapshot.engine.state
    if snapshot.run is None or state in ("none", "dead"):
        return "no engine works here"
    if state == "restarting":
        return "the engine is started again"
    if snapshot.engine.why:
        return f"waits for {snapshot.engine.why}"
    if state == "stopping":
        return "stopping: nothing more is trained"
    if state == "paused":
        if snapshot.pause is None:
            return f"paused: {snapshot.run.reason}" if snapshot.run.reason else "paused"
        return f"paused by {snapshot.pause.who} since {clock_time(snapshot.pause.since)}"
    if not snapshot.queue:
        return "waiting for a child"
    if approval_waits(snapshot):
        return approval.in_words(len(snapshot.queue))
    return "about to start the next one"


def approval_waits(snapshot: Snapshot) -> bool:
    """Does all that could train wait for a person's word?"""
    return bool(snapshot.queue) and len(waiting_for_word(snapshot)) == len(snapshot.queue)


def waiting_for_word(snapshot: Snapshot) -> frozenset[int]:
    """The candidates of the queue that may not train before a person approves of them."""
    return frozenset(snapshot.awaiting)


def proposing(snapshot: Snapshot) -> list[str]:
    """What the proposers are at, a line each: calls under way, then what the engine says of itself."""
    if snapshot.engine.state in ("none", "dead", "restarting"):
        return []
    calls = [call_line(call, snapshot.time) for call in snapshot.calling]
    doing = [part for part in snapshot.engine.doing.split("; ") if part]
    if calls and doing:
        doing = doing[1:]  # its first part says the same in fewer words
    return calls + doing


def call_line(call: UnderWay, now: float) -> str:
    """`opus writes a crossover of #12 and #9, 8 s, at most $0.12`."""
    family = " and ".join(f"#{parent}" for parent in call.parents)
    of = f" of {family}" if family else ""
    what = PURPOSES.get(call.purpose, f"writes a {call.purpose}{of}")
    return f"{call.model} {what}, {max(0.0, now - call.since):.0f} s, at most ${call.dollars:.2f}"


def foretold(running: RunningView, sign: str = "±") -> str:
    """`0.9720 ±0.0030`; before that `too early`, then `not known yet` while there is nothing to compare with."""
    found, progress = running.foretold, running.progress
    if found is None:
        early = progress is None or progress.fraction < EARLY
        return "too early" if early else "not known yet"
    return f"{found.score:.4f} {sign}{found.margin:.4f}"


def ends(standings: tuple[Standing, ...]) -> tuple[float, str] | None:
    """Hours until the first stop rule ends the run at the pace of late, and which; None where nothing tells."""
    known = [(s.hours, RULES[s.rule]) for s in standings if s.hours is not None and s.rule in RULES]
    return min(known) if known else None


def failures(kinds: tuple[tuple[str, int], ...]) -> str:
    """`2 oom, 1 nan`."""
    return ", ".join(f"{number} {kind}" for kind, number in kinds)


def forecast(running: RunningView | None) -> str:
    """What it will score, and how sure that is; empty while nothing trains."""
    if running is None or running.progress is None:
        return ""
    told = running.foretold
    if told is None:
        return foretold(running)
    by = f"by the curves of {told.curves}" if told.curves else "by main's curve alone"
    better = "" if told.better is None else f", better than main with P = {chance(told.better)}"
    return f"{told.score:.5f} ± {told.margin:.5f} (80 %), {by}{better}"


def machine(running: RunningView | None) -> str:
    """`GPU 0 NVIDIA H100 97 %, 40.1 of 79.6 GB, 71 C, 640 of 700 W, 1980 MHz`, or load and memory on a CPU."""
    load = running.load if running is not None else None
    if load is None:
        return ""
    if load.others:
        return (
            f"{load.name} is in use by {', '.join(load.others)}; the training waits for that to end"
        )
    busy = percent(load.busy) if load.cores is None else f"{load.cores:.1f} cores at work"
    parts = [f"{load.name} {busy}" if load.busy is not None else load.name]
    if load.memory_mb is not None:
        whole = f" of {load.memory_total_mb / 1024:.1f}" if load.memory_total_mb else ""
        parts.append(f"{load.memory_mb / 1024:.1f}{whole} GB")
    if load.temperature_c is not None:
        parts.append(f"{load.temperature_c} C")
    if load.power_w is not None:
        limit = f" of {load.power_limit_w:.0f}" if load.power_limit_w else ""
        parts.append(f"{load.power_w:.0f}{limit} W")
    if load.clock_mhz is not None:
        parts.append(f"{load.clock_mhz} MHz")
    return ", ".join(parts)
