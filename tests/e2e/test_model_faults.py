"""A wrong key or an unknown model, from the command line: one sentence at the start, git and journal unharmed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_rehearsal import SMALL, autoresearch, git
from tests.evolve.fake_anthropic import FakeAnthropic, Fault

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]
KEY = "sk-ant-this-must-never-be-seen"


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (Fault(401, "authentication_error"), "did not accept the key in ANTHROPIC_API_KEY"),
        ({"claude-haiku-5-5": {}}, "knows no model claude-opus-5-5"),
    ],
)
def test_the_run_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict | Fault, sentence: str
) -> None:
    workspace = tmp_path / "work"
    assert autoresearch(tmp_path, "init", str(workspace)).returncode == 0
    before = git(workspace, "rev-parse", "main")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with FakeAnthropic() as server:
        server.models = models
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        ran = autoresearch(workspace, "run", "--headless", *SMALL)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert sentence in ran.stderr
    assert "--set llm.proposer=builtin" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert git(workspace, "rev-parse", "main") == before
    kept = b"".join(p.read_bytes() for p in (workspace / ".autoresearch").rglob("*") if p.is_file())
    assert KEY.encode() not in kept + ran.stdout.encode() + ran.stderr.encode()

    # The same workspace works at once without the model.
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    status = autoresearch(workspace, "status")
    assert status.returncode == 0
    assert sentence in status.stdout
    assert (
        os.fspath(workspace)
        not in subprocess.run(
            ["git", "-C", str(workspace), "status", "--porcelain"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
