"""Bad input: one sentence that says what is wrong and what to do, the right exit code, and nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from evolve.launch import detach
from evolve.model import EvolveError, NothingToDo, UsageError
from tui.cli import main

SCRIPT = "import prepare\n\nDEPTH = 2\n"
RUN = ("run", "--headless", "--allow-weak-sandbox")

Arrange = Callable[[Path], object]


def git(folder: Path, *argv: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *argv], capture_output=True, text=True, check=True
    ).stdout


def settings(text: str) -> Arrange:
    return lambda folder: (folder / "autoresearch.toml").write_text(text)


def script(text: str) -> Arrange:
    def arrange(folder: Path) -> None:
        (folder / "train.py").write_text(text)
        git(folder, "commit", "-qam", "edit")

    return arrange


def nothing(folder: Path) -> None:
    """The workspace as it is."""


def without_script(folder: Path) -> None:
    git(folder, "rm", "-q", "train.py")
    git(folder, "commit", "-qm", "gone")


def without_text(folder: Path) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus" / "picture.png").write_bytes(b"\x89PNG")


def no_journal(folder: Path) -> None:
    (folder / ".autoresearch").mkdir()
    (folder / ".autoresearch" / "journal.db").write_bytes(b"this is no data base" * 100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace that could run."""
    workspace = tmp_path / "work"
    workspace.mkdir()
    git(workspace, "init", "-q", "-b", "main")
    (workspace / "train.py").write_text(SCRIPT)
    git(workspace, "add", "train.py")
    git(workspace, "commit", "-qm", "start")
    return workspace


@pytest.fixture
def say(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Run the command in this process: its exit code, and the one sentence on stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*argv: str) -> tuple[int, str]:
        try:
            code = main(argv)
        except SystemExit as left:
            code = int(left.code or 0)
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return code, said

    return run


@dataclass(frozen=True)
class Case:
    name: str
    arrange: Arrange
    argv: tuple[str, ...]
    code: int
    words: tuple[str, ...]


CASES = (
    Case("unknown key", settings("[population]\nsizes = 3\n"), RUN, 2, ("autoresearch.toml", "line 2", "sizes", "population.size")),
    Case("unknown section", settings("[populations]\nsize = 3\n"), RUN, 2, ("populations", "population")),
    Case("wrong type", settings('[population]\nsize = "many"\n'), RUN, 2, ("population.size", "many")),
    Case("out of range", settings("[population]\nsize = 0\n"), RUN, 2, ("population.size",)),
    Case("no TOML", settings("[population\nsize = 3\n"), RUN, 2, ("autoresearch.toml", "line 1")),
    Case("unknown key in --set", nothing, (*RUN, "--set", "population.sise=3"), 2, ("population.sise", "population.size")),
    Case("wrong type in --set", nothing, (*RUN, "--set", "population.size=x"), 2, ("population.size",)),
    Case("no script", without_script, RUN, 1, ("train.py",)),
    Case("a script that does not parse", script("def f(:\n"), RUN, 1, ("train.py", "line 1")),
    Case("changes not committed", lambda f: (f / "train.py").write_text("x = 1\n"), RUN, 1, ("train.py", "commit")),
    Case("detached checkout", lambda f: git(f, "checkout", "-q", "--detach"), RUN, 1, ("branch",)),
    Case("no name for a run", nothing, (*RUN, "--name", "My Run"), 2, ("My Run", "lower-case")),
    Case("data folder without text", without_text, (*RUN, "--set", "data.source=corpus"), 1, ("corpus",)),
    Case("data folder that is not there", nothing, (*RUN, "--set", "data.source=/no/where"), 1, ("/no/where",)),
    Case("status without a run", nothing, ("status",), 3, ("autoresearch run",)),
    Case("results without a run", nothing, ("results", "--json"), 3, ("autoresearch run",)),
    Case("logs without a run", nothing, ("logs",), 3, ("autoresearch run",)),
    Case("pause without a run", nothing, ("pause",), 3, ("autoresearch run",)),
    Case("resume without a run", nothing, ("resume",), 3, ("autoresearch run",)),
    Case("stop without a run", nothing, ("stop", "--now"), 3, ("autoresearch run",)),
    Case("set without a run", nothing, ("set", "population.size", "9"), 3, ("autoresearch run",)),
    Case("a journal that is none", no_journal, ("status",), 1, ("journal.db",)),
    Case("inject a missing file", nothing, ("inject", "/no/where.py"), 2, ("/no/where.py",)),
    Case("inject a program", nothing, ("inject", sys.executable), 2, ("UTF-8",)),
    Case("inject a novel", lambda f: (f / "long.py").write_text("# long\n" * 200_000), ("inject", "long.py"), 2, ("1 MiB",)),
    Case("train a missing file", nothing, ("train", "/no/where.py"), 1, ("/no/where.py",)),
    Case("app without a terminal", nothing, ("attach",), 2, ("run --headless",)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(
    case: Case, folder: Path, say: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    case.arrange(folder)
    monkeypatch.chdir(folder)
    before = git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain")
    code, said = say(*case.argv)
    assert code == case.code, said
    assert said.startswith("autoresearch: "), said
    assert said.count("\n") == 1, said
    for word in case.words:
        assert word in said
    assert (git(folder, "rev-parse", "HEAD"), git(folder, "status", "--porcelain")) == before


def test_no_git_repository(tmp_path: Path, say: Callable[..., tuple[int, str]]) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    code, said = say("-C", str(tmp_path), *RUN)
    assert code == 1
    assert "git init" in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.py"]


def test_no_commit_yet(tmp_path: Path, say: Callable[..., tuple[int, str]]) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "train.py").write_text(SCRIPT)
    code, said = say("-C", str(tmp_path), *RUN)
    assert code == 1
    assert "commit" in said


def test_init_leaves_a_folder_with_something_in_it_alone(
    folder: Path, say: Callable[..., tuple[int, str]]
) -> None:
    before = sorted(folder.iterdir())
    code, said = say("init", str(folder))
    assert code == 1
    assert "not empty" in said
    assert sorted(folder.iterdir()) == before


def test_train_names_the_line_that_does_not_parse(
    folder: Path, say: Callable[..., tuple[int, str]]
) -> None:
    (folder / "mine.py").write_text("x = 1\ny = = 2\n")
    code, said = say("-C", str(folder), "train", str(folder / "mine.py"))
    assert code == 1
    assert "line 2" in said


# ---- an engine in the background reports its fault to whoever started it ------------------------------------


def test_a_background_engine_passes_on_what_is_wrong(folder: Path) -> None:
    (folder / "train.py").write_text("x = 1\n")
    with pytest.raises(EvolveError, match=r"train\.py") as failed:
        detach(folder, ["--allow-weak-sandbox"])
    assert failed.value.exit_code == 1
    assert "autoresearch: " in (folder / ".autoresearch" / "engine.log").read_text()


def test_a_background_engine_passes_on_wrong_usage(folder: Path) -> None:
    with pytest.raises(UsageError, match="population"):
        detach(folder, ["--set", "population.size=none"])


def test_an_older_fault_in_the_log_is_not_reported_again(folder: Path) -> None:
    state = folder / ".autoresearch"
    state.mkdir()
    (state / "engine.log").write_text("autoresearch: an old fault\n")
    with pytest.raises(UsageError) as failed:
        detach(folder, ["--no-such-option"])
    assert "no option --no-such-option" in str(failed.value)
    assert not isinstance(failed.value, NothingToDo)
