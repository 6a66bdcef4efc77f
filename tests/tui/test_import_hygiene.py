"""What must be there at once loads nothing heavy: `--help`, and `status` on a run."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "rich", "torch", "anthropic", "pydantic", "git", "numpy", "tokenizers", "pyarrow", "asyncio", "huggingface_hub")  # fmt: skip
GOAL = 0.120  # seconds on a quiet machine
SLACK = 2.0  # a busy machine is slower by its caches too

LOADED = """
import json, sys
from tui.cli import main
sys.argv = ["autoresearch", *sys.argv[1:]]
try:
    code = main()
except SystemExit as left:
    code = left.code
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
sys.exit(code)
"""


def loaded(*argv: str, cwd: Path, code: int = 0) -> set[str]:
    """The top-level packages that a command has imported by its end."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, *argv], capture_output=True, text=True, cwd=cwd, timeout=60
    )
    assert ended.returncode == code, ended.stderr
    return set(json.loads(ended.stderr.splitlines()[-1]))


def median_seconds(*argv: str, cwd: Path) -> float:
    """Processor time of a command: unlike the time on the wall, it does not depend on who else works.

    With byte code, as an installation has it: else the length of our sources would be measured.
    """
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ["PYTHONPYCACHEPREFIX"] = str(cwd / "bytecode")
    line = [sys.executable, "-m", "tui", *argv]
    subprocess.run(line, capture_output=True, cwd=cwd, env=environ, timeout=60)
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(line, capture_output=True, cwd=cwd, env=environ, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(times)


@pytest.mark.parametrize("argv", [["--help"], ["run", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(argv: list[str], tmp_path: Path) -> None:
    assert not loaded(*argv, cwd=tmp_path).intersection(HEAVY)


def test_help_is_there_at_once(tmp_path: Path) -> None:
    assert median_seconds("--help", cwd=tmp_path) < GOAL * SLACK


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A workspace with a run that has only begun."""
    from evolve.journal import Journal
    from evolve.places import JOURNAL, state_folder

    with Journal.open(state_folder(tmp_path) / JOURNAL) as journal:
        journal.create_run(
            name="nov21", branch="main", base_commit="0" * 40, settings={}, fingerprint={}
        )
    return tmp_path


@pytest.mark.parametrize(
    "argv", [["status"], ["status", "--json"], ["results", "--json"], ["logs"]]
)
def test_looking_at_a_run_loads_nothing_heavy(argv: list[str], run_folder: Path) -> None:
    assert not loaded(*argv, cwd=run_folder).intersection(HEAVY)


def test_status_is_there_at_once(run_folder: Path) -> None:
    assert median_seconds("status", cwd=run_folder) < GOAL * SLACK
