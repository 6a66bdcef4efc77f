"""Crash points: every name is passed somewhere in the sources, every passage has a name, and an armed one kills."""

import ast
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from harness.crashpoints import POINTS, VARIABLE, armed

ROOT = Path(__file__).parents[2]


def called() -> list[str]:
    """The names with which `reached` is called, in every file of the three floors."""
    names = []
    for floor in ("harness", "evolve", "tui"):
        for path in (ROOT / floor).rglob("*.py"):
            source = path.read_text()
            if not re.search(r"from harness\.crashpoints import .*\breached\b", source):
                continue  # `evolve.kinship` has a function of that name
            for node in ast.walk(ast.parse(source)):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "reached"
                ):
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), f"{path}:{node.lineno} computes a name"
                    names.append(str(name.value))
    return names


def test_points_and_calls_agree() -> None:
    assert Counter(called()) == Counter(POINTS), "one line in POINTS for each call of reached()"


def test_what_is_armed_is_read_from_the_environment() -> None:
    assert armed("") == ("", 0)
    assert armed("slot.after-spawn") == ("slot.after-spawn", 1)
    assert armed("slot.after-spawn:3") == ("slot.after-spawn", 3)
    with pytest.raises(ValueError, match="names no crash point"):
        armed("slot.after-spwan")


@pytest.mark.parametrize(("passage", "said"), [(1, ""), (2, "1"), (3, "12")])
def test_the_process_dies_at_the_passage_that_is_armed(passage: int, said: str) -> None:
    program = (
        "from harness.crashpoints import reached\n"
        "for n in (1, 2):\n"
        "    reached('slot.after-spawn'); reached('slot.before-spawn')\n"
        "    print(n, end='', flush=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {VARIABLE: f"slot.after-spawn:{passage}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == said
    assert ended.returncode == (0 if passage == 3 else -signal.SIGKILL)
