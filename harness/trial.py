"""Watches one running experiment: listens to its processes, keeps the deadlines, ends what overstays.

It gathers what was observed and decides nothing about scores. Every wait is bounded, and nothing that a
candidate does or prints can hold it up.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import compilecache, live, wire
from harness.audit import Findings
from harness.boundedlog import BoundedLog
from harness.bounds import TASK_LIMIT
from harness.clock import WARMUP_BATCHES
from harness.ending import Verdict
from harness.launch import Crew
from harness.mishaps import Mishaps
from harness.observed import Examined, Observed, Score, Spent, Tried
from harness.spec import CurvePoint, ExperimentSpec, HarnessError, Outcome, Progress

TICK = 0.25  # seconds between two looks at the deadlines
TELL_EVERY = 0.5  # seconds between two reports of progress
FLUSH_EVERY = 1.0  # seconds between two updates of the log file
MEMORY_EVERY = 0.5  # seconds between two looks at resident memory
SETUP_FACTOR = 2  # times the set-up limit until the first batch; later it is no set-up any more
EXIT_GRACE = 30.0  # seconds that a scored script may take to say goodbye
GOODBYE_GRACE = 0.1  # seconds for one that has said it to end by itself; what it frees, the system frees as well
REFUSAL_GRACE = 1.0  # seconds for a refused script to print why
LAST_WORDS = 1.0  # seconds for what is still in the pipe of a dead script
SCORER_PATIENCE = 30.0  # seconds for the scorer to notice that the script is gone
HASH_PATIENCE = 60.0  # seconds for the meter to finish hashing the weights
CURVE_POINTS = 200
READ_SIZE = 1 << 18

OnCommit = Callable[[Observed, Crew], None]


class Trial:
    """The watch over one crew."""

    def __init__(
        self,
        crew: Crew,
        spec: ExperimentSpec,
        directory: Path,
        log: BoundedLog,
        on_commit: OnCommit | None = None,
    ) -> None:
        """`log` takes what the candidate prints; `on_commit` is told once when the weights are stamped and hashed."""
        self.observed = Observed()
        self._kept = False  # the kernels that it compiled
        self._crew, self._spec, self._directory, self._log = crew, spec, directory, log
        self._mishaps = Mishaps(crew, spec, directory)
        self._on_commit = on_commit
        self._ending: tuple[float, Verdict | None] | None = None  # when it is killed, and why
        self._told = Progress("starting", 0.0)  # what was reported last, without its time
        self._told_at = self._flushed = self._sampled = 0.0

    def watch(
        self, on_progress: Callable[[Progress], None], cancelled: Callable[[], Verdict | None]
    ) -> Observed:
        """Return once the candidate has ended, by itself or by a deadline, and all its words are in.

        `cancelled` says why it is to end: VOID at any moment, PRUNED as long as it trains.
        """
        crew = self._crew
        if crew.replay:
            self._kept = True  # what an audit compiles is nobody's
            self._tell_scorer(wire.PREPARE)
        with selectors.DefaultSelector() as selector:
            self._register(selector)
            while not crew.candidate.exited():
                for key, _ in selector.select(self._patience()):
                    if key.data() is False:
                        selector.unregister(key.fileobj)
                self._check_deadlines()
                self._check(self._mishaps.died(self.observed))
                if (why := cancelled()) and self._heeds(why.outcome):
                    self._end(why)
                self._housekeeping()
                self._tell(on_progress)
                self._end_overdue()
        self.observed.gone = time.monotonic()
        self._last_words()
        self._tell(on_progress)
        return self.observed

    def _register(self, selector: selectors.BaseSelector) -> None:
        """What wakes us: words, reports and deaths. An action that returns False is done for good."""
        crew = self._crew
        selector.register(crew.output, selectors.EVENT_READ, self._read_output)
        selector.register(crew.meter_control, selectors.EVENT_READ, self._hear_meter)
        selector.register(crew.scorer_control, selectors.EVENT_READ, self._hear_scorer)
        for child in (crew.candidate, crew.meter, crew.scorer):
            selector.register(child, selectors.EVENT_READ, lambda: False)

    def _heeds(self, outcome: Outcome) -> bool:
        """A training whose weights are in costs little more: it is not stopped early any more."""
        if outcome is not Outcome.PRUNED:
            return True
        return self.observed.phase == "training" and not (self._crew.replay or self._crew.smoke)

    # ---- deadlines ---------------------------------------------------------------------------------------

    def _end(self, verdict: Verdict | None, grace: float = 0.0) -> None:
        """Have the candidate killed after `grace` seconds; the earliest appointment counts."""
        at = time.monotonic() + grace
        if self._ending is None or at < self._ending[0]:
            self._ending = (at, verdict)

    def _patience(self) -> float:
        """Seconds until something is due."""
        due = self._ending[0] - time.monotonic() if self._ending else TICK
        return min(TICK, max(0.0, due))

    def _end_overdue(self) -> None:
        if self._ending and time.monotonic() >= self._ending[0]:
            self.observed.stopped = self._ending[1]
            self._crew.end_candidate()

    def _check_deadlines(self) -> None:
        spec, observed = self._spec, self.observed
        running = time.monotonic() - self._crew.launched
        setup = SETUP_FACTOR * spec.budget.setup_limit
        if running > spec.limits.wall_seconds:
            reason = f"It ran for {spec.limits.wall_seconds:g} s, the wall limit of an experiment."
            self._end(Verdict(Outcome.TIMEOUT, reason))
        elif observed.phase == "starting" and running > setup:
            wanted = "did not reach evaluate_bpb" if self._crew.replay else "asked for no batch"
            reason = f"It {wanted} within {setup:g} s of set-up."
            self._end(Verdict(Outcome.TIMEOUT, reason))
        if self._log.total > spec.limits.log_mb << 20:
            reason = f"It printed more than {spec.limits.log_mb} MB."
            self._end(Verdict(Outcome.CRASH, reason))

    def _check(self, mishap: Verdict | None) -> None:
        """End what a mishap has spoilt; the first one counts."""
        if mishap and self.observed.broken is None:
            self.observed.broken = mishap
            self._end(mishap)

    def _housekeeping(self) -> None:
        now = time.monotonic()
        if now - self._flushed >= FLUSH_EVERY:
            self._flushed = now
            self._log.flush()
        if now - self._sampled >= MEMORY_EVERY:
            self._sampled = now
            if self._crew.candidate.has_more_tasks_than(TASK_LIMIT):
                reason = f"It started more than {TASK_LIMIT:,} processes and threads."
                self._end(Verdict(Outcome.CRASH, reason))
                return  # what follows looks at each of them
            if (size := self._crew.written()) > compilecache.FOLDER_LIMIT:
                reason = f"It wrote {size >> 20:,} MB of files, and {compilecache.FOLDER_LIMIT >> 20:,} MB are allowed."
                self._end(Verdict(Outcome.CRASH, reason))
            if self.observed.score is None:
                self._check(self._mishaps.slept())
            self._sample_device()
            used, limit = self._crew.candidate.sample_memory(), self._spec.limits.memory_mb
            if limit and used > limit:
                reason = f"Out of memory: it used {used:,.0f} MB, and the limit is {limit:,} MB."
                self._end(Verdict(Outcome.OOM, reason))

    def _sample_device(self) -> None:
        """The GPU is this training's alone until the scorer comes to it, so what is in use is the script's.

        In a smoke run the scorer counts too: the question is whether all of it fits.
        """
        if self.observed.evaluating is not None and not self._crew.smoke:
            return
        try:
            used = self._mishaps.device_memory_mb()
        except HarnessError as fault:
            self._check(Verdict(Outcome.VOID, str(fault), fault.cause))
            return
        if used is not None:
            self.observed.device_memory_mb = max(self.observed.device_memory_mb or 0.0, used)

    # ---- what comes in -----------------------------------------------------------------------------------

    def _read_output(self) -> bool:
        """Take what the candidate printed; False at the end of it."""
        try:
            data = os.read(self._crew.output, READ_SIZE)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._hear_meter()  # a printed loss belongs to the share of the budget at which it was printed
        self._log.feed(data)
        for step in live.parse_steps(data.decode("utf-8", "replace")):
            self.observed.step = step
            self._plot(step)
        return True

    def _plot(self, step: live.Step) -> None:
        """Add a live line to the curve, unless the last point is too near."""
        spent, curve = self.observed.spent, self.observed.curve
        if step.loss is None or not math.isfinite(step.loss) or self.observed.phase != "training":
            return
        if not curve or spent.fraction >= curve[-1].fraction + 1 / CURVE_POINTS:
            curve.append(CurvePoint(spent.fraction, spent.seconds, spent.tokens, step.loss))

    def _hear_meter(self) -> bool:
        reports, open_ = _hear(self._crew.meter_control)
        for report in reports:
            event = report.pop("event")
            if event == "spent":
                if self.observed.spent.first is None:
                    # Not before: a script that cannot start costs nothing.
                    self._tell_scorer(wire.PREPARE)
                self.observed.spent = Spent(**report)
                self._keep_kernels()
            elif event == "committed":
                self.observed.committed = report["at"]
                self.observed.weights = next(iter(report.get("descriptors", ())), None)
                self._tell_scorer(self._begin())
            elif event == "hashed":
                self.observed.weights_sha256 = report["sha256"]
                self._hand_on()
            elif event == "goodbye":
                self.observed.goodbye = True
            elif event == "refused":
                self._refuse(Outcome.INVALID, self._why_refused(report))
            else:
                self._refuse(Outcome.INVALID, f"It broke the rules: {report['reason']}.")
        self._send_off()
        return open_

    def _begin(self) -> bytes:
        """The word to begin; where time is the budget, with the speed that the evaluation must not fall below."""
        spent = self.observed.spent
        speed = spent.tokens / spent.seconds if spent.seconds else 0.0
        if self._crew.replay:  # an audit has none
            speed = self._crew.speed
        if not (self._spec.budget.kind == "seconds" and speed):
            return wire.BEGIN
        return wire.BEGIN + f" {speed:.1f}".encode()

    def _hand_on(self) -> None:
        """Weights that count are told of; those of a script that was ended before do not."""
        observed = self.observed
        self._flushed = 0.0  # with the log of the training on the disk
        if self._on_commit and not (observed.stopped or observed.refused or observed.broken):
            self._on_commit(observed, self._crew)

    def _keep_kernels(self) -> None:
        """Once, when the clock starts: what is compiled is there, and what will be learned is not."""
        spent = self.observed.spent
        if self._crew.smoke:  # it learns from nothing: what it has compiled by its end may be kept
            warm = self.observed.score is not None
        elif self._spec.budget.kind == "tokens":
            # Its clock starts at once, and by the time that all is compiled, something was learned: only a source
            # that a person vouches for leaves anything.
            warm = spent.batches > WARMUP_BATCHES and self._crew.kernels.trusted
        else:
            warm = spent.start is not None
        if warm and not self._kept:
            self._kept = True
            self._crew.kernels.keep()

    def _send_off(self) -> None:
        """A scored script that has nothing more to say is not waited for while it tidies up."""
        if self.observed.goodbye and self.observed.score:
            self._end(None, GOODBYE_GRACE)

    def _tell_scorer(self, word: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # its death is seen elsewhere
            self._crew.scorer_control.send(word)

    def _hear_scorer(self) -> bool:
        reports, open_ = _hear(self._crew.scorer_control)
        for report in reports:
            event = report.pop("event")
            if event == "asked":
                self.observed.evaluating = report["at"]
            elif event == "shown":
                self.observed.shown = not self._crew.smoke
            elif event == "scored":
                self._scored(Score(**report))
            elif event == "examined":
                at = report.pop("at")
                self._scored(Examined(Findings(**report), at))
            elif event == "tried":
                self._scored(Tried(**report))
                self._keep_kernels()
            elif event == "invalid":
                self._refuse(Outcome(report["outcome"]), report["reason"])
            elif event == "violation":
                self._refuse(Outcome.INVALID, f"It broke the rules: {report['reason']}.")
            elif event == "left":
                self.observed.scorer_left = True
        return open_

    def _scored(self, score: Score | Examined | Tried) -> None:
        """All is known that matters, if the machine did not sleep; the script may tidy up for a while."""
        self._check(self._mishaps.slept())
        self.observed.score = score
        reason = f"the script did not end within {EXIT_GRACE:g} s."
        self._ending = (time.monotonic() + EXIT_GRACE, Verdict(Outcome.CRASH, reason))
        self._send_off()

    def _refuse(self, outcome: Outcome, reason: str) -> None:
        if self.observed.refused is None:
            self.observed.refused = Verdict(outcome, reason)
        self._end(None, REFUSAL_GRACE)

    def _why_refused(self, report: dict[str, Any]) -> str:
        budget = self._spec.budget
        if report["refusal"] == wire.Refusal.LATE.name:
            return (
                f"Its weights came {report['seconds']:.1f} s into a budget of {budget.amount:g} s, "
                f"of which it may overrun {budget.overrun:.0%}."
            )
        return f"Its weights ({report['size']:,} bytes) are too large, or could still be changed."

    # ---- what goes out -----------------------------------------------------------------------------------

    def _tell(self, on_progress: Callable[[Progress], None]) -> None:
        """Report a change: at once when it is the phase, else twice a second at most."""
        observed, now = self.observed, time.monotonic()
        if observed.phase == self._told.phase and now - self._told_at < TELL_EVERY:
            return
        spent = observed.spent
        progress = Progress(observed.phase, 0.0, spent.fraction, spent.tokens, spent.seconds)
        if step := observed.step:
            loss = step.loss if step.loss is not None and math.isfinite(step.loss) else None
            progress = replace(
                progress,
                step=step.step,
                loss=loss,
                tokens_per_second=step.tokens_per_second,
                mfu_percent=step.mfu_percent,
            )
        if progress != self._told:
            self._told, self._told_at = progress, now
            on_progress(replace(progress, time=time.time()))

    def _last_words(self) -> None:
        """The script is dead: end its descendants, empty the pipe, and hear the trusted side out."""
        crew, observed = self._crew, self.observed
        crew.end_candidate()
        self._hear_meter()
        while select.select([crew.output], [], [], LAST_WORDS)[0] and self._read_output():
            pass
        if observed.committed is not None:
            _until(self._is_judged, crew.scorer_control, self._hear_scorer, SCORER_PATIENCE)
            _until(self._is_hashed, crew.meter_control, self._hear_meter, HASH_PATIENCE)
        # A script whose examiner dies may be gone before we have looked.
        self._check(self._mishaps.died(observed))
        self._log.flush()

    def _is_judged(self) -> bool:
        return bool(self.observed.score or self.observed.refused or self.observed.scorer_left)

    def _is_hashed(self) -> bool:
        return bool(self.observed.weights_sha256)


def _until(
    done: Callable[[], bool], control: socket.socket, hear: Callable[[], bool], patience: float
) -> None:
    """Listen to `control` until what it should say has been said, it is closed, or patience is over."""
    deadline = time.monotonic() + patience
    while hear() and not done() and (left := deadline - time.monotonic()) > 0:
        select.select([control], [], [], left)


def _hear(control: socket.socket) -> tuple[list[dict[str, Any]], bool]:
    """All reports that wait, and whether there may be more."""
    reports = []
    try:
        while report := wire.hear(control):
            reports.append(report)
    except wire.PeerGone:
        return reports, False
    return reports, True
