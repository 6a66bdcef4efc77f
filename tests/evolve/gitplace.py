"""A small repository with a run in it: real git, a real journal, and what joins them; no engine, no training."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

from evolve import projecting, ratcheting
from evolve.context import Context
from evolve.journal import Journal
from evolve.lineage import Lineage
from evolve.model import Candidate, Operator, Purpose
from evolve.noise import pooled
from evolve.places import JOURNAL, STATE, state_folder
from evolve.propose.operators import Proposal
from evolve.settings import Settings
from tests.evolve.workbench import SETTINGS

SEED = "import torch\nDEPTH = 2\n"
SCRIPT = "trainer/train.py"


def git(repo: Path, *argv: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repo), *argv], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def new_repository(work: Path) -> Path:
    (work / "trainer").mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / SCRIPT).write_text(SEED)
    (work / "README").write_text("mine\n")
    (work / ".gitignore").write_text(".autoresearch/\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "seed")
    return work


class Place:
    """A run in `folder` as an engine has it open; `Place(folder)` again is the next engine."""

    def __init__(self, folder: Path) -> None:
        self.repo = folder
        self.journal = Journal.open(state_folder(folder) / JOURNAL)
        self.line = Lineage(folder, "auto", "auto", "try")
        nothing = cast("Any", None)  # of trainings, which these tests have none of
        self.context = Context(
            workspace=folder, state=folder / STATE, journal=self.journal, lineage=self.line,
            settings=Settings(), machine=nothing, dataset=nothing, device="cpu", sandbox="process",
            noise=pooled(()), awake_since=0.0,
        )  # fmt: skip

    def begin(self) -> Place:
        """A run whose baseline is main as it stands."""
        base, source = self.line.head()
        self.journal.create_run(
            name="try", branch="main", base_commit=base, settings=SETTINGS, fingerprint={}
        )
        seed = Proposal(
            source=source, operator=Operator.SEED, proposer="human", parents=(), title="baseline",
            hypothesis="", category="other",
        )  # fmt: skip
        self.journal.add_candidate(1, seed, commit=base, code_hash="1")
        self.line.publish(1, base)
        return self

    def child(self, text: str = "A = 1\n", *, parent: int = 1) -> Candidate:
        """A candidate, committed, published and journalled."""
        from evolve.nursery import enrol

        made = Proposal(
            source=SEED + text, operator=Operator.MUTATE, proposer="builtin", parents=(parent,),
            title="idea", hypothesis="Because.", category="other",
        )  # fmt: skip
        return self.journal.candidate(enrol(self.context, made, text))

    def intend(self, candidate: Candidate) -> int:
        tip = git(self.repo, "rev-parse", "main")
        return self.journal.intend_ratchet(candidate.id, tip, candidate.commit, "fast-forward")

    def follow(self, candidate: Candidate) -> str:
        return ratcheting.follow(self.context, candidate, {"Candidate": candidate.label})

    def again(self) -> Place:
        """A restarted engine, its repairs done."""
        self.journal.close()
        place = Place(self.repo)
        projecting.refs(place.context)
        projecting.worktrees(place.context)
        return place

    def steps(self) -> list[str]:
        """What became of the moves of main, oldest first."""
        rows = self.journal._all("SELECT state FROM ratchet ORDER BY id", ())
        return [row[0] for row in rows]

    def told(self) -> list[str]:
        return [e.text for e in self.journal.events(limit=5000)]

    def train(self, number: int) -> None:
        self.journal.start_experiment(number, Purpose.SCREEN, 0)

    def is_whole(self) -> bool:
        """Refs as in the journal, the repository sound, the checkout as committed, no lock left."""
        listed = git(self.repo, "for-each-ref", "--format=%(refname:lstrip=3) %(objectname)",
                     "refs/autoresearch")  # fmt: skip
        refs = {int(n): oid for n, oid in (line.split() for line in listed.splitlines())}
        assert refs == self.journal.commits()
        assert git(self.repo, "fsck", "--strict", "--no-dangling") == ""
        assert git(self.repo, "status", "--porcelain", "--untracked-files=no") == ""
        assert not list((self.repo / ".git").rglob("*.lock"))
        assert not (self.repo / STATE / "git.running").exists()
        return True
