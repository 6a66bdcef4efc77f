"""Makes the recording that the app ships: `python -m tests.tui.record [FILE]`, about ten minutes on two cores.

A real engine searches in a fresh workspace, in rehearsal: real trainings on the CPU, real git and journal. The language
model is a server on loopback that answers from a short list of ideas about the constants of train.py and now and then
fails, refuses or talks nonsense; a person steers now and then. The recording holds the journal without long logs, and the
sources as a git bundle, so that it stays small and says nothing about the machine it was made on.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from evolve.client import Client
from evolve.database import without_rules
from evolve.model import Event
from evolve.places import JOURNAL, STATE
from evolve.propose.placeholders import BUILT_IN
from evolve.recordings import DEMO, pack
from evolve.serving import serve
from evolve.workspace import create
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Raw, Request
from tests.evolve.night import edit, spoken, text_of, whole_line

CHILDREN = 26
SEED = 4
WRONG = 0.12  # share of the calls that go wrong
POINTS = 60  # of a curve that are kept
LOG_LINES = 6
PAD_ASKED = "This time no child is asked for."  # of the built-in template
_FENCED = re.compile(r"^(`{3,})python\n(.*?\n)\1$", re.MULTILINE | re.DOTALL)

# The script starts from these constants, far from where it trains best, so that a short rehearsal has much to find.
DETUNED = {
    "MATRIX_LR": "0.008",
    "EMBED_LR": "0.12",
    "GRAM_LR": "0.03",
    "HEAD_LR": "0.0006",
    "WARMDOWN": "0.95",
}
# A constant of train.py, the factor, the category, and the model's reason.
IDEAS = (
    ("MATRIX_LR", 2.5, "optimizer", "Short runs are far from convergence, so larger Muon steps should pay."),
    ("EMBED_LR", 3.0, "optimizer", "Embeddings see each token rarely and can afford larger steps."),
    ("GRAM_LR", 3.5, "optimizer", "Most hashed rows are rare, so the few steps that they get should be large."),
    ("HEAD_LR", 3.0, "optimizer", "The head starts at almost nothing and is slow to leave it."),
    ("WARMDOWN", 0.8, "schedule", "A later warmdown leaves more time at the full learning rate."),
    ("FINAL_LR", 2.0, "schedule", "The last tenth of the budget learns little; a higher floor uses it."),
    ("MOMENTUM_RAMP", 0.5, "schedule", "The momentum's ramp takes too much of a short budget."),
    ("SOFTCAP", 1.4, "architecture", "A looser cap lets sure predictions be sure."),
    ("ROPE_BASE", 0.1, "attention", "The slowest channels never turn within 256 tokens."),
    ("GRAM_INIT", 2.0, "init", "Pairs and triples carry most of what a tiny model learns; start them larger."),
    ("MLP_RATIO", 1.5, "size", "A wider MLP uses the idle share of the step."),
)  # fmt: skip


class Adviser(FakeAnthropic):
    """A language model with a list of ideas; a tenth of its answers are of no use."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.models = {"claude-opus-5-5": {}, "claude-haiku-5-5": {}}
        self._rng = random.Random(seed)

    def next(self, request: Request) -> Answer | Fault | Raw:
        """The answer to one request."""
        with self._lock:
            told = "".join(text_of(message) for message in request.body["messages"])
            if self._rng.random() < WRONG:
                return self._rng.choice(
                    (
                        Fault(529, "overloaded_error", "busy"),
                        spoken("", told, stop_reason="refusal", category="frontier_llm"),
                        spoken("Title: misfit\n\n" + edit("THIS = 'stands nowhere'", "THIS = 1"), told),
                    )
                )  # fmt: skip
            if PAD_ASKED in told:
                return spoken(PAD, told)
            return spoken(self._child(told), told, output_tokens=self._rng.randint(600, 2400))

    def _child(self, told: str) -> str:
        found = _FENCED.search(told)
        source = found.group(2) if found else ""
        for name, factor, category, why in self._rng.sample(IDEAS, len(IDEAS)):
            match = re.search(rf"^{name} = ([\d_.]+)", source, re.MULTILINE)
            if match is None:
                continue
            old = match.group(1)
            value = float(old) * factor * self._rng.uniform(0.9, 1.1)
            new = f"{value:.3g}" if "." in old else str(max(1, round(value)))
            if float(new) == float(old):
                continue
            line = whole_line(source, match)
            return (
                f"Title: {name} {old} -> {new}\nCategory: {category}\nHypothesis: {why}\n\n"
                + edit(line, line.replace(old, new, 1))
            )
        return "I have no idea."


@dataclass(frozen=True)
class Wish:
    """What a person asks for once so many children have been made."""

    children: int
    verb: str
    args: Callable[[Client], dict[str, object] | None]


TEMPLATE = (
    BUILT_IN["mutate"]
    + "\n\nPrefer one bold change to three timid ones, and say what it should cost.\n"
)
PAD = """# Summary

Rates and schedules move the score more than sizes at this budget.

# Insights

- Larger steps for rare rows pay; larger steps for matrices do not.
- A looser softcap changes nothing that can be measured.

# Recommendations

1. Lower the rate of the matrices and raise that of pairs and triples together.
2. Shorten the warmdown a little.
"""
WISHES = (
    Wish(6, "set", lambda _: {"key": "population.size", "value": "8"}),
    Wish(9, "set", lambda _: {"key": "operators.crossover", "value": "4.0"}),
    Wish(11, "set", lambda _: {"key": "prompts.mutate", "value": TEMPLATE}),
    Wish(12, "pin", lambda client: {"candidate": client.snapshot().population[0].id}),
    Wish(15, "pause", lambda _: {}),
    Wish(15, "resume", lambda _: {}),
    Wish(
        18,
        "drop",
        lambda client: {"candidate": queue[-1].id} if (queue := client.snapshot().queue) else None,
    ),
    Wish(21, "set", lambda _: {"key": "population.size", "value": "7"}),
)


class Person(threading.Thread):
    """Somebody who looks in now and then and asks for something."""

    def __init__(self, workspace: Path) -> None:
        super().__init__(daemon=True)
        self._workspace = workspace
        self.over = threading.Event()

    def run(self) -> None:
        """Ask for each wish at its time."""
        with closing(Client(self._workspace)) as client:
            for wish in WISHES:
                while client.snapshot(curve=False).candidates < wish.children:
                    if self.over.wait(1.0):
                        return
                if (args := wish.args(client)) is not None:
                    client.send(wish.verb, args, "maria on gpu-a")
                    self.over.wait(4.0)


def detune(workspace: Path) -> None:
    """Commit the script with constants that are put wrong on purpose."""
    script = workspace / "trainer" / "train.py"
    text = script.read_text()
    for name, value in DETUNED.items():
        text, found = re.subn(rf"^{name} = [\d.]+", f"{name} = {value}", text, flags=re.MULTILINE)
        assert found == 1, name
    script.write_text(text)
    git = [
        "git",
        "-C",
        str(workspace),
        "-c",
        "user.name=maria",
        "-c",
        "user.email=maria@example.org",
    ]
    subprocess.run([*git, "commit", "--quiet", "-am", "Constants to begin with"], check=True)


def record(folder: Path) -> Path:
    """Let the engine search in `folder`; returns the workspace."""
    workspace = folder / "work"
    create(workspace)
    detune(workspace)
    overrides = {
        "profile": "cpu",
        "llm.proposer": "claude",
        "llm.fallback_model": "claude-haiku-5-5",
        "llm.backoff": "1.0",
        "population.size": "6",
        "stop.candidates": str(CHILDREN),
        "stop.dollars": "5.0",
        "budget.tokens": "80000",
        "data.eval_tokens": "32768",
    }

    def tell(event: Event) -> None:
        print(event.text, flush=True)

    person = Person(workspace)
    with Adviser(SEED) as model:
        os.environ |= {"ANTHROPIC_API_KEY": "sk-ant-none", "ANTHROPIC_BASE_URL": model.url}
        person.start()
        try:
            serve(
                workspace, overrides=overrides, name="nov21", allow_weak_sandbox=True, on_event=tell
            )
        finally:
            person.over.set()
            person.join()
    return workspace


def lighten(journal: Path) -> None:
    """Take out of a copied journal what is long or tells of the machine."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        with without_rules(db):
            db.execute("UPDATE experiment SET fingerprint = '{}', weights_sha256 = ''")
            for number, tail in db.execute("SELECT id, log_tail FROM experiment").fetchall():
                kept = "\n".join(tail.splitlines()[-LOG_LINES:])
                db.execute("UPDATE experiment SET log_tail = ? WHERE id = ?", (kept, number))
            db.execute(
                """DELETE FROM curve WHERE position % max(1, (SELECT count(*) FROM curve AS all_of_it
                WHERE all_of_it.experiment = curve.experiment) / ?) != 0""",
                (POINTS,),
            )
        db.execute("DELETE FROM meta WHERE key LIKE 'data set of %' OR key LIKE 'overrides of %'")
        db.execute("VACUUM")


def main() -> None:
    """Record, lighten, pack."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else DEMO
    kept = os.environ.get("AUTORESEARCH_RECORDED")  # a workspace that was recorded before
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Path(kept) if kept else record(Path(scratch))
        light = Path(scratch) / JOURNAL
        with (
            closing(sqlite3.connect(workspace / STATE / JOURNAL)) as db,
            closing(sqlite3.connect(light)) as copy,
        ):
            db.backup(copy)
        lighten(light)
        bundle = Path(scratch) / "sources.bundle"
        line = ["git", "-C", str(workspace), "bundle", "create", "--quiet", str(bundle), "--all"]
        subprocess.run(line, check=True)
        pack(out, light, bundle)
    print(f"{out}: {out.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
