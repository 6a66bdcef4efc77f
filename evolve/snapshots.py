"""Makes the snapshots that clients show: one look at the journal, the engine's lock and the slot, as one frozen value.

It reads and decides nothing. It imports neither settings nor git nor numpy, because `status` starts through here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from evolve import approval, lock
from evolve.beliefs import Belief
from evolve.model import Candidate, Command, Run
from evolve.outlook import Outlook, Watch
from evolve.pace import META
from evolve.places import KEEPER, LOCK, LOG
from evolve.reader import Reader, Tally
from evolve.seat import Seat
from evolve.slotbook import PAUSED
from evolve.stop import StopState, describe, rules_in, standings
from evolve.text import one_line
from evolve.view import EngineView, Pause, RunningView, SmokeView, Snapshot

FAULT = "autoresearch: "  # the command line puts it before every fault
_RECENT = 50  # events in a snapshot
_TAIL = 4096  # bytes of the engine's log in which its last words are looked for
_WORDS = 200  # characters of them
_NOTHING = Tally(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


@dataclass(frozen=True, slots=True)
class _Last:
    """The last whole snapshot."""

    of: tuple[Reader, int, bool]  # the connection, its data version, with curves or without
    snapshot: Snapshot
    tally: Tally


class Snapshots:
    """Looks at one workspace; keeps what need not be computed again."""

    def __init__(
        self,
        state: Path,
        watch: Watch,
        *,
        clock: Callable[[], float] = time.time,
        engine: Callable[[], lock.Holder | None] | None = None,
    ) -> None:
        """`state`: the workspace's folder .autoresearch; `watch` keeps what is believed of scores.

        A replay has a `clock` (unix seconds) and an `engine` of its own; else it is now, and whoever holds the lock.
        """
        self._state = state
        self._clock = clock
        self._holder = engine or partial(lock.holder, state / LOCK)
        self._watch = watch
        self._seat = Seat(state)
        self._replayed = engine is not None  # then facts come with the clock, not by writing
        self._last: _Last | None = None

    def empty(self) -> Snapshot:
        """Of a workspace that has never run."""
        return Snapshot(
            time=self._clock(),
            run=None,
            engine=self._engine(None, None, self._holder()),
            running=None,
            queue=(),
            population=(),
            incumbent=None,
            recent=(),
            settings=(),
            pending=(),
            gap_seconds=None,
            stop_rules="",
            sandbox="",
            rehearsal=False,
            **_counts(_NOTHING),
        )

    def take(self, journal: Reader, run: Run, *, curves: bool, hurry: bool = False) -> Snapshot:
        """Everything on the first screen at one instant; without `curves` none are told.

        With `hurry` the first look at a long run lacks what is believed (`Outlook.hurried`).
        While nobody writes to the journal, only the slot and the engine's sign of life are read again.
        """
        version, last = journal.data_version(), self._last
        known = last is not None and last.of == (journal, version, curves)
        if self._replayed or last is None or not known or last.snapshot.outlook.hurried:
            snapshot, tally = self._whole(journal, run, curves=curves, hurry=hurry)
            self._last = _Last((journal, version, curves), snapshot, tally)
            return snapshot
        before, now, holder = last.snapshot, self._clock(), self._holder()
        running, gap = self._running(journal, before.incumbent, before.outlook, curves=curves)
        state = _standing(last.tally, before.incumbent, holder, now)
        return replace(
            before,
            time=now,
            engine=self._engine(journal, run, holder),
            running=running,
            gap_seconds=gap,
            standings=standings(rules_in(dict(before.settings)), state, before.pace),
        )

    def _whole(
        self, journal: Reader, run: Run, *, curves: bool, hurry: bool
    ) -> tuple[Snapshot, Tally]:
        incumbent = None if run.incumbent is None else journal.candidate(run.incumbent)
        in_force, living, tally = journal.live_settings(), journal.living(), journal.tally()
        trained = journal.running_experiment()
        shown = {c.id for c in living} | {run.incumbent or 0, trained.candidate if trained else 0}
        outlook = self._watch.outlook(journal, run, shown, tally=tally, hurry=hurry)
        now, holder = self._clock(), self._holder()
        rules, pace = rules_in(in_force), journal.pace()
        running, gap = self._running(journal, incumbent, outlook, curves=curves)
        queue = journal.queue()
        held = approval.waiting(queue, required=in_force.get(approval.KEY) == "true")
        snapshot = Snapshot(
            time=now,
            run=run,
            engine=self._engine(journal, run, holder),
            running=running,
            smoking=_smoking(journal) if running is None else None,
            queue=queue,
            awaiting=tuple(c.id for c in held),
            wished=journal.wished(),
            population=tuple(sorted(living, key=partial(_rank, outlook.beliefs))),
            incumbent=incumbent,
            recent=journal.recent_events(_RECENT),
            settings=tuple(in_force.items()),
            pending=tuple(_in_words(c) for c in journal.pending_commands()),
            calling=journal.calls_under_way(),
            pause=_pause(journal, run),
            failed_by_kind=journal.failed_by_kind(),
            gap_seconds=gap,
            stop_rules=describe(rules),
            pace=pace,
            standings=standings(rules, _standing(tally, incumbent, holder, now), pace),
            sandbox=journal.meta("sandbox"),
            rehearsal=run.settings.get("profile") == "cpu",
            drift=journal.meta(META.format(run.name)),
            outlook=outlook,
            **_counts(tally),
        )
        return snapshot, tally

    def _running(
        self, journal: Reader, incumbent: Candidate | None, outlook: Outlook, *, curves: bool
    ) -> tuple[RunningView | None, float | None]:
        """The training in the slot, and the seconds that the slot had stood idle before it."""
        experiment = journal.running_experiment()
        if experiment is None:
            return None, None
        before = journal.experiment_before(experiment.id)
        ended = before.finished if before else None
        view = self._seat.look(
            journal, experiment, incumbent, outlook.beliefs, outlook.noise, curves=curves
        )
        return view, experiment.started - ended if ended else None

    def _engine(
        self, journal: Reader | None, run: Run | None, holder: lock.Holder | None
    ) -> EngineView:
        if holder is None or not holder.alive:
            if run is None or run.state not in ("running", "paused"):
                origin = journal.imported_from(run.name) if journal and run else ""
                return EngineView("none", None, None, "", why=origin)
            age = holder.heartbeat_age if holder else None
            keeper = None if self._replayed else lock.holder(self._state / KEEPER)
            if keeper is not None and keeper.alive:
                return EngineView("restarting", keeper.pid, age, "", why=keeper.doing)
            return EngineView("dead", None, age, "", why=last_words(self._state / LOG))
        state = "paused" if run is not None and run.state == "paused" else "running"
        if journal is not None and journal.stop_granted(holder.started):
            state = "stopping"
        return EngineView(state, holder.pid, holder.heartbeat_age, holder.doing, why=holder.waits)


def last_words(log: Path) -> str:
    """The fault with which an engine in the background ended, as it wrote it itself; empty when it wrote none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:  # it ran in a terminal of its own
        return ""
    said = next((line for line in reversed(lines) if line.strip()), "")
    return one_line(said.removeprefix(FAULT), _WORDS) if said.startswith(FAULT) else ""


def _smoking(journal: Reader) -> SmokeView | None:
    smoke = journal.running_smoke()
    return None if smoke is None else SmokeView(smoke, journal.candidate(smoke.candidate))


def _pause(journal: Reader, run: Run) -> Pause | None:
    found = journal.last_pause() if run.state == "paused" else None
    if found is None or run.reason != PAUSED.format(found[0]):  # it paused by itself
        return None
    return Pause(*found)


def _standing(
    tally: Tally, incumbent: Candidate | None, holder: lock.Holder | None, now: float
) -> StopState:
    """How far the run has come, for the stop rules; hours are those that the engine was awake, as it counts them itself."""
    seconds = 0.0
    if holder is not None and holder.alive:
        since = holder.awake_since
        seconds = now - holder.started if since is None else time.monotonic() - since
    return StopState(
        candidates=tally.settled,
        hours=seconds / 3600,
        dollars=tally.dollars,
        best_bpb=incumbent.mean if incumbent else None,
        since_promotion=tally.since_promotion,
        experiments=tally.experiments,
    )


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "candidates": tally.candidates,
        "experiments": tally.experiments,
        "failures": tally.failures,
        "voided": tally.voided,
        "promotions": tally.promotions,
        "crossovers": tally.crossovers,
        "llm_calls": tally.llm_calls,
        "dollars": tally.dollars,
    }


def _rank(beliefs: Mapping[int, Belief], candidate: Candidate) -> tuple[float, int]:
    belief = beliefs.get(candidate.id)
    known = candidate.mean_fitness if belief is None else belief.mean
    return (float("inf") if known is None else known, candidate.id)


def _in_words(command: Command) -> str:
    """`set population.size 12 (ann)`."""
    short = (k for k in command.args if k not in ("source", "text"))
    values = [one_line(str(command.args[k]), 60) for k in short]
    return " ".join([command.verb, *values, f"({command.who})"])
