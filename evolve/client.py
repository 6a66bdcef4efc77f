"""What the app and the commands see of a run, and how they ask the engine for something.

Reads the journal, the engine's lock and the running experiment's progress; writes nothing but rows of the
`command` table. It imports neither settings nor git nor numpy, because `status` starts through here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from evolve import lock, provenance, roster
from evolve.beliefs import Belief
from evolve.database import faults, open_reader, open_sender, version
from evolve.model import (
    Candidate,
    Command,
    CommandState,
    Event,
    EvolveError,
    Experiment,
    Note,
    NothingToDo,
    Run,
    Smoke,
    Template,
    UsageError,
)
from evolve.outlook import Look, Watch
from evolve.pace import META
from evolve.places import EXPERIMENTS, JOURNAL, LOCK, STATE
from evolve.reader import Reader, Tally
from evolve.roster import Roster
from evolve.rows import as_json
from evolve.stop import StopRules, describe
from evolve.text import one_line
from evolve.trends import Trend
from evolve.view import EngineView, RunningView, Snapshot
from harness.rundir import read_progress
from harness.spec import Progress

Curve = tuple[tuple[float, float], ...]
_RECENT = 50  # events in a snapshot
_LOOK = 0.05  # seconds between looks for an answer
_NOTHING = Tally(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)


class Client:
    """A look at one workspace, from any thread. The workspace need not have a run yet."""

    def __init__(self, workspace: Path, read_only: bool = False) -> None:
        """`read_only`: every request is refused."""
        self.state = workspace / STATE
        self._read_only = read_only
        self._journal: Reader | None = None
        self._busy = threading.RLock()
        self._progress = _ProgressTail()
        self._watch = Watch()
        self._reference: tuple[tuple[int, int], Curve] = ((0, 0), ())  # by incumbent and its scores

    def close(self) -> None:
        """Let go of the journal."""
        with self._busy:
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    # ---- questions -----------------------------------------------------------------------------------------

    def data_version(self) -> int:
        """A number that changes when the journal has changed; 0 before there is one. Progress is not in it."""
        with self._reading() as journal:
            return 0 if journal is None else journal.data_version()

    def snapshot(self, curve: bool = True) -> Snapshot:
        """Everything on the first screen at one instant; without `curve` no curves are read."""
        with self._reading() as journal:
            if journal is None:
                return self._empty()
            with journal.instant():
                run = journal.current_run()
                return self._empty() if run is None else self._snapshot(journal, run, curve=curve)

    def events(self, after: int = 0, limit: int = 1000) -> tuple[Event, ...]:
        """What happened after event `after`, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.events(after, limit)

    def candidates(self, after: int = 0, limit: int | None = None) -> tuple[Candidate, ...]:
        """Those with a number above `after`, in the order of their numbers, at most `limit`."""
        with self._reading() as journal:
            return () if journal is None else journal.candidates(after, limit)

    def candidate(self, number: int) -> Candidate:
        """One candidate; raises UsageError when there is none of that number."""
        with self._reading() as journal:
            if journal is None:
                raise UsageError(f"There is no candidate #{number}.")
            return journal.candidate(number)

    def experiments(self, candidate: int, curve: bool = False) -> tuple[Experiment, ...]:
        """Every training of a candidate, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.experiments(candidate, curve=curve)

    def smokes(self, candidate: int) -> tuple[Smoke, ...]:
        """The smoke runs of a candidate, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.smokes(candidate)

    def source(self, number: int) -> str:
        """The text of a candidate's train.py. Raises EvolveError when git no longer has it."""
        with self._reading() as journal:
            if journal is None:
                raise UsageError(f"There is no candidate #{number}.")
            run, candidate = journal.run(), journal.candidate(number)
        return provenance.script(self.state.parent, run, candidate)

    def calls_of(self, number: int) -> tuple[provenance.Asking, ...]:
        """The calls to language models that a candidate came of, oldest first, with what was said."""
        with self._reading() as journal:
            return () if journal is None else provenance.askings(journal, number)

    def log_of(self, number: int, most: int = provenance.LOG_SHOWN) -> provenance.LogText | None:
        """The last `most` bytes that a candidate printed in its last training; None when there is nothing."""
        with self._reading() as journal:
            return None if journal is None else provenance.log(journal, self.state, number, most)

    def worktree(self, number: int) -> Path | None:
        """The folder in which a living candidate is checked out; None for all others."""
        return provenance.worktree(self.state, self.candidate(number))

    def candidates_of(self, numbers: Sequence[int]) -> tuple[Candidate, ...]:
        """Those of the numbers that exist, in the order of their numbers; a few hundred at most."""
        with self._reading() as journal:
            return () if journal is None else journal.candidates_of(numbers)

    def roster(self, known: Roster, limit: int = roster.FIRST_PAGE) -> Roster:
        """`known` brought up to date by at most `limit` rows; the same object when there is nothing new."""
        with self._reading() as journal:
            if journal is None:
                return known
            with journal.instant():
                return roster.read(journal, known, limit)

    def beliefs(self, only: Collection[int] | None = None) -> dict[int, Belief]:
        """What is believed of every candidate that has a score, by number, or of those in `only`."""
        with self._reading() as journal:
            run = None if journal is None else journal.current_run()
            return {} if journal is None or run is None else self._watch.beliefs(journal, run, only)

    def trends(self, by: str) -> tuple[Trend, ...]:
        """What each kind of child has come to, by one of `evolve.trends.KEYS`."""
        with self._reading() as journal:
            run = None if journal is None else journal.current_run()
            if journal is None or run is None:
                return ()
            with journal.instant():
                return Look(journal, run.incumbent).trends(by)

    def scratchpads(self, limit: int = 1000) -> tuple[Note, ...]:
        """The last versions of the scratchpad, newest first."""
        with self._reading() as journal:
            return () if journal is None else journal.scratchpads(limit)

    def templates(self) -> tuple[Template, ...]:
        """Every template of a prompt that was ever in force here, oldest first."""
        with self._reading() as journal:
            return () if journal is None else journal.templates()

    # ---- requests ------------------------------------------------------------------------------------------

    def send(self, verb: str, args: Mapping[str, Any], who: str) -> int:
        """Ask the engine for something; returns the request's number. It is pending until the engine answers."""
        if self._read_only:
            raise UsageError("this is a look without acting; attach without --read-only to act")
        path = self.state / JOURNAL
        if not path.is_file():
            raise NothingToDo("There is no run here yet; start one with `autoresearch run`.")
        with faults(path), closing(open_sender(path)) as db:
            cursor = db.execute(
                "INSERT INTO command (time, who, verb, args) VALUES (?, ?, ?, ?)",
                (time.time(), who, verb, as_json(dict(args))),
            )
            return int(cursor.lastrowid or 0)

    def wait_for(self, command: int, timeout: float) -> Command | None:
        """The request once it is answered, or None after `timeout` seconds without an answer."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()  # never set: waits between two looks
        while True:
            with self._reading() as journal:
                found = None if journal is None else journal.command(command)
            if found is not None and found.state is not CommandState.PENDING:
                return found
            if time.monotonic() > deadline:
                return None
            pause.wait(_LOOK)

    # ---- private -------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[Reader | None]:
        """The journal at one instant for one thread, or None before there is one."""
        with self._busy:
            if self._journal is None:
                self._journal = self._open()
            yield self._journal

    def _open(self) -> Reader | None:
        path = self.state / JOURNAL
        if not path.is_file():
            return None
        db = open_reader(path)
        if version(db) == 0:  # an engine is making it at this moment
            db.close()
            return None
        return Reader(db, path)

    def _empty(self) -> Snapshot:
        return Snapshot(
            time=time.time(),
            run=None,
            engine=self._engine(None, None),
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

    def _snapshot(self, journal: Reader, run: Run, *, curve: bool) -> Snapshot:
        incumbent = None if run.incumbent is None else journal.candidate(run.incumbent)
        experiment = journal.running_experiment()
        before = journal.experiment_before(experiment.id) if experiment else None
        ended = before.finished if before else None
        in_force = journal.live_settings()
        living = journal.living()
        shown = {c.id for c in living} | {
            run.incumbent or 0,
            experiment.candidate if experiment else 0,
        }
        outlook = self._watch.outlook(journal, run, shown)
        return Snapshot(
            time=time.time(),
            run=run,
            engine=self._engine(journal, run),
            running=None
            if experiment is None
            else self._running(journal, experiment, incumbent, curve=curve),
            queue=journal.queue(),
            population=tuple(sorted(living, key=partial(_rank, outlook.beliefs))),
            incumbent=incumbent,
            recent=journal.recent_events(_RECENT),
            settings=tuple(in_force.items()),
            pending=tuple(_in_words(c) for c in journal.pending_commands()),
            gap_seconds=experiment.started - ended if experiment and ended else None,
            stop_rules=describe(_stop_rules(in_force)),
            sandbox=journal.meta("sandbox"),
            rehearsal=run.settings.get("profile") == "cpu",
            drift=journal.meta(META.format(run.name)),
            outlook=outlook,
            **_counts(journal.tally()),
        )

    def _engine(self, journal: Reader | None, run: Run | None) -> EngineView:
        holder = lock.holder(self.state / LOCK)
        if holder is None or not holder.alive:
            working = run is not None and run.state in ("running", "paused")
            beat = holder.heartbeat_age if holder else None
            return EngineView("dead" if working else "none", None, beat if working else None, "")
        state = "paused" if run is not None and run.state == "paused" else "running"
        if journal is not None and journal.stop_granted(holder.started):
            state = "stopping"
        return EngineView(state, holder.pid, holder.heartbeat_age, holder.doing)

    def _running(
        self, journal: Reader, experiment: Experiment, incumbent: Candidate | None, *, curve: bool
    ) -> RunningView:
        folder = self.state / EXPERIMENTS / journal.directory(experiment.id)
        now, so_far = self._progress.read(experiment.id, folder)
        return RunningView(
            experiment=experiment,
            candidate=journal.candidate(experiment.candidate),
            progress=now,
            curve=so_far if curve else (),
            reference=self._curve_of(journal, incumbent) if curve and incumbent else (),
        )

    def _curve_of(self, journal: Reader, incumbent: Candidate) -> Curve:
        """The curve of the incumbent's last scored training; read once, because it does not change."""
        key = (incumbent.id, len(incumbent.scores))
        if self._reference[0] != key:
            scored = [e for e in journal.experiments(incumbent.id) if e.val_bpb is not None]
            points = journal.curve(scored[-1].id) if scored else ()
            self._reference = (key, tuple((p.fraction, p.loss) for p in points))
        return self._reference[1]


class _ProgressTail:
    """Follows progress.jsonl, so that each look reads only what is new."""

    def __init__(self) -> None:
        self._experiment = 0
        self._offset = 0
        self._last: Progress | None = None
        self._curve: list[tuple[float, float]] = []

    def read(self, experiment: int, folder: Path) -> tuple[Progress | None, Curve]:
        """The newest progress, and (fraction, loss in nats) so far."""
        if experiment != self._experiment:
            self._experiment, self._offset, self._last, self._curve = experiment, 0, None, []
        try:
            fresh, self._offset = read_progress(folder, self._offset)
        except (OSError, ValueError, TypeError) as error:
            raise EvolveError(
                f"The progress in {folder} cannot be read ({error}); the run goes on, look at its log."
            ) from error
        for progress in fresh:
            self._last = progress
            if progress.loss is not None:
                self._curve.append((progress.fraction, progress.loss))
        return self._last, tuple(self._curve)


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
    return (float("inf") if belief is None else belief.mean, candidate.id)


def _in_words(command: Command) -> str:
    """`set population.size 12 (ann)`."""
    short = (k for k in command.args if k not in ("source", "text"))
    values = [one_line(str(command.args[k]), 60) for k in short]
    return " ".join([command.verb, *values, f"({command.who})"])


def _stop_rules(in_force: Mapping[str, str]) -> StopRules:
    """The rules from settings as text; a run always has them."""

    def number(name: str) -> float:
        return float(in_force.get(f"stop.{name}", "0"))

    return StopRules(
        candidates=int(number("candidates")),
        hours=number("hours"),
        dollars=number("dollars"),
        target_bpb=number("target_bpb"),
        plateau=int(number("plateau")),
        experiments=int(number("experiments")),
    )
