"""Workspaces and engines for the fuzzer: made, started through the command line, watched, and cleared away."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evolve.workspace import create
from harness.crashpoints import VARIABLE
from tests.fuzz.schedule import Proposer, Training

ROOT = Path(__file__).parents[2]
BOOT = 40.0  # seconds within which an engine has to be at work, on however busy a machine
PEOPLE = "notes.md"  # a file of the person's own, tracked
BEGUN = re.compile(r"^(?:.*\s)?(?:Started|Resumed): ", re.MULTILINE)
AFTER = "The engine was killed (SIGKILL) a moment ago"  # a keeper's words to the next one
DOCUMENTS = 40
SETTINGS = {
    "profile": "cpu",
    "data.sequence_length": "64",
    "data.vocabulary": "300",
    "data.eval_tokens": "1024",
    "budget.tokens": "2048",
    "acceptance.baseline_repeats": "2",
    "acceptance.max_repeats": "2",
    "acceptance.confidence": "0.7",
    "population.size": "4",
    "stop.candidates": "100000",
    "scratchpad.every": "6",
    "vetting.smoke": "always",
}
# A training with real rows, scorer and sandbox, as small as they come.
REAL = {
    "scoring.audit_probes": "16",
    "scoring.champion_probes": "32",
    "vetting.smoke": "auto",
}


@dataclass
class Workshop:
    """One workspace, its engines, and what the fuzzer alone knows of it."""

    base: Path  # a folder of this episode's own
    training: Training
    proposer: Proposer
    url: str = ""  # of the language model
    settings: dict[str, str] = field(default_factory=dict)
    cache: Path | None = None  # the data sets' own; else shared by all workspaces of a campaign
    started: int = 0  # engines

    @property
    def workspace(self) -> Path:
        """The workspace."""
        return self.base / "work"

    @property
    def run(self) -> str:
        """The name of its run, which every process of a candidate has in its environment; there is only one such."""
        return f"fuzz-{hashlib.sha256(str(self.base).encode()).hexdigest()[:12]}"

    @property
    def state(self) -> Path:
        """Its `.autoresearch`."""
        return self.workspace / ".autoresearch"

    @property
    def journal(self) -> Path:
        """Its journal."""
        return self.state / "journal.db"

    @property
    def ledger(self) -> Path:
        """What was trained, by the trainings' own word."""
        return self.base / "ledger.jsonl"

    def make(self) -> None:
        """A fresh workspace with a file of the person's own in it, and text to train on."""
        create(self.workspace)
        (self.workspace / PEOPLE).write_text("Mine.\n")
        git(self.workspace, "add", PEOPLE)
        git(self.workspace, "commit", "--quiet", "--message", "My own")
        text = self.base.parent / "text"
        text.mkdir(exist_ok=True)
        for number in range(DOCUMENTS):
            words = f"Document {number} speaks of many things.\n" * 60
            (text / f"{number}.txt").write_text(words)
        self.settings = SETTINGS | {"data.source": str(text), "llm.proposer": self.proposer}
        if self.proposer == "claude":  # with room in the queue, else nothing is asked
            self.settings |= {"population.buffer": "8"}
        self.settings |= REAL if self.training == "real" else {"sandbox.level": "process"}

    def environment(self, crash: str = "", grace: float | None = None) -> dict[str, str]:
        """Of an engine."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ANTHROPIC", "FUZZ"))}
        env |= {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/fuzz/site'}",
            "AUTORESEARCH_CACHE": str(self.cache or self.base.parent / "cache"),
            "FUZZ_LEDGER": str(self.ledger),
            "FUZZ_TRAINING": self.training,
            "TMPDIR": str(self.base / "tmp"),
            "OMP_NUM_THREADS": "1",
        }
        (self.base / "tmp").mkdir(exist_ok=True)
        if self.url:
            env |= {"ANTHROPIC_API_KEY": "sk-ant-fuzz", "ANTHROPIC_BASE_URL": self.url}
        if crash:
            env[VARIABLE] = crash
        return env | ({} if grace is None else {"FUZZ_GRACE": str(grace)})

    def command(self, *argv: str) -> list[str]:
        """`autoresearch -C WORKSPACE ...`."""
        return [sys.executable, "-P", "-m", "tui", "-C", str(self.workspace), *argv]

    def start(
        self,
        crash: str = "",
        *,
        grace: float | None = None,
        anew: bool = False,
        keeper: bool = False,
    ) -> Engine:
        """Start an engine as its keeper would, for the first time or `anew`; or a keeper, which starts one itself."""
        # Said once: a run remembers how it was started, and what was set since counts more.
        given = {} if (self.state / "live.toml").exists() else self.settings
        words = [w for k, v in given.items() for w in ("--set", f"{k}={v}")]
        words += [] if self.training == "real" else ["--allow-weak-sandbox"]
        words += ["--name", self.run]
        ours, theirs = os.pipe()
        if not keeper:
            words += ["--kept", str(theirs), "--after", AFTER if anew else ""]
        self.started += 1
        log = self.base / f"engine-{self.started}.out"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.command("run", "--headless", *words),
                env=self.environment(crash, grace),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs,),
                start_new_session=True,
            )
        os.close(theirs)
        os.close(ours)  # the engine tells nobody that it has begun, as when its keeper was killed
        return Engine(process, log, time.monotonic())

    def processes(self) -> dict[int, list[str]]:
        """Every living process of this workspace, by pid, with its command line: by what it was given, not by parents."""
        base = str(self.base).encode()
        marks = (base + b"/", base + b"\0", b"AUTORESEARCH_EXPERIMENT=" + self.run.encode() + b"-")
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                if (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                    continue
                line = (folder / "cmdline").read_bytes()
                told = line + b"\0" + _quietly(folder / "environ") + _cwd(folder)
            except OSError:
                continue
            if any(mark in told for mark in marks):
                found[int(folder.name)] = line.decode("utf-8", "replace").split("\0")[:-1]
        return found

    def runners(self) -> list[int]:
        """Pids of living runners."""
        return [pid for pid, line in self.processes().items() if "tests.fuzz.runner" in line]

    def engines(self) -> list[int]:
        """Pids of living engines."""
        return [pid for pid, line in self.processes().items() if "--kept" in line]

    def helpers(self, name: str) -> list[int]:
        """Pids of living trusted processes of the harness: `meter` or `scorer`."""
        return [pid for pid, line in self.processes().items() if f"harness.{name}" in line]

    def unharvested(self) -> dict[str, dict[str, object]]:
        """Experiments (name in the ledger to result) that ended on the disk."""
        found = {}
        for path in (self.state / "experiments").glob("*/result.json"):
            name = json.loads((path.parent / "spec.json").read_text())["name"]
            found[name] = json.loads(path.read_text())
        return found


@dataclass
class Engine:
    """An engine that was started."""

    process: subprocess.Popen[bytes]
    log: Path
    started: float

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def said(self) -> str:
        """What it printed so far."""
        return self.log.read_bytes().decode("utf-8", "replace")

    def boots(self, patience: float = BOOT) -> float | None:
        """Seconds until its run went on; None when it died before, or was not there in time."""
        while time.monotonic() - self.started < patience:
            alive = self.alive
            if BEGUN.search(self.said()):
                return time.monotonic() - self.started
            if not alive:
                return None
            time.sleep(0.01)
        return None

    def ends(self, patience: float) -> bool:
        """Wait for its end; whether that came."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and wait."""
        slay(self.pid)
        self.process.wait()


def slay(*pids: int) -> None:
    """SIGKILL to processes of the fuzzer's own; those that are gone already are fine."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def git(workspace: Path, *argv: str) -> str:
    """What git says; raises when it fails."""
    return subprocess.run(
        ["git", "-C", str(workspace), *argv],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
    ).stdout


def children_of(pid: int) -> Iterator[tuple[int, str]]:
    """Children of a process, with their names."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in listed:
        try:
            yield int(child), Path(f"/proc/{child}/comm").read_text().strip()
        except OSError:
            continue


def _quietly(path: Path) -> bytes:
    try:
        return path.read_bytes() + b"\0"
    except OSError:
        return b""


def _cwd(folder: Path) -> bytes:
    try:
        return str((folder / "cwd").readlink()).encode() + b"/"
    except OSError:
        return b""
