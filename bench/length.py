"""What a run of 100,000 candidates costs at each step: a look of a client, the next parent, an experiment in the journal.

Processor time, for the wall says more of the machine. The journal is made in seconds; its candidates share the real
`train.py` as their source, so that the policies have something to read.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evolve.context import Context

CANDIDATES = 100_000
TIMES = 15
AIM = "<= 20 ms"


def run() -> list[tuple[str, str, str]]:
    """Rows of the table of `make bench`."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workspace = make(Path(folder), CANDIDATES)
        told = measure(workspace)
        rows += [
            (f"{CANDIDATES:,} candidates: {name}", f"{1000 * seconds:.1f} ms", aim)
            for name, seconds, aim in told
        ]
        rows.append((
            f"{CANDIDATES:,} candidates: `autoresearch status`",
            f"{1000 * _command(workspace):.0f} ms", "<= 300 ms",
        ))  # fmt: skip
    return rows


def make(folder: Path, candidates: int) -> Path:
    """A workspace with a run of so many candidates in its journal."""
    from evolve.workspace import create
    from tests.tui.many import write

    workspace = folder / "work"
    create(workspace)
    write(workspace, candidates)
    head = _git(workspace, "rev-parse", "HEAD")
    db = sqlite3.connect(workspace / ".autoresearch" / "journal.db")
    rules = db.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('candidate', 'run')"
    ).fetchall()
    for name, _ in rules:
        db.execute(f"DROP TRIGGER {name}")
    db.execute("UPDATE candidate SET commit_oid = ?", (head,))
    db.execute("UPDATE run SET base_commit = ?", (head,))
    for _, sql in rules:
        db.execute(sql)
    db.commit()
    db.close()
    return workspace


def measure(workspace: Path) -> list[tuple[str, float, str]]:
    """Name, median seconds of the processor and aim of every step; the journal has some candidates more afterwards."""
    from evolve.client import Client
    from evolve.told import Teller

    context = context_of(workspace)
    began = time.process_time()
    context.believed()
    found = [("an engine's first look at all of it", time.process_time() - began, "<= 3,000 ms")]
    steps = Steps(context)
    teller = Teller()
    teller.tell(context.journal, context.believed())
    parts: dict[str, list[float]] = {}
    for turn in range(TIMES):
        for name, step in steps.all(turn):
            began = time.process_time()
            step()
            parts.setdefault(name, []).append(time.process_time() - began)
        began = time.process_time()
        teller.tell(context.journal, context.believed())
        parts.setdefault("figures told to clients", []).append(time.process_time() - began)
        client = Client(workspace)
        began = time.process_time()
        assert client.snapshot().outlook.beliefs
        parts.setdefault("snapshot of a new client", []).append(time.process_time() - began)
        client.close()
    found += [(name, median(seconds), AIM) for name, seconds in parts.items()]
    context.journal.close()
    return found


class Steps:
    """A turn of the engine's loops, without proposer, git and training."""

    def __init__(self, context: Context) -> None:
        """Nothing happens yet."""
        self._context = context
        self._number = self._experiment = 0

    def all(self, turn: int) -> list[tuple[str, Callable[[], object]]]:
        """What is timed, in the order in which it happens."""
        self._rng = random.Random(turn)
        return [
            ("the next parent is chosen", self._choose),
            ("its brief is gathered", self._brief),
            ("append: a child is queued", self._add),
            ("append: its training begins", self._start),
            ("append: its training ends", self._finish),
            ("append: its verdict", self._judge),
        ]

    def _choose(self) -> None:
        from evolve.choosing import choose, standing
        from evolve.propose.builtin import BuiltinProposer

        able = {"builtin": BuiltinProposer().operators()}
        turns = standing(self._context, able).turns
        chosen = choose(self._context, able, turns, self._rng)
        assert chosen is not None
        self._chosen = chosen

    def _brief(self) -> None:
        from evolve.briefs import brief

        brief(self._context, self._chosen.operator, self._chosen.parents, 1)

    def _add(self) -> None:
        from evolve.propose.operators import Proposal

        journal = self._context.journal
        self._number = journal.next_candidate_id()
        journal.add_candidate(
            self._number,
            Proposal("x = 1\n", self._chosen.operator, "builtin", self._chosen.parents, "one more", "", "other"),
            commit="1" * 40,
            code_hash=f"{self._rng.getrandbits(256):064x}",
        )  # fmt: skip

    def _start(self) -> None:
        from evolve.model import Purpose

        started = self._context.journal.start_experiment(self._number, Purpose.SCREEN, 0)
        self._experiment = started.id

    def _finish(self) -> None:
        from evolve.model import CandidateState
        from harness.spec import Outcome, Result

        score = 1.19 + self._rng.random() / 100
        result = Result(Outcome.OK, "it ran", val_bpb=score, train_seconds=1.0, total_seconds=1.0)
        self._context.journal.finish_experiment(
            self._experiment, result, CandidateState.CONTENDER, score
        )

    def _judge(self) -> None:
        from evolve.model import Verdict

        self._context.journal.judge(self._number, Verdict.REJECTED, "No better.", alive=False)


def context_of(workspace: Path) -> Context:
    """What an engine would work with, but for its data."""
    from evolve import settings
    from evolve.context import Context
    from evolve.journal import Journal
    from evolve.lineage import Lineage
    from evolve.noise import pooled
    from harness.dataset import Dataset
    from harness.device import Machine

    journal = Journal.open(workspace / ".autoresearch" / "journal.db")
    chosen = settings.load(workspace, gpu=False, overrides={"profile": "cpu"})
    return Context(
        workspace=workspace,
        state=workspace / ".autoresearch",
        journal=journal,
        lineage=Lineage(workspace, chosen.workspace.script, "main", journal.run().name),
        settings=chosen,
        machine=Machine(gpus=(), cpus=2, cpu="", memory_mb=1000),
        dataset=Dataset(workspace, "none", 256, 256, 1000, 100, 0, 256_000, 0, {}, ""),
        device="cpu",
        sandbox="process",
        noise=pooled(()),
        awake_since=time.monotonic(),
    )


def _command(workspace: Path) -> float:
    """Seconds of the processor that one `autoresearch status` takes, the median of five."""
    found = []
    for _ in range(5):
        code = (
            "import sys, resource; from tui.cli import main; "
            f"main(['status', '-C', {str(workspace)!r}]); u = resource.getrusage(0); "
            "print(u.ru_utime + u.ru_stime, file=sys.stderr)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # fmt: skip
        found.append(float(done.stderr.splitlines()[-1]))
    return median(found)


def _git(workspace: Path, *argv: str) -> str:
    git = shutil.which("git") or "git"
    done = subprocess.run([git, *argv], cwd=workspace, capture_output=True, text=True, check=True)
    return done.stdout.strip()
