"""A data set built in a process that ends: the same folder, the same faults, none of the memory."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from harness.apart import prepare_apart
from harness.dataset import DataConfig, prepare_dataset
from harness.spec import HarnessError

SMALL = {"sequence_length": 64, "vocabulary": 300, "eval_tokens": 1024}


def test_it_gives_the_folder_that_preparing_here_would_give(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.mkdir()
    for number in range(40):
        (text / f"{number}.txt").write_text(f"Document {number} speaks of many things.\n" * 60)
    cfg = DataConfig(source=str(text), **SMALL)
    told: list[float] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = prepare_apart(cfg, lambda message, fraction: told.append(fraction))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB
    assert told == sorted(told)
    assert prepare_dataset(cfg, lambda message, fraction: None).path == made.path


def test_its_faults_are_the_same_sentences(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="empty"):
        prepare_apart(DataConfig(source=str(tmp_path / "empty"), **SMALL), lambda *_: None)
