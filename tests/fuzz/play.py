"""One episode: a workspace whose engine is killed again and again, and what was wrong after each time."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from evolve.client import Client
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Raw, Request
from tests.evolve.night import child, spoken, text_of
from tests.fuzz import audit, rest
from tests.fuzz.facts import Witness, read_only
from tests.fuzz.kills import Deed, at_keeper, carry_out, stop_runners
from tests.fuzz.ledger import read
from tests.fuzz.person import Person
from tests.fuzz.schedule import Episode, Kill
from tests.fuzz.workshop import Engine, Workshop, slay

TO_RUNNERS = ("runner", "both", "everything", "meter", "scorer")  # kills that end a training, too
ARMED = (
    "runner.",
    "rundir.",
    "meter.",
    "scorer.",
    "committed.",
)  # points at which a training may die later on
IN_A_ROW = 4  # boots killed by one `boot` kill
EARLY = 1.2  # seconds after a start, at most, to a kill while it boots
TRAINING = 180.0  # seconds that a real training takes, at most, on a busy machine
QUIET = 30.0  # seconds in which a paused run has to come to rest behind its last training
GRACE = 1.0  # seconds that runners of the last engine live on
ORPHANS = 5.0  # seconds after that until everything is gone
THINKING = 0.3  # seconds that the language model takes, at most


@dataclass
class Report:
    """What an episode came to."""

    episode: Episode
    kinds: Counter[str] = field(default_factory=Counter)  # kills that were carried out
    points: Counter[str] = field(default_factory=Counter)  # crash points at which a process died
    in_vain: Counter[str] = field(default_factory=Counter)  # what was waited for and did not come
    boots: list[float] = field(default_factory=list)  # seconds from start to the run's going on
    launches: list[float] = field(default_factory=list)  # seconds from start to the next training
    problems: list[str] = field(default_factory=list)
    candidates: int = 0
    trainings: int = 0
    facts: int = 0
    requests: int = 0
    calls: int = 0


class Model(FakeAnthropic):
    """A language model that takes its time, so that it is often thinking when the engine dies."""

    def __init__(self, seed: str) -> None:
        super().__init__()
        self.models = {"claude-opus-5-5": {}, "claude-haiku-5-5": {}}
        self._rng = random.Random(seed)

    def next(self, request: Request) -> Answer | Fault | Raw:
        """A child of the parent in the prompt."""
        with self._lock:
            self.requests.append(request)
            told = "".join(text_of(message) for message in request.body["messages"])
            answer = spoken(child(told, self._rng), told)
            pause = self._rng.uniform(0, THINKING)
        time.sleep(pause)
        return answer


class Play:
    """Carries an episode out."""

    def __init__(self, episode: Episode, seed: int, base: Path) -> None:
        self.report = Report(episode)
        self._episode, self._seed = episode, f"{seed}:{episode.number}"
        self._shop = Workshop(base, episode.training, episode.proposer)
        self._engine: Engine | None = None
        self._adoptable: set[str] = set()  # trainings that outlived their engine

    def run(self) -> Report:
        """Play it; the workspace is gone afterwards unless something was wrong."""
        self._shop.base.mkdir(parents=True)
        self._shop.make()
        with contextlib.ExitStack() as stack:
            if self._episode.proposer == "claude":
                model = stack.enter_context(Model(self._seed))
                self._shop.url = model.url
            stack.callback(self._clear)
            witness = stack.enter_context(Witness(self._shop.journal))
            person = stack.enter_context(Person(self._shop.workspace, witness, self._seed))
            for kill in self._episode.kills:
                self._kill(kill, witness)
                self.report.problems += [f"{_of(kill)}: {p}" for p in _take(witness.problems)]
                if self.report.problems:
                    break
            if not self.report.problems:
                self._rest(witness, person)
            self.report.facts, self.report.requests = len(witness.facts.known), person.sent
            if self._shop.url:
                self.report.calls = len(model.requests)
        if not self.report.problems:
            shutil.rmtree(self._shop.base)
        return self.report

    # ---- one kill ------------------------------------------------------------------------------------------

    def _kill(self, kill: Kill, witness: Witness) -> None:
        crash = f"{kill.point}:{kill.passage}" if kill.point else ""
        if (crash or kill.kind == "boot") and self._engine is not None:
            self._engine.kill()
            self._engine = None
            self._bury(kill)
        with witness.away() if kill.unseen else contextlib.nullcontext():
            if kill.kind == "boot":
                self._storm(kill)
                return
            if kill.point.startswith("keeper."):
                self._done(kill, at_keeper(kill, self._shop))
                return
            engine = self._engine = self._engine or self._boot(crash, kill)
        if engine is None:
            self.report.kinds[kill.kind] += bool(crash)
            return
        if not crash:
            self._look(kill, witness)
        self._done(kill, carry_out(kill, self._shop, engine))

    def _done(self, kill: Kill, deed: Deed) -> None:
        """Note what a kill came to."""
        self.report.kinds[kill.kind] += 1
        if not deed.came:
            self.report.in_vain[kill.point or kill.kind] += 1
        elif kill.point:
            self.report.points[kill.point] += 1
        if deed.problem:
            self._wrong(kill, deed.problem)
        self._engine = None if deed.dead else deed.heir or self._engine
        if deed.dead or kill.kind in TO_RUNNERS:
            self._bury(kill)

    def _boot(self, crash: str, kill: Kill) -> Engine | None:
        """Start an engine and wait until its run goes on; None when it died at the point that was armed."""
        trained = len(read(self._shop.ledger))
        data = kill.point.startswith("dataset.")  # which a child of the engine's prepares
        if data:
            self._shop.cache = self._shop.base / "cache"
        engine = self._shop.start(crash, anew=kill.anew)
        took = engine.boots()
        if took is None:
            if engine.alive:
                self._wrong(kill, f"An engine did not boot: {engine.said()[-400:]}")
                engine.kill()
            elif crash and engine.process.returncode == (1 if data else -9):
                self.report.points[kill.point] += 1
            else:
                words = f"ended with {engine.process.returncode}: {engine.said()[-600:]}"
                self._wrong(kill, f"An engine {words}")
            return None
        self.report.boots.append(took)
        if not crash:
            self._launch(engine, trained, kill)
        return engine

    def _launch(self, engine: Engine, trained: int, kill: Kill) -> None:
        """The next training has to follow, or one that outlived the last engine is at work."""
        if self._shop.runners():
            return
        while engine.alive and time.monotonic() - engine.started < 60:
            if len(read(self._shop.ledger)) > trained:
                self.report.launches.append(time.monotonic() - engine.started)
                return
            time.sleep(0.02)
        self._wrong(kill, f"No training followed a boot: {engine.said()[-400:]}")

    def _storm(self, kill: Kill) -> None:
        """Engines that die while they boot, one after another."""
        rng = random.Random(kill.delay)
        for _ in range(IN_A_ROW):
            engine = self._shop.start(anew=rng.random() < 0.5)
            time.sleep(rng.uniform(0.05, EARLY))
            if not engine.alive:
                self._wrong(kill, f"An engine ended by itself: {engine.said()[-400:]}")
            engine.kill()
            self.report.kinds[kill.kind] += 1
        self._bury(kill)

    def _bury(self, kill: Kill) -> None:
        """Take note of the trainings that outlive their engine: they have to be adopted, and to count."""
        if kill.kind in TO_RUNNERS or kill.point.startswith(ARMED):
            self._adoptable -= {entry.name for entry in read(self._shop.ledger)[-2:]}
            return
        names = {entry.pid: entry.name for entry in read(self._shop.ledger) if not entry.smoke}
        self._adoptable |= {names[pid] for pid in self._shop.runners() if pid in names}

    def _look(self, kill: Kill, witness: Witness) -> None:
        """What must be true at every moment."""
        witness.look()
        for problem in audit.always(self._shop):
            self._wrong(kill, problem)

    def _wrong(self, kill: Kill, problem: str) -> None:
        self.report.problems.append(f"{_of(kill)}: {problem}")

    # ---- the end ---------------------------------------------------------------------------------------------

    def _rest(self, witness: Witness, person: Person) -> None:
        """One last boot; then everything has to come to rest, be right, and be gone."""
        last = Kill(0, "the end")
        if self._engine is not None:
            self._engine.kill()
            self._bury(last)
        engine = self._shop.start(grace=GRACE)
        if engine.boots() is None:
            self._wrong(last, f"An engine did not boot: {engine.said()[-600:]}")
            engine.kill()
            return
        self._engine = engine
        time.sleep(1.0)
        person.leave()
        for problem in (*self._quietened(), *self._deserted()):
            self._wrong(last, problem)
        witness.look()
        with closing(read_only(self._shop.journal)) as db:
            self.report.candidates = db.execute("SELECT count(*) FROM candidate").fetchone()[0]
            self.report.trainings = db.execute("SELECT count(*) FROM experiment").fetchone()[0]
        self.report.problems += [f"{_of(last)}: {p}" for p in _take(witness.problems)]
        for problem in self._gone(engine):
            self._wrong(last, problem)

    def _quietened(self) -> list[str]:
        """Pause the run and audit it as soon as nothing is under way; what is wrong if that never comes."""
        with closing(Client(self._shop.workspace)) as client:
            client.send("pause", {}, "the fuzzer")
        begun = time.monotonic()
        while self._shop.runners() and time.monotonic() - begun < TRAINING:
            time.sleep(0.2)
        begun, problems = time.monotonic(), ["The run did not come to rest."]
        while problems and time.monotonic() - begun < QUIET:
            time.sleep(0.5)
            problems = rest.quiet(self._shop)
        return problems

    def _deserted(self) -> Iterator[str]:
        """Trainings that outlived their engine and were lost all the same."""
        journal = audit.Journal(self._shop.journal)
        for row in journal.experiments:
            name = journal.name(row)
            if name in self._adoptable and row["outcome"] == "void" and not row["killed"]:
                yield f"{name} outlived its engine and was not adopted: {row['reason']}"

    def _gone(self, engine: Engine) -> Iterator[str]:
        """Killed for good in the middle of a training, nothing of an engine is left after the grace of its runner."""
        self._shop.ledger.with_suffix(".long").touch()  # so that no training ends by itself
        with closing(Client(self._shop.workspace)) as client:
            client.send("resume", {}, "the fuzzer")
        before, begun = self._trainings(), time.monotonic()
        while self._trainings() == before and time.monotonic() - begun < QUIET:
            time.sleep(0.05)
        engine.kill()
        self._engine = None
        begun = time.monotonic()
        while (left := self._shop.processes()) and time.monotonic() - begun < GRACE + ORPHANS:
            time.sleep(0.1)
        yield from (f"Process {pid} is left behind: {' '.join(line)}" for pid, line in left.items())
        lying = [p.name for p in (self._shop.base / "tmp").iterdir()]
        if lying:
            yield f"Left in the temporary folder: {lying[:5]}"

    def _trainings(self) -> int:
        """How many were begun so far, smoke runs not counted."""
        return sum(e.what == "start" and not e.smoke for e in read(self._shop.ledger))

    def _clear(self) -> None:
        """Leave no process behind, whatever has happened."""
        if self._engine is not None:
            self._engine.kill()
        stop_runners(self._shop)
        slay(*self._shop.processes())


def _of(kill: Kill) -> str:
    if not kill.number:
        return kill.kind
    point = f" {kill.point}:{kill.passage}" if kill.point else ""
    return f"kill {kill.number} ({kill.kind}{point})"


def _take(problems: list[str]) -> list[str]:
    """All of them, once."""
    found, problems[:] = list(problems), []
    return found
