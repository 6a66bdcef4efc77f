"""The research program that is shipped: it reaches a model whole, and names what the file really has."""

from __future__ import annotations

import re
from pathlib import Path

from evolve.propose.prompts import PROGRAM_LIMIT
from evolve.text import paragraphs

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (ROOT / "program.md").read_text()
SCRIPT = (ROOT / "trainer" / "train.py").read_text()


def test_a_model_is_sent_all_of_it() -> None:
    assert len(paragraphs(PROGRAM)) <= PROGRAM_LIMIT
    assert PROGRAM.count("\n") <= 220


def test_every_constant_and_function_that_it_names_is_in_the_file() -> None:
    named = set(
        re.findall(r"`(?:GPT\.)?([A-Z][A-Z_]+|[A-Z][a-z]+[A-Z]\w+|[a-z]+_[a-z_]+)\b", PROGRAM)
    )
    assert {"SIZES", "make_optimizers", "muon_update", "BATCH_RAMP"} <= named
    assert {name for name in named - {"val_bpb"} if not re.search(rf"\b{name}", SCRIPT)} == set()
