"""`autoresearch run` with a real engine: in the background, in this process, interrupted, and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.pty_harness import Terminal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# It takes one batch and rests until it is stopped: these tests are about the engine's life, not about scores.
SCRIPT = """import signal

from prepare import TIME_BUDGET, MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader

next(iter(make_dataloader(Tokenizer.from_directory(), 1, MAX_SEQ_LEN, "train")))
signal.pause()
"""
# A data set that is made in about a second.
SMALL = (
    "data.local_mb=1",
    "data.vocabulary=300",
    "data.sequence_length=64",
    "data.eval_tokens=1024",
)


def line(folder: Path, *argv: str, values: tuple[str, ...] = SMALL) -> list[str]:
    sets = [word for value in values for word in ("--set", value)] if argv[0] == "run" else []
    return [sys.executable, "-m", "tui", "-C", str(folder), *argv, *sets]


def autoresearch(
    folder: Path, *argv: str, **more: tuple[str, ...]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line(folder, *argv, **more),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def git(folder: Path, *argv: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *argv], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A workspace whose engine is ended whatever the test did."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    git(workspace, "init", "-q", "-b", "main")
    (workspace / "train.py").write_text(SCRIPT)
    git(workspace, "add", "train.py")
    git(workspace, "commit", "-qm", "start")
    yield workspace
    autoresearch(workspace, "stop", "--now")


def ended(folder: Path) -> str:
    """Wait until the engine has ended; the story that it leaves."""
    return autoresearch(folder, "logs", "-f").stdout


def test_a_life_in_the_background(folder: Path) -> None:
    started = autoresearch(folder, "run", "--detach")
    assert started.returncode == 0, started.stderr
    for words in (
        "REHEARSAL",
        "Budget",
        "Data",
        "Sandbox",
        "Proposer",
        "Ends after  12 candidates",
    ):
        assert words in started.stdout  # shown beforehand
    assert "runs in the background" in started.stdout
    assert "Engine      running" in autoresearch(folder, "status").stdout

    second = autoresearch(folder, "run", "--headless")
    assert second.returncode == 1
    assert "already" in second.stderr
    assert second.stderr.count("\n") == 1

    assert autoresearch(folder, "train", values=()).returncode == 1  # the slot is taken
    assert autoresearch(folder, "set", "population.size", "3").stdout.startswith(
        "population.size = 3"
    )
    refused = autoresearch(folder, "set", "budget.tokens", "5")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "compar" in refused.stderr

    assert autoresearch(folder, "stop", "--now").returncode == 0
    assert "Stopped by" in ended(folder).splitlines()[-1]
    assert "stopped: Stopped by" in autoresearch(folder, "status").stdout


def test_an_interrupted_run_goes_on(folder: Path) -> None:
    before = git(folder, "rev-parse", "main")
    running = subprocess.Popen(
        line(folder, "run", "--headless"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert any("#1 trains" in row for row in iter(running.stdout.readline, ""))
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "autoresearch: Stopped; `autoresearch run` goes on from here."
    assert "Traceback" not in said
    assert (git(folder, "rev-parse", "main"), git(folder, "status", "--porcelain", "-uno")) == (
        before,
        "",
    )

    changed = autoresearch(folder, "run", "--headless", values=(*SMALL, "budget.tokens=4096"))
    assert changed.returncode == 1
    assert "budget" in changed.stderr
    assert changed.stderr.count("\n") == 1

    again = autoresearch(folder, "run", "--detach")
    assert again.returncode == 0, again.stderr
    assert "goes on after 1 candidate" in again.stdout
    story = autoresearch(folder, "logs").stdout
    assert story.count("begins at") == 1
    assert "Resumed:" in story


def test_a_reader_that_leaves_does_not_end_the_run(folder: Path) -> None:
    running = subprocess.Popen(
        line(folder, "run", "--headless"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert any("Started:" in row for row in iter(running.stdout.readline, ""))
    running.stdout.close()
    assert autoresearch(folder, "pause").returncode == 0
    assert any("goes on in silence" in row for row in iter(running.stderr.readline, ""))
    assert "Engine      paused" in autoresearch(folder, "status").stdout
    assert autoresearch(folder, "stop", "--now").returncode == 0
    assert running.wait(30) == 0
    running.stderr.close()


def test_in_a_terminal_the_engine_goes_on_without_the_app(folder: Path) -> None:
    with Terminal(
        line(folder, "run"),
        columns=100,
        rows=30,
        env={"AUTORESEARCH_CACHE": os.environ["AUTORESEARCH_CACHE"]},
    ) as terminal:
        terminal.expect(b"Ends after", 30)
        terminal.expect(b"detach", 30)
        terminal.hang_up()  # as when the connection breaks
        assert terminal.wait() != 0
    assert "Engine      running" in autoresearch(folder, "status").stdout
    with Terminal(line(folder, "attach"), columns=100, rows=30) as terminal:
        terminal.expect(b"detach", 30)
        terminal.type(b"q")
        assert terminal.wait() == 0
    assert "Engine      running" in autoresearch(folder, "status").stdout


# ---- faults that need a machine of their own ------------------------------------------------------------------


def on_a_full_disk(place: Path, size: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command while `place` is a file system of `size`, in a mount namespace that ends with it."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a mount namespace")
    place.mkdir(exist_ok=True)
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(place), *argv],
        capture_output=True,
        text=True,
        timeout=60,
    )


def last(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr.splitlines()[-1]


def test_a_full_disk_under_the_journal(folder: Path) -> None:
    said = last(on_a_full_disk(folder / ".autoresearch", "64k", line(folder, "run", "--headless")))
    assert said.startswith("autoresearch: The disk is full")
    assert "free some space" in said
    assert git(folder, "status", "--porcelain", "-uno") == ""


def test_a_full_disk_under_the_data(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "autoresearch.toml").write_text("[data]\nlocal_mb = 1\n")
    cache = tmp_path / "cache"
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    said = last(on_a_full_disk(cache, "300k", line(folder, "prepare", values=())))
    assert "is full" in said
    assert "free some space" in said


def test_a_model_is_asked_for_without_a_key(folder: Path) -> None:
    said = last(autoresearch(folder, "run", "--headless", values=(*SMALL, "llm.proposer=claude")))
    assert "ANTHROPIC_API_KEY" in said


# ---- one training, and looking at the machine ------------------------------------------------------------------

TINY = """import torch

from prepare import MAX_SEQ_LEN, Tokenizer, evaluate_bpb, make_dataloader

torch.set_num_threads(1)
tokenizer = Tokenizer.from_directory()
model = torch.nn.Sequential(
    torch.nn.Embedding(tokenizer.get_vocab_size(), 8),
    torch.nn.Linear(8, tokenizer.get_vocab_size()),
)
for inputs, targets, epoch in make_dataloader(tokenizer, 4, MAX_SEQ_LEN, "train"):
    pass
print(f"val_bpb: {evaluate_bpb(model, tokenizer, 4):.6f}")
"""
PEEKS = """
class Peeks(torch.nn.Sequential):
    def forward(self, x):
        following = torch.nn.functional.one_hot(x.roll(-1, 1), tokenizer.get_vocab_size())
        return super().forward(x) + 20.0 * following
"""
TOML = """[budget]
tokens = 2048
[data]
source = "local"
local_mb = 1
vocabulary = 300
sequence_length = 64
eval_tokens = 1024
"""


def test_one_training_is_scored_and_leaves_a_log(folder: Path) -> None:
    (folder / "autoresearch.toml").write_text(TOML)
    (folder / "mine.py").write_text(TINY)
    trained = autoresearch(folder, "train", str(folder / "mine.py"), "--seed", "3", values=())
    assert trained.returncode == 0, trained.stdout + trained.stderr
    said = dict(row.split(":", 1) for row in trained.stdout.splitlines()[1:])
    assert 5 < float(said["val_bpb"]) < 12  # an untrained model: about log2(300) bits a token
    assert said["sandbox"].strip() in {"bubblewrap", "landlock", "process"}
    assert said["audit"].strip().startswith("passed")
    assert "12 places" in said["audit_figures"]  # of 16 rows
    assert "val_bpb:" in Path(said["log"].strip()).read_text()
    assert autoresearch(folder, "status").returncode == 3  # no run has begun


def test_a_score_that_looks_ahead_is_void(folder: Path) -> None:
    (folder / "autoresearch.toml").write_text(TOML)
    peeks = TINY.replace("model = torch.nn.Sequential(", "model = Peeks(").replace(
        "tokenizer = Tok", PEEKS + "\n\ntokenizer = Tok"
    )
    (folder / "mine.py").write_text(peeks)
    trained = autoresearch(folder, "train", str(folder / "mine.py"), "--audit", "100", values=())
    assert trained.returncode == 1, trained.stdout + trained.stderr
    said = dict(row.split(":", 1) for row in trained.stdout.splitlines()[1:])
    assert said["audit"].strip().startswith("VOID")
    assert "12 places" in said["audit_figures"]  # of 16 rows
    assert "val_bpb" not in said


def test_a_training_without_a_score_says_why(folder: Path) -> None:
    (folder / "autoresearch.toml").write_text(TOML)
    (folder / "mine.py").write_text("import prepare\nraise ValueError('too deep')\n")
    trained = autoresearch(folder, "train", str(folder / "mine.py"), values=())
    assert trained.returncode == 1
    assert "crash:" in trained.stdout
    assert "ValueError: too deep" in trained.stdout


def test_data_is_prepared_and_described(folder: Path) -> None:
    (folder / "autoresearch.toml").write_text(TOML)
    prepared = autoresearch(folder, "prepare")
    assert prepared.returncode == 0, prepared.stderr
    assert "Ready: local text" in prepared.stdout
    assert "64 tokens, vocabulary 300" in prepared.stdout
    path = Path(prepared.stdout.split("Folder: ")[1].splitlines()[0])
    assert (path / "manifest.json").is_file()


def test_the_doctor_looks_at_everything_and_tells_no_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    found = autoresearch(folder, "doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(found.stdout)}
    assert set(findings) >= {"Python", "torch", "GPU", "Sandbox", "Workspace", "Settings", "API key", "Data", "Disk", "Terminal"}  # fmt: skip
    assert findings["Workspace"]["state"] == "ok"
    assert "ANTHROPIC_API_KEY is set" in findings["API key"]["found"]
    assert "very-secret" not in found.stdout + found.stderr
    assert found.returncode == any(finding["state"] == "bad" for finding in findings.values())


def test_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_text("[population]\nsise = 3\n")
    found = autoresearch(tmp_path, "doctor")
    assert found.returncode == 1
    assert "git init" in found.stdout
    assert "population.size" in found.stdout
