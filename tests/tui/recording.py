"""A recorded run for tests: snapshots built from plain values, and a source that plays them in real time.

It has the methods of `evolve.client.Client`, so the whole app runs on it, in a pseudo terminal too:
`python -m tests.tui.recording [live|idle|crash]`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from evolve.bandit import Arm, Share
from evolve.beliefs import Belief
from evolve.callbook import CallFigures
from evolve.export.book import Book
from evolve.export.gather import Gathered
from evolve.forecast import Foretold
from evolve.journal import Journal
from evolve.model import (
    Candidate,
    CandidateState,
    Command,
    CommandState,
    Event,
    Experiment,
    LlmCall,
    Operator,
    Purpose,
    Run,
    SettingChange,
    Smoke,
    UsageError,
    Verdict,
)
from evolve.noise import Noise
from evolve.outlook import Outlook
from evolve.promptbook import Prompt
from evolve.provenance import Asking, LogText, Turn
from evolve.roster import FIRST_PAGE, Roster, row_of
from evolve.telemetry import Load
from evolve.trends import Trend
from evolve.view import EngineView, RunningView, Snapshot
from harness.spec import Outcome, Progress

if TYPE_CHECKING:
    from evolve.tunable import Tuning

START = 1_790_000_000.0
TITLES = (
    "squared ReLU for SiLU in the MLP",
    "value embeddings in every second layer",
    "longer warmdown, shorter warmup",
    "Muon momentum 0.95 -> 0.97",
    "softcap of the logits at 15",
    "window pattern SSSL",
)
CATEGORIES = ("architecture", "optimizer", "schedule", "attention", "size", "init")


def candidate(number: int, **changes: Any) -> Candidate:
    """A kept candidate with two scores."""
    base = Candidate(
        id=number,
        operator=Operator.SEED if number == 1 else list(Operator)[1 + number % 5],
        proposer="builtin",
        parents=() if number == 1 else (max(1, number // 2),),
        title="baseline" if number == 1 else TITLES[number % len(TITLES)],
        hypothesis="Gated units waste parameters at this width, so a plain square should learn faster.",
        category=CATEGORIES[number % len(CATEGORIES)],
        commit=f"{number:040x}",
        source_sha=f"{number:064x}",
        code_hash=f"{number:064x}",
        lines=612,
        created=START + number,
        state=CandidateState.JUDGED,
        alive=True,
        verdict=Verdict.KEPT,
        verdict_reason="distinct and within 2 sigma of main",
        generation=number // 4,
        changes=("MATRIX_LR: 0.04 -> 0.05",),
        scores=(2.1 - number * 0.003, 2.1 - number * 0.0032),
        outcome=Outcome.OK,
        children=number % 3,
    )
    made = replace(base, **changes)
    return replace(made, fitness=changes.get("fitness", made.scores))


def event(number: int, **changes: Any) -> Event:
    """A line of the log."""
    kind = ("proposal", "started", "finished", "verdict")[number % 4]
    return replace(
        Event(number, START + number, kind, f"#{number} {kind}: {TITLES[number % 6]}", number),
        **changes,
    )


def experiment(number: int, of: int, **changes: Any) -> Experiment:
    """A finished training."""
    base = Experiment(
        id=number,
        candidate=of,
        purpose=Purpose.SCREEN,
        seed=7,
        started=START,
        finished=START + 20,
        outcome=Outcome.OK,
        reason="The budget was spent and the score is in.",
        val_bpb=2.0712,
        train_seconds=20.0,
        train_tokens=409_600,
        tokens_per_second=20_480.0,
        log_tail="step 0 loss 9.1\nstep 100 loss 4.2",
    )
    return replace(base, **changes)


def smoke(number: int, of: int, **changes: Any) -> Smoke:
    """A smoke run that came through."""
    base = Smoke(number, of, f"smoke-{number}", START, START + 9, Outcome.OK, "", 8.5)
    return replace(base, **changes)


def script(number: int) -> str:
    """A script of a hundred lines; each candidate has its own learning rate, and every third another class."""
    lines = ["import torch", "", f"MATRIX_LR = {0.04 + number / 1000:.3f}  # Muon", ""]
    lines += [f"def step_{n}(x: float) -> float:\n    return x * {n}\n" for n in range(30)]
    name = "Gated" if number % 3 == 0 else "Plain"
    return "\n".join([*lines, f"class {name}MLP:", '    """Hidden units."""', ""])


def asking(number: int, **changes: Any) -> Asking:
    """The call that a candidate came of."""
    call = LlmCall(
        number, START, "claude-opus-5-5", "mutate", "answered", 900, 400, 3000, 0, 0.031, 12.5, number
    )  # fmt: skip
    turns = (Turn("system", "You improve train.py."), Turn("user", "The parent:\n" + script(1)))
    base = Asking(call, turns, "max_tokens 32000, effort medium", "title: larger steps\nfor Muon")
    return replace(base, **changes)


def curve(upto: float, floor: float, points: int = 200) -> tuple[tuple[float, float], ...]:
    """A loss curve up to a fraction of the budget."""
    count = int(points * upto)
    return tuple((i / points, floor + 6.0 * math.exp(-i / points * 9)) for i in range(count + 1))


def running(fraction: float, number: int = 30) -> RunningView:
    """A training at this fraction of its budget."""
    progress = Progress(
        phase="training",
        time=START + 300 * fraction,
        fraction=fraction,
        tokens=int(123_000_000 * fraction),
        seconds=300 * fraction,
        step=int(950 * fraction),
        loss=2.2 + 6.0 * math.exp(-fraction * 9),
        tokens_per_second=412_000.0,
        mfu_percent=41.2,
    )
    return RunningView(
        experiment=experiment(99, number, finished=None, outcome=None),
        candidate=candidate(number, state=CandidateState.TRAINING, scores=(), verdict=None),
        progress=progress,
        curve=curve(fraction, 2.2),
        reference=curve(1.0, 2.25),
        foretold=Foretold(2.0612, 0.0031, 0.71, 12) if fraction >= 0.05 else None,
        main_speed=405_000.0,
        main_memory_mb=45_300.0,
        load=load(int(300 * fraction)),
    )


def load(second: int) -> Load:
    """A busy GPU that pauses for a moment every few seconds."""
    busy = [0.35 if (second - ago) % 9 == 0 else 0.97 for ago in range(60)]
    return Load(
        name="GPU 0 NVIDIA H200",
        busy=busy[0],
        memory_mb=46_100.0,
        memory_total_mb=143_360.0,
        temperature_c=68 + second % 4,
        power_w=600.0 + 7 * (second % 11),
        power_limit_w=700.0,
        clock_mhz=1980,
        peak_mb=46_900.0,
        history=tuple(reversed(busy)),
    )


def belief(number: int) -> Belief:
    """What is believed of `candidate(number)`: a little worse than it scored."""
    mean = candidate(number).mean
    assert mean is not None
    return Belief(mean + 0.0004, 0.0015, None if number == 12 else 0.31, 2, "confirmed")


def outlook(**changes: Any) -> Outlook:
    """How the search stands: main is #12, and a model's calls were cached and now and then refused."""
    base = Outlook(
        noise=Noise(0.0021, n=14, share=0.4, sure=0.3, pairs=9),
        beliefs={n: belief(n) for n in range(1, 13)},
        trends=(Trend("optimizer", 12, 11, 1, 1, 2, 0.4, 3.1, "P..k...x.k", 1),),
        operators=(Share(Arm("builtin", "tune"), 1.0, 1.0, 9, 2.0, 9.0),),
        calls=(CallFigures("claude", 31, 28, 2, 1, 1.42, 4000, 3000, 900, 60.0),),
    )
    return replace(base, **changes)


def snapshot(fraction: float | None = 0.4, **changes: Any) -> Snapshot:
    """The first screen of a run with a dozen members, a queue of five, and a training."""
    population = tuple(sorted((candidate(n) for n in range(1, 13)), key=lambda c: c.mean or 9))
    base = Snapshot(
        time=START + 600,
        run=Run(
            id=1,
            name="nov21",
            created=START,
            state="running",
            reason="",
            branch="main",
            base_commit="0" * 40,
            settings={},
            fingerprint={},
            incumbent=population[0].id,
            sigma=0.0021,
        ),
        engine=EngineView("running", 4242, 0.4, "Claude writes a crossover of #12 and #9."),
        running=None if fraction is None else running(fraction),
        queue=tuple(
            candidate(n, state=CandidateState.READY, alive=False, scores=(), verdict=None)
            for n in range(31, 36)
        ),
        population=population,
        incumbent=population[0],
        recent=tuple(event(n) for n in range(1, 41)),
        candidates=35,
        experiments=48,
        failures=3,
        promotions=4,
        crossovers=6,
        llm_calls=31,
        dollars=1.42,
        settings=(("population.size", "12"),),
        pending=(),
        gap_seconds=0.12,
        stop_rules="12 candidates or 20 minutes",
        sandbox="bubblewrap",
        rehearsal=False,
        outlook=outlook(),
    )
    return replace(base, **changes)


class Recording:
    """Plays a run: `live` trains at two lines a second, `idle` is paused and nothing happens."""

    def __init__(self, mode: str = "live", *, candidates: int = 35) -> None:
        self.mode = mode
        self.sent: list[Command] = []
        self._began = time.monotonic()
        self._looks = 0
        self._number = candidates
        self._size = 12
        self._paused = mode == "idle"

    def data_version(self) -> int:
        """Moves with every command, and all the time in a live run."""
        moving = int((time.monotonic() - self._began) * 4) if self.mode == "live" else 0
        return moving + len(self.sent)

    def snapshot(self) -> Snapshot:
        """What is going on now."""
        self._looks += 1
        if self.mode == "crash" and self._looks > 3:  # by then something has been painted
            raise RuntimeError("a fault of the app itself")
        passed = time.monotonic() - self._began
        now = START + 600 + passed
        fraction = None if self._paused else min(0.99, 0.3 + passed / 300)
        state = "paused" if self._paused else "running"
        seen = 40 + int(passed / 5) * (not self._paused)
        return snapshot(
            fraction,
            time=now,
            engine=EngineView(state, 4242, 0.3, "The queue is full."),
            recent=tuple(event(n) for n in range(max(1, seen - 49), seen + 1)),
            settings=(("population.size", str(self._size)),),
        )

    def events(self, after: int = 0, limit: int = 1000) -> list[Event]:
        """The log from `after` on."""
        last = self.snapshot().recent[-1].id
        return [event(n) for n in range(after + 1, min(last, after + limit) + 1)]

    def candidates(self, after: int = 0, limit: int | None = None) -> list[Candidate]:
        """All of them, or some; the first twelve live."""
        last = self._number if limit is None else min(self._number, after + limit)
        return [candidate(n, alive=n < 13) for n in range(after + 1, last + 1)]

    def candidates_of(self, numbers: Sequence[int]) -> list[Candidate]:
        """Some of them."""
        return [candidate(n, alive=n < 13) for n in sorted(numbers) if n <= self._number]

    def roster(self, known: Roster, limit: int = FIRST_PAGE) -> Roster:
        """All of them, a page at a time."""
        if known.complete:
            return known
        page = self.candidates(len(known), limit)
        known = known if known.run else Roster(1)
        return known.with_rows(map(row_of, page), 0, limit)

    def beliefs(self, only: Collection[int] | None = None) -> dict[int, Belief]:
        """About all of them, or some."""
        return {n: belief(n) for n in range(1, self._number + 1) if only is None or n in only}

    def candidate(self, number: int) -> Candidate:
        """One of them."""
        if not 1 <= number <= self._number:
            raise UsageError(f"There is no candidate #{number}.")
        queue = {waiting.id: waiting for waiting in snapshot().queue}
        return queue.get(number) or candidate(number)

    @contextmanager
    def gathered(self) -> Iterator[Gathered]:
        """All of it, beside a journal without any row."""
        run = self.snapshot().run
        assert run is not None
        everybody = tuple(self.candidate(number) for number in range(1, self._number + 1))
        with TemporaryDirectory() as folder, Journal.open(Path(folder) / "journal.db"):
            book = Book.open(Path(folder) / "journal.db")
            yield Gathered(
                *(
                    START,
                    run,
                    book.tally(),
                    everybody,
                    self.beliefs(),
                    {},
                    Noise(0.002),
                    "confirmed",
                ),
                path=(),
                journal=book,
            )
            book.close()

    def experiments(self, candidate: int) -> list[Experiment]:
        """Two trainings."""
        return [experiment(1, candidate), experiment(2, candidate, purpose=Purpose.CONFIRM)]

    def smokes(self, candidate: int) -> list[Smoke]:
        """One that came through."""
        return [smoke(1, candidate)]

    def source(self, number: int) -> str:
        """A script that differs from its parent's in a line or two."""
        self.candidate(number)
        return script(number)

    def calls_of(self, number: int) -> list[Asking]:
        """One call for every second candidate."""
        return [asking(number)] if number % 2 == 0 else []

    def log_of(self, number: int) -> LogText | None:
        """A short log."""
        text = "\n".join(f"step {n} loss {9 - n / 100:.2f}" for n in range(200))
        return LogText(text, Path(f"/run/{number}/run.log"), len(text), "training", cut=False)

    def worktree(self, number: int) -> Path | None:
        """None is checked out."""
        return None

    def tuning(self) -> Tuning:
        """The settings in force, and who set the size."""
        from tests.tui.tuned import (
            tuning,
        )  # the settings know pydantic: 13 MB that most tests need not

        return tuning({"population.size": str(self._size)}, self.sent)

    def prompts(self) -> tuple[Prompt, ...]:
        """The built-in ones, and one of a person that came before."""
        from tests.tui.tuned import prompts

        return prompts()

    def checked(self, key: str, value: str) -> str:
        """As an engine would take it."""
        from evolve.tunable import checked

        return checked({"population.size": str(self._size)}, key, value)

    def setting_changes(self, limit: int) -> list[SettingChange]:
        """Those that `tuning` tells of."""
        return list(self.tuning().changes[:limit])

    def send(self, verb: str, args: dict[str, Any], who: str) -> int:
        """Obey at once, and answer."""
        answers = {"pause": "Paused.", "resume": "Running."}
        answer = answers.get(verb, f"{verb} done.")
        self._paused = {"pause": True, "resume": False}.get(verb, self._paused)
        if verb == "set" and args["key"] == "population.size":
            self._size = int(args["value"])
        command = Command(
            len(self.sent) + 1, time.time(), who, verb, args, CommandState.DONE, answer
        )
        self.sent.append(command)
        return command.id

    def wait_for(self, command_id: int, timeout: float) -> Command | None:
        """The answered command."""
        return self.sent[command_id - 1]


if __name__ == "__main__":
    from tui.app import run_app

    mode = sys.argv[1] if len(sys.argv) > 1 else "live"
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 35
    sys.exit(run_app(Path.cwd(), source=lambda: Recording(mode, candidates=many)))
