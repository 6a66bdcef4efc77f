"""A run that is written by a real journal, lock and progress file, without training anything.

`python -m tests.tui.live_run DIR live|idle SECONDS` keeps one going for a while, as an engine would: two lines of
progress a second, a verdict every few seconds, every command answered.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import CandidateState, Command, CommandState, Operator, Purpose, Verdict
from evolve.places import EXPERIMENTS, JOURNAL, LOCK, state_folder
from evolve.propose.operators import Proposal
from evolve.slotbook import PAUSED
from harness.rundir import LOCK as LOCK_OF_RUNNER
from harness.rundir import PROGRESS, SPEC
from harness.spec import CurvePoint, Outcome, Progress, Result

SETTINGS = {
    "profile": "cpu",
    "population": {"size": 8},
    "approval": {"required": False},
    "stop": {"candidates": 12, "hours": 0.5, "dollars": 0.0, "target_bpb": 0.0, "plateau": 0},
}


def loss_at(fraction: float) -> float:
    """A loss in nats that falls as losses do."""
    return 3.1 + 5.9 * math.exp(-9 * fraction)


class LiveRun:
    """Writes what an engine would write. Use as a context manager."""

    def __init__(self, workspace: Path) -> None:
        self.state = state_folder(workspace)
        self.journal = Journal.open(self.state / JOURNAL)
        self._lock = EngineLock(self.state / LOCK)

    def __enter__(self) -> Self:
        self._lock.__enter__()
        self.journal.create_run(
            name="nov21", branch="main", base_commit="0" * 40, settings=SETTINGS, fingerprint={}
        )
        self.journal.set_meta("sandbox", "bubblewrap")
        self.add("baseline", Operator.SEED, ())
        self.train(1, Purpose.BASELINE, 1.0)
        self.finish(2.2, CandidateState.JUDGED)
        self.journal.crown_baseline(1)
        self.journal.set_sigma(0.004)
        self._lock.beat("writes a child of #1")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.__exit__(kind, error, trace)
        self.journal.close()

    def add(
        self, title: str, operator: Operator = Operator.TUNE, parents: tuple[int, ...] = (1,)
    ) -> int:
        """Queue a child."""
        number = self.journal.next_candidate_id()
        proposal = Proposal(
            source=f"# {number}\n",
            operator=operator,
            proposer="builtin",
            parents=parents,
            title=title,
            hypothesis="A larger step early on should pay.",
            category="optimizer",
            changes=("MATRIX_LR: 0.04 -> 0.05",),
        )
        return self.journal.add_candidate(
            number,
            proposal,
            commit=f"{number:040x}",
            code_hash=f"{number:064x}",
            loss_form="nats",
        )

    def train(
        self,
        number: int,
        purpose: Purpose = Purpose.SCREEN,
        fraction: float = 0.0,
        seed: int = 7,
    ) -> None:
        """Start a training, as far as `fraction` of its budget."""
        experiment = self.journal.start_experiment(number, purpose, seed=seed)
        self._folder = self.state / EXPERIMENTS / self.journal.directory(experiment.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / LOCK_OF_RUNNER).write_text(f"{os.getpid()}\n")  # this process is measured
        (self._folder / SPEC).write_text(json.dumps({"device": "cpu"}))
        self._write(Progress("starting", time.time()))
        self.advance(fraction)

    def _write(self, progress: Progress) -> None:
        with (self._folder / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(progress.to_json()) + "\n")

    def advance(self, fraction: float) -> None:
        """The training in the slot is at this fraction of its budget."""
        self._write(
            Progress(
                "training", time.time(), fraction, int(400_000 * fraction), 20 * fraction,
                int(195 * fraction), loss_at(fraction), 20_000.0,
            )
        )  # fmt: skip

    def finish(self, val_bpb: float, state: CandidateState) -> None:
        """The training in the slot ends with a score."""
        running = self.journal.running_experiment()
        assert running is not None
        curve = tuple(CurvePoint(i / 100, i / 5, i * 4000, loss_at(i / 100)) for i in range(101))
        result = Result(
            Outcome.OK, "The budget was spent and the score is in.", val_bpb, seed=7,
            train_seconds=20.0, total_seconds=22.0, train_tokens=400_000,
            tokens_per_second=20_000.0, curve=curve, log_tail="step 0 loss 9.0",
        )  # fmt: skip
        self.journal.finish_experiment(running.id, result, state)

    def answer(self, words: str = "Done.") -> None:
        """Apply every command that waits, as an engine would, and answer it."""
        for command in self.journal.pending_commands():
            self._obey(command)
            self.journal.answer_command(command.id, CommandState.DONE, words)

    def refuse(self, words: str) -> None:
        """Refuse every command that waits."""
        for command in self.journal.pending_commands():
            self.journal.answer_command(command.id, CommandState.REFUSED, words)

    def _obey(self, command: Command) -> None:
        journal, args, who = self.journal, command.args, command.who
        number = int(args.get("candidate", 0))
        match command.verb:
            case "pause" | "resume":
                state = "paused" if command.verb == "pause" else "running"
                journal.set_run_state(
                    state, PAUSED.format(who) if state == "paused" else "Resumed."
                )
            case "pin" | "unpin":
                journal.mark(number, pinned=command.verb == "pin")
            case "ban" | "unban":
                journal.mark(number, banned=command.verb == "ban")
            case "boost":
                journal.boost(number, args.get("times", 3), f"#{number} boosted by {who}.")
            case "remeasure":
                journal.want(number, args.get("times", 1), f"#{number} wanted by {who}.")
            case "approve":
                journal.approve(number, who)
            case "drop":
                journal.drop_candidate(number, f"Dropped by {who}.")
            case "move":
                queue = [candidate.id for candidate in journal.queue()]
                place = queue.index(number)
                queue.insert(max(0, place + args["by"]), queue.pop(place))
                journal.order_queue(queue)
            case "set":
                journal.change_setting(args["key"], "", args["value"], who)

    def keep_going(self, seconds: float) -> None:
        """Be an engine for a while: twenty seconds a training."""
        end, number, ticks = time.monotonic() + seconds, 0, 0
        while time.monotonic() < end:
            if ticks % 40 == 0:
                if number:
                    self.finish(2.2 - ticks / 4000, CandidateState.JUDGED)
                    self.journal.judge(number, Verdict.KEPT, "within 2 sigma of main", alive=True)
                number = self.add(f"larger matrix learning rate, try {ticks // 40}")
                self.train(number)
            ticks += 1
            self.advance(ticks % 40 / 40)
            self.answer()
            self._lock.beat("the queue is full")
            time.sleep(0.5)

    def keep_still(self, seconds: float) -> None:
        """Be a paused engine for a while: it lives, and nothing happens."""
        self.journal.set_run_state("paused", "Paused.")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._lock.beat("waits to be resumed")
            time.sleep(0.5)


if __name__ == "__main__":
    with LiveRun(Path(sys.argv[1])) as run:
        act = {"live": run.keep_going, "idle": run.keep_still}[sys.argv[2]]
        act(float(sys.argv[3]))
