"""`autoresearch show` on a real repository and journal: for people, for pipes and for programs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evolve.family import ANSWER, KEY, Family


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Family]:
    made = Family(tmp_path_factory.mktemp("show") / "work")
    yield made
    made.close()


def show(family: Family, *argv: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tui", "-C", str(family.folder), "show", *argv]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_the_page_says_everything_in_words(family: Family) -> None:
    done = show(family, "#2")
    assert done.returncode == 0, done.stderr
    for told in ("#2 gated SiLU for squared ReLU", "kept  distinct and better", "mutate by claude",
                 "mutate-3f", "Hypothesis", "WARMDOWN: 0.75 -> 0.6", "2.1000", "step 1 loss 8.0"):  # fmt: skip
        assert told in done.stdout
    assert "\x1b" not in done.stdout
    assert KEY[:10] not in done.stdout


def test_a_diff_can_be_applied(family: Family, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(family.text(1))
    patch = show(family, "2", "--diff").stdout
    subprocess.run(["git", "apply", "-"], input=patch, text=True, cwd=tmp_path, check=True)
    assert (tmp_path / "train.py").read_text() == family.text(2)
    other = show(family, "4", "--diff", "2").stdout
    assert "-WARMDOWN = 0.75" in other
    assert "silu" not in other


def test_each_part_alone_and_several_in_order(family: Family) -> None:
    assert show(family, "2", "--source").stdout == family.text(2)
    assert show(family, "2", "--answer").stdout == ANSWER
    asked = show(family, "2", "--prompt").stdout
    assert "--- system\nYou improve train.py.\n--- user\nParent #1:" in asked
    assert show(family, "2", "--log").stdout == "step 0 loss 8.9\n…\nstep 1 loss 8.0\n"
    both = show(family, "2", "--log", "--answer").stdout
    assert both.index("SEARCH") < both.index("step 0")


def test_what_is_not_there_is_a_sentence_and_its_code(family: Family) -> None:
    for argv, code, told in (
        (("99",), 2, "There is no candidate #99."),
        (("x",), 2, "“x” is no candidate"),
        (("1", "--diff"), 3, "#1 has no parent"),
        (("2", "--diff", "2"), 3, "the same as the other one"),
        (("3", "--answer"), 3, "No language model was asked for #3; builtin made it (tune)."),
        (("4", "--log"), 3, "#4 has printed nothing"),
    ):
        done = show(family, *argv)
        assert (done.returncode, done.stdout) == (code, "")
        assert told in done.stderr


def test_programs_get_the_texts_to_the_character(family: Family) -> None:
    found = json.loads(show(family, "2", "--json").stdout)
    assert found.keys() == {"candidate", "belief", "experiments", "smokes", "worktree"}
    assert found["candidate"]["parents"] == [1]
    assert found["worktree"] == str(family.folder / ".autoresearch/worktrees/2")
    every = ("--json", "--diff", "--prompt", "--answer", "--log", "--source")
    found = json.loads(show(family, "2", *every).stdout)
    assert found["source"] == family.text(2)
    assert found["calls"][0]["answer"] == ANSWER
    assert found["calls"][0]["turns"][0] == {"role": "system", "text": "You improve train.py."}
    assert found["log"]["text"].startswith("\x1b[31m")
    assert found["diff"].startswith("--- a/train.py\n+++ b/train.py\n")
    assert KEY[:10] not in json.dumps(found)


def test_a_repository_that_was_made_anew_is_told(tmp_path: Path) -> None:
    gone = Family(tmp_path / "work")
    gone.close()
    shutil.rmtree(gone.folder / ".git")
    subprocess.run(["git", "init", "-q", str(gone.folder)], check=True)
    done = show(gone, "2", "--source")
    assert done.returncode == 1
    assert "the repository was made anew" in done.stderr
    assert show(gone, "2").returncode == 0  # the journal still tells the rest
