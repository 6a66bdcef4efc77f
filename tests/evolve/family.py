"""A real workspace: a git repository, a journal, and a small family whose scripts are commits in it.

#1 is the baseline, #2 a child that a language model wrote, #3 a tuned child of #1, #4 a crossover of #2 and #3.
`python -m tests.evolve.family DIR` makes one to look at.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from evolve.journal import Journal
from evolve.lineage import Lineage
from evolve.model import CandidateState, Operator, Purpose, Verdict
from evolve.places import EXPERIMENTS, JOURNAL, state_folder
from evolve.propose.operators import NO_USAGE, Asked, Proposal
from evolve.propose.vetting import code_hash
from harness.spec import Outcome, Result

TRAIN = Path(__file__).parents[2] / "trainer" / "train.py"
KEY = "sk-ant-api03-this-must-never-be-seen-0123456789"
SETTINGS = {
    "profile": "cpu",
    "workspace": {"script": "auto", "branch": "auto"},
    "llm": {"api_key_env": "FAMILY_KEY", "auth_token_env": ""},
    "stop": {"candidates": 12, "hours": 0.0, "dollars": 0.0, "target_bpb": 0.0, "plateau": 0},
}
ANSWER = "title: gated SiLU\n<<<<<<< SEARCH\nF.relu\n=======\nF.silu\n>>>>>>> REPLACE\n"


class Family:
    """The workspace in `folder`, with its journal open. Close it at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = TRAIN.read_text(encoding="utf-8")
        _repository(folder, self.source)
        self.line = Lineage(folder, "auto", "auto", "try")
        self.journal = Journal.open(state_folder(folder) / JOURNAL)
        self.base = self.line.head()[0]
        self.journal.create_run(
            name="try", branch="main", base_commit=self.base, settings=SETTINGS, fingerprint={}
        )
        self.commits: dict[int, str] = {}
        self._grow()

    def close(self) -> None:
        self.journal.close()

    def text(self, number: int) -> str:
        return self.line.source(self.commits[number])

    def add(self, source: str, *parents: int, **given: object) -> int:
        """A candidate whose commit really holds `source`."""
        number = self.journal.next_candidate_id()
        plain: dict[str, object] = {
            "operator": Operator.TUNE,
            "proposer": "builtin",
            "title": f"idea {number}",
            "hypothesis": "A larger step early on should pay.",
            "category": "optimizer",
            "changes": ("WARMDOWN: 0.75 -> 0.6",),
        }
        proposal = Proposal(source=source, parents=parents, **(plain | given))  # type: ignore[arg-type]
        commit = self.base
        if parents:
            origin = [self.commits[p] for p in parents]
            commit = self.line.commit(
                number, source, origin, title=proposal.title, body="", trailers={}
            )
            self.line.publish(number, commit)
        self.journal.add_candidate(number, proposal, commit=commit, code_hash=code_hash(source))
        self.commits[number] = commit
        return number

    def train(self, number: int, score: float, log: str, purpose: Purpose = Purpose.SCREEN) -> None:
        """A finished training with its log on the disk."""
        experiment = self.journal.start_experiment(number, purpose, seed=0)
        folder = self.folder / ".autoresearch" / EXPERIMENTS
        folder /= self.journal.directory(experiment.id)
        folder.mkdir(parents=True)
        (folder / "run.log").write_text(log, encoding="utf-8")
        result = Result(
            Outcome.OK, "The budget was spent and the score is in.", score, seed=0,
            train_seconds=20.0, total_seconds=22.0, train_tokens=400_000, log_tail=log[-200:],
        )  # fmt: skip
        self.journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)

    def call(self, *, answer: str = ANSWER, system: str = "You improve train.py.") -> int:
        """An answered call of a language model about a child of #1."""
        request = {
            "model": "claude-opus-5-5",
            "max_tokens": 32000,
            "system": [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Parent #1:\nx"}]}],
            "output_config": {"effort": "medium"},
        }
        call = self.journal.reserve_call(
            model="claude-opus-5-5", asked=Asked("mutate", (1,)), request=json.dumps(request),
            request_sha="0" * 64, dollars=0.5,
        )  # fmt: skip
        self.journal.answer_call(
            call, response=answer, usage=NO_USAGE, dollars=0.031, seconds=12.5, stop_reason="end_turn"
        )  # fmt: skip
        return call

    def _grow(self) -> None:
        self.add(
            self.source, operator=Operator.SEED, proposer="human", title="baseline", changes=()
        )
        self.train(1, 2.2, "step 0 loss 9.0\n", Purpose.BASELINE)
        self.journal.crown_baseline(1)
        silu = _replaced(
            self.source,
            "        return self.out(F.relu(self.fc(x)).square())\n",
            "        hidden = self.fc(x)\n        return self.out(F.silu(hidden) * hidden)\n",
        )
        self.add(
            silu, 1, operator=Operator.MUTATE, proposer="claude", model="claude-opus-5-5",
            title="gated SiLU for squared ReLU", calls=(self.call(),), prompt_version="mutate-3f",
        )  # fmt: skip
        self.train(2, 2.1, f"\x1b[31mstep 0 loss 8.9\x1b[0m\n{KEY}\nstep 1 loss 8.0\n")
        self.journal.judge(2, Verdict.KEPT, "distinct and better", alive=True)
        tuned = _replaced(self.source, "WARMDOWN = 0.75", "WARMDOWN = 0.6")
        self.add(tuned, 1, title="longer warmdown")
        self.train(3, 2.3, "step 0 loss 9.1\n")
        self.journal.judge(3, Verdict.REJECTED, "worse than every member", alive=False)
        both = _replaced(silu, "WARMDOWN = 0.75", "WARMDOWN = 0.6")
        self.add(both, 2, 3, operator=Operator.CROSSOVER, title="both at once")
        self.line.worktree(2, self.commits[2])


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text, f"train.py holds no {old}"
    return text.replace(old, new, 1)


def _repository(folder: Path, source: str) -> None:
    (folder / "trainer").mkdir(parents=True)
    (folder / "trainer" / "train.py").write_text(source, encoding="utf-8")
    (folder / ".gitignore").write_text(".autoresearch/\n", encoding="utf-8")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "seed")):
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True)


if __name__ == "__main__":
    Family(Path(sys.argv[1])).close()
