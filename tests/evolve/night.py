"""A night replayed: the real engine, proposers, SDK, journal and git against a language model that fails in all ways.

The model is a server on loopback that edits the parent which it finds in its prompt, and breaks down, refuses, lies or
talks nonsense in about a third of its calls, by a seed. Trainings are short sleeps with a score from a smooth, noisy
landscape. `python -m tests.evolve.night --candidates 300` plays a longer one and prints what it came to.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import re
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from evolve.model import Event
from evolve.serving import serve
from evolve.workspace import create
from harness.spec import ExperimentSpec, Outcome, Result, SmokeResult
from tests.evolve.fake_anthropic import Answer, FakeAnthropic, Fault, Raw, Request
from tests.evolve.workbench import scored

KEY = "sk-ant-api03-the-key-of-the-night-0123456789abcdef"
TRAINING = 0.05  # seconds
FAULTS = 0.3  # share of the calls that go wrong
CAP = 12.0  # dollars
CONSTANT = re.compile(r"^([A-Z][A-Z_]+) = (\d+\.\d+|\d{2,})(?=\s|$)", re.MULTILINE)
_FENCED = re.compile(r"^(`{3,})python\n(.*?\n)\1$", re.MULTILINE | re.DOTALL)

Given = Answer | Fault | Raw


# ---- the language model ------------------------------------------------------------------------------------


class ScriptedModel(FakeAnthropic):
    """Answers by chance, from one seed; keeps what it said."""

    def __init__(self, seed: int, journal: Path) -> None:
        super().__init__()
        self.models = {"claude-opus-5-5": {}, "claude-haiku-5-5": {}}
        self.given: list[tuple[str, Given]] = []  # (what it was, the answer), for each request
        self.committed: list[float] = []  # dollars, at the arrival of each request
        self._rng = random.Random(seed)
        self._journal = journal

    def next(self, request: Request) -> Given:
        """The answer to one request. Requests come one at a time: the engine asks for one child after another."""
        with self._lock:
            self.requests.append(request)
            self.committed.append(committed(self._journal))
            told = "".join(text_of(message) for message in request.body["messages"])
            name, answer = self._choose(told, request)
            self.given.append((name, answer))
            return answer

    def _choose(self, told: str, request: Request) -> tuple[str, Given]:
        rng = self._rng
        if rng.random() < FAULTS:
            name = rng.choice(sorted(WRONG))
            return name, WRONG[name](child(told, rng), rng, request)
        return "good", spoken(child(told, rng), told)


def child(told: str, rng: random.Random) -> str:
    """A proper answer, made from the parent in the prompt: constants turned, lines exchanged, at times a whole file."""
    found = _FENCED.search(told)
    source = found.group(2) if found else "DEPTH = 8.0\n"
    constants = list(CONSTANT.finditer(source))
    chosen = rng.sample(constants, min(len(constants), rng.choice((1, 1, 2))))
    changes = [(match.group(0), _turned(match, rng)) for match in chosen]
    names = " and ".join(match.group(1) for match in chosen)
    header = (
        f"Title: Turn {names}\nCategory: {rng.choice(('optimizer', 'schedule', 'init'))}\n"
        f"Hypothesis: {names} stood too far from where it trains best.\n\n"
    )
    if rng.random() < 0.2:
        for old, new in changes:
            source = source.replace(old, new, 1)
        return f"{header}`````python\n{source}`````\n"
    lines = [
        (whole_line(source, match), new) for match, (_, new) in zip(chosen, changes, strict=True)
    ]
    return header + "\n".join(edit(old, new + old[len(was) :]) for (old, new), (was, _) in zip(lines, changes, strict=True))  # fmt: skip


def whole_line(source: str, match: re.Match[str]) -> str:
    """The line in which a constant stands, with its comment."""
    return source[match.start() :].partition("\n")[0]


def _turned(match: re.Match[str], rng: random.Random) -> str:
    value = float(match.group(2)) * math.exp(rng.gauss(0, 0.7))
    text = f"{value:.4g}" if "." in match.group(2) else str(max(2, round(value)))
    return f"{match.group(1)} = {text}"


def edit(old: str, new: str) -> str:
    return f"<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def spoken(text: str, told: str = "", **given: object) -> Answer:
    """An answer with counts like a real tokenizer's."""
    size = max(1, len(told) // 4)
    plain = {"input_tokens": size // 3, "cache_read": size - size // 3}
    return Answer(text, **(plain | {"output_tokens": max(1, len(text) // 4)} | given))  # type: ignore[arg-type]


Wrong = Callable[[str, random.Random, Request], Given]


def _hostile(good: str, rng: random.Random, request: Request) -> Given:
    key = request.headers["authorization"]
    return spoken(
        rng.choice(
            (
                f"Title: --upload-pack=/bin/sh \x1b[2J[red]{key}\nCategory: ../../etc\n"
                + good.partition("\n\n")[2],
                good.replace("Hypothesis:", f"Hypothesis: {key} \u202e\x00 Candidate: #1\n\n"),
                "Title: $(touch /tmp/x)\n\n```python\nimport os\nos.system('id')\x00\n```\n",
                edit("import torch", f"import torch, socket  # {key}"),
                "<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE\n" * 3000,
                "Title: long\n" + "y" * 5_000_000,
            )
        )
    )


WRONG: dict[str, Wrong] = {
    "429": lambda good, rng, request: Fault(
        429, "rate_limit_error", "slow down", {"retry-after-ms": str(rng.choice((10, 60)))}
    ),
    "529": lambda good, rng, request: Fault(
        529, "overloaded_error", f"busy; you said {request.headers['authorization']}"
    ),
    "500": lambda good, rng, request: Fault(500, headers={"retry-after-ms": "20"}),
    "silence": lambda good, rng, request: spoken(good, hang=True),
    "cut": lambda good, rng, request: spoken(good, cut=True),
    "error in the stream": lambda good, rng, request: spoken(good, error="overloaded_error"),
    "truncated": lambda good, rng, request: spoken(
        good[: len(good) // 2], stop_reason="max_tokens", output_tokens=len(good) // 4
    ),
    "refusal": lambda good, rng, request: spoken(
        "", stop_reason="refusal", category="frontier_llm"
    ),
    "malformed edits": lambda good, rng, request: spoken(
        "Title: misfit\n\n" + edit("THIS = 'stands nowhere'", "THIS = 1")
    ),
    "empty": lambda good, rng, request: spoken(""),
    "prose": lambda good, rng, request: spoken("I would rather discuss the weather. " * 20),
    "hostile": _hostile,
    "no stream": lambda good, rng, request: Raw(b"<html>Bad gateway</html>", "text/html"),
}


# ---- the slot ----------------------------------------------------------------------------------------------


@dataclass
class NightSlot:
    """Trainings that sleep, with a score from how far each constant is from a hidden best value, and noise."""

    seed: int
    gaps: list[float] = field(default_factory=list)  # seconds between two trainings
    crowd: list[float] = field(
        default_factory=list
    )  # processes a core that wanted to run, at each gap
    sources: list[str] = field(default_factory=list)
    _ended: float | None = None

    async def run(self, spec: ExperimentSpec, directory: Path) -> Result:
        if self._ended is not None:
            self.gaps.append(time.perf_counter() - self._ended)
            self.crowd.append(os.getloadavg()[0] / (os.cpu_count() or 1))
        self.sources.append(spec.source)
        await asyncio.sleep(TRAINING)
        noise = random.Random(f"{spec.seed}").gauss(0, 0.004)
        noise += random.Random(f"{spec.source}{spec.seed}").gauss(0, 0.004)
        self._ended = time.perf_counter()
        return scored(spec, 2.0 + self._loss(spec.source) + noise)

    def _loss(self, source: str) -> float:
        far = 0.0
        for name, value in CONSTANT.findall(source):
            best = random.Random(f"{self.seed}{name}").gauss(0, 1.0)
            first = random.Random(name).uniform(-1, 1)
            far += 0.004 * min(3.0, abs(math.log(float(value) + 1e-9) * 0.3 - best - first))
        return far

    async def smoke(self, spec: ExperimentSpec, directory: Path) -> SmokeResult:
        """Everything comes through."""
        return SmokeResult(Outcome.OK, "slept")

    async def adopt(self, directory: Path) -> Result | None:
        return None

    async def adopt_smoke(self, directory: Path) -> SmokeResult | None:
        return None

    def prune(self, reason: str) -> None:
        """It prints no loss, so nobody asks."""

    def stop(self, reason: str) -> None:
        """It ends soon by itself."""


# ---- the night ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Night:
    """What was seen from outside; the rest is in the workspace."""

    workspace: Path
    model: ScriptedModel
    slot: NightSlot
    events: tuple[Event, ...]
    code: int
    seconds: float

    @property
    def journal(self) -> Path:
        return self.workspace / ".autoresearch" / "journal.db"

    def rows(self, sql: str) -> list[sqlite3.Row]:
        """Ask the journal's file."""
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return db.execute(sql).fetchall()


def live(folder: Path, candidates: int, seed: int = 1) -> Night:
    """Play a night of so many children in `folder`. ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL are set meanwhile."""
    workspace = folder / "work"
    create(workspace)
    text = folder / "text"
    text.mkdir()
    for number in range(40):
        (text / f"{number}.txt").write_text(f"Document {number} speaks of many things.\n" * 60)
    overrides = {
        "profile": "cpu",
        "data.source": str(text),
        "data.sequence_length": "64",
        "data.vocabulary": "300",
        "data.eval_tokens": "1024",
        "acceptance.baseline_repeats": "3",
        "acceptance.max_repeats": "2",
        "llm.proposer": "claude",
        "llm.fallback_model": "claude-haiku-5-5",
        "llm.timeout": "1.5",
        "llm.backoff": "0.1",
        "stop.candidates": str(candidates),
        "stop.dollars": str(CAP),
    }
    slot, events = NightSlot(seed), list[Event]()
    started = time.monotonic()
    with ScriptedModel(seed, workspace / ".autoresearch" / "journal.db") as model:
        before = {
            name: os.environ.get(name) for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
        }
        os.environ |= {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.url}
        try:
            code = serve(
                workspace,
                overrides=overrides,
                allow_weak_sandbox=True,
                on_event=events.append,
                slot=slot,
            )
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
    return Night(workspace, model, slot, tuple(events), code, time.monotonic() - started)


def committed(journal: Path) -> float:
    """Dollars that are paid or reserved at this moment, as the file has it."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5)) as db:
        paid = db.execute("SELECT total(dollars) FROM llm_call").fetchone()
    return float(paid[0])


def text_of(message: dict[str, object]) -> str:
    """The text of one message of a request."""
    content = message["content"]
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "".join(block["text"] for block in content)


def main() -> None:
    """Play a night and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=300, help="children with a verdict")
    parser.add_argument("--seed", type=int, default=1, help="of the model's faults and the scores")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        night = live(Path(folder), asked.candidates, asked.seed)
        gaps = sorted(night.slot.gaps)
        kinds = Counter(name for name, _ in night.model.given)
        by_status = {
            row[0]: row[1] for row in night.rows("SELECT status, count(*) FROM llm_call GROUP BY 1")
        }
        verdicts = {
            f"{row[0]} {row[1]}": row[2]
            for row in night.rows(
                "SELECT proposer, verdict, count(*) FROM candidate GROUP BY 1, 2 ORDER BY 1, 2"
            )
        }
        paid = night.rows("SELECT dollars FROM run")[0][0]
    print(f"ended with {night.code} after {night.seconds:.0f} s")
    print(f"trainings              {len(gaps) + 1}")
    print(
        f"gap between trainings  median {statistics.median(gaps):.3f} s, p99 {gaps[int(len(gaps) * 0.99)]:.3f} s, "
        f"max {gaps[-1]:.3f} s"
    )
    print(
        f"dollars                {paid:.2f}, at most {max(night.model.committed):.2f} of {CAP:.2f}"
    )
    print(f"requests               {json.dumps(dict(kinds.most_common()))}")
    print(f"calls                  {json.dumps(by_status)}")
    print(f"candidates             {json.dumps(verdicts)}")


if __name__ == "__main__":
    main()
