"""The command line itself: help, versions, nearest names, exit codes, pipes; the real command in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.cli import build_parser, parse
from tui.commands.parsing import workspace
from tui.commands.run import Options, options

LISTED = ("run", "status", "results", "trends", "operators", "scratchpad", "prompts", "pause", "resume", "stop", "set", "inject", "drop", "pin", "unpin", "ban", "unban", "boost", "remeasure", "approve", "reject", "move", "kill", "prepare", "train", "doctor", "init", "logs")  # fmt: skip


def autoresearch(*argv: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
    )


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which a wrong command line is refused."""
    with pytest.raises(SystemExit) as left:
        parse(argv)
    assert left.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("autoresearch: ")
    assert said.err.count("\n") == 1
    return said.err


# ---- help -----------------------------------------------------------------------------------------------


def test_help_lists_every_command_and_the_exit_codes(tmp_path: Path) -> None:
    shown = autoresearch("--help", cwd=tmp_path)
    assert shown.returncode == 0
    for name in LISTED:
        assert f"\n    {name} " in shown.stdout
    assert "attach" not in shown.stdout
    assert "130 interrupted" in shown.stdout


@pytest.mark.parametrize("name", [*LISTED, "attach"])
def test_every_command_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse([name, "--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert f"example:\n  autoresearch {name}" in shown
    assert "exit codes: 0 done" in shown


@pytest.mark.parametrize("name", [*LISTED, "attach"])
def test_the_example_is_a_command_line_that_parses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    with pytest.raises(SystemExit):
        parse([name, "--help"])
    example = capsys.readouterr().out.split("example:\n  autoresearch ")[1].splitlines()[0]
    assert parse(shlex.split(example.split(" | ")[0])).run is not None


def test_no_help_line_is_wider_than_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert max(map(len, build_parser().format_help().splitlines())) <= 100


def test_version(tmp_path: Path) -> None:
    shown = autoresearch("--version", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.split()[0] == "autoresearch"
    assert shown.stdout.split()[1][0].isdigit()


# ---- wrong words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["statsu"], ["no command “statsu”", "did you mean “status”?"]),
        (["qqqq"], ["no command “qqqq”"]),
        (["run", "--hedless"], ["no option --hedless", "did you mean “--headless”?"]),
        (["run", "--target-bpb=1"], ["no option --target-bpb", "“--target”"]),
        (["results", "--sort", "score"], ["--sort", "score", "bpb"]),
        (["status", "now"], ["“now” is one argument too many"]),
        (["run", "--set", "population.size"], ["KEY=VALUE", "population.size=12"]),
        (["run", "--max", "many"], ["--max", "many", "whole number"]),
        (["run", "--max", "0"], ["--max", "more than 0"]),
        (["run", "--hours", "-1"], ["--hours", "more than 0"]),
        (["run", "--dollars", "nan"], ["--dollars", "no number"]),
        (["train", "--seed", "x"], ["--seed"]),
        (["set", "population.size"], ["VALUE"]),
        (["init"], ["DIR"]),
    ],
)
def test_a_wrong_word_gets_one_sentence(
    argv: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(argv, capsys)
    assert "See `autoresearch" in said
    for word in words:
        assert word in said


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no option --head" in refused(["run", "--head"], capsys)


# ---- what the options mean --------------------------------------------------------------------------------


def test_stop_rules_become_settings() -> None:
    line = [
        "run",
        "--max",
        "5",
        "--hours",
        "0.5",
        "--dollars",
        "2",
        "--target",
        "0.97",
        "--name",
        "a",
    ]
    chosen = options(parse(line))
    assert dict(chosen.overrides) == {
        "stop.candidates": "5",
        "stop.hours": "0.5",
        "stop.dollars": "2",
        "stop.target_bpb": "0.97",
    }
    assert chosen.name == "a"


def test_a_value_may_hold_an_equals_sign() -> None:
    chosen = options(parse(["run", "--set", "llm.base_url=http://h/?a=b"]))
    assert chosen.overrides == (("llm.base_url", "http://h/?a=b"),)


def test_options_survive_the_way_into_the_background() -> None:
    chosen = Options((("population.size", "12"), ("stop.hours", "1")), "night", True)
    assert options(parse(["run", *chosen.argv()])) == chosen


# ---- the workspace --------------------------------------------------------------------------------------


def test_the_workspace_is_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    inside = tmp_path / "trainer" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert workspace(parse(["status"])) == tmp_path


@pytest.mark.parametrize("line", [["-C", "{}", "status"], ["status", "-C", "{}"]])
def test_the_workspace_may_be_named_before_and_after_the_command(
    line: list[str], tmp_path: Path
) -> None:
    assert workspace(parse([word.format(tmp_path) for word in line])) == tmp_path


def test_a_workspace_that_does_not_exist(tmp_path: Path) -> None:
    ended = autoresearch("-C", "nowhere", "status", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert (
        ended.stderr == "autoresearch: There is no folder nowhere; name an existing one with -C.\n"
    )


# ---- pipes, terminals, faults ---------------------------------------------------------------------------


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    script = f"{sys.executable} -m tui --help | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_unexpected_fault_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    """A journal that is a folder's fifo would be a fault of ours; here one is provoked by a broken install."""
    broken = tmp_path / "broken"
    (broken / "sqlite3").mkdir(parents=True)
    (broken / "sqlite3" / "__init__.py").write_text("raise RuntimeError('half an installation')\n")
    state = tmp_path / ".autoresearch"
    state.mkdir()
    ended = autoresearch("status", cwd=tmp_path, PYTHONPATH=str(broken))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "RuntimeError: half an installation" in ended.stderr
    assert str(state / "crash.log") in ended.stderr
    assert "Traceback" in (state / "crash.log").read_text()


def test_debugging_shows_the_traceback(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / "sqlite3").mkdir(parents=True)
    (broken / "sqlite3" / "__init__.py").write_text("raise RuntimeError('half an installation')\n")
    ended = autoresearch("status", cwd=tmp_path, PYTHONPATH=str(broken), AUTORESEARCH_DEBUG="1")
    assert "Traceback" in ended.stderr
