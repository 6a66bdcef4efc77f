"""What a candidate prints is read leniently, for display only."""

from __future__ import annotations

import math

import pytest

from harness import live

ANCESTOR = (
    "step 00042 (14.2%) | loss: 5.123456 | lrm: 1.00 | dt: 301ms | tok/sec: 1,741,834 | mfu: 39.8% "
    "| epoch: 1 | remaining: 257s    "
)


def test_the_ancestors_live_line() -> None:
    assert live.parse_step(ANCESTOR) == live.Step(42, 5.123456, 1741834.0, 39.8)


@pytest.mark.parametrize(
    ("line", "loss", "speed"),
    [
        ("step: 7 train_loss=2.5 tokens/s=1200", 2.5, 1200.0),
        ("Step 7 | loss 2.5e-1 | toks/sec: 3", 0.25, 3.0),
        ("step 7 loss: nan tok/s: 12", math.nan, 12.0),
        ("step 7 tok/sec: 1_000", None, 1000.0),
    ],
)
def test_forks_print_otherwise(line: str, loss: float | None, speed: float) -> None:
    step = live.parse_step(line)
    assert step is not None
    assert step.step == 7
    assert step.tokens_per_second == speed
    assert step.loss == pytest.approx(loss, nan_ok=True) if loss is not None else step.loss is None


@pytest.mark.parametrize(
    "line", ["", "loss: 3", "step 3", "footstep 3", "step 1 loss: 2" + " " * 2000]
)
def test_other_lines_are_none(line: str) -> None:
    assert live.parse_step(line) is None


def test_lines_that_overwrite_each_other_are_all_read() -> None:
    text = "".join(f"\rstep {n:05d} | loss: {n}.5" for n in range(4))
    assert [step.loss for step in live.parse_steps(text)] == [0.5, 1.5, 2.5, 3.5]


SUMMARY = """---
val_bpb:          9.9
---
val_bpb:          0.997900
training_seconds: 300.1
peak_vram_mb:     45060.2
my_own_key:       a b
"""


def test_the_last_summary_block_counts_with_whatever_keys() -> None:
    summary = live.parse_summary("noise\n" + SUMMARY + "\nval_bpb: 0.1\n")
    assert summary["val_bpb"] == "0.997900"
    assert summary["my_own_key"] == "a"
    assert live.summary_number(summary, "peak_vram_mb") == 45060.2


def test_lines_of_a_fork_inside_the_block_are_passed_over() -> None:
    block = "---\nval_bpb:          0.99\nattention backend: sdpa\n  note\ndepth: 8\n\nbye: now\n"
    assert live.parse_summary(block) == {"val_bpb": "0.99", "depth": "8"}


def test_a_fail_on_the_overwritten_line_leaves_the_step_readable() -> None:
    failed = live.parse_steps("\r" + ANCESTOR.replace("5.123456", "nan") + "FAIL\n")
    assert [(step.step, math.isnan(step.loss or 0)) for step in failed] == [(42, True)]


def test_no_summary_is_an_empty_one() -> None:
    assert live.parse_summary("val_bpb: 1.0") == {}
    assert live.summary_number({}, "depth") is None
    assert live.summary_number({"depth": "nan"}, "depth") is None
    assert live.summary_number({"depth": "eight"}, "depth") is None


def test_a_summary_cannot_grow_without_bound() -> None:
    text = "---\n" + "".join(f"key{n}: {'x' * 1000}\n" for n in range(1000))
    summary = live.parse_summary(text)
    assert len(summary) == live.SUMMARY_KEYS
    assert max(map(len, summary.values())) == live.VALUE_LIMIT


def test_the_last_traceback_with_its_exception() -> None:
    text = """step 1
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 3, in <module>
    raise ValueError("no")
ValueError: no
of two lines

bye
"""
    assert live.last_traceback(text).splitlines() == [
        "Traceback (most recent call last):",
        '  File "train.py", line 3, in <module>',
        '    raise ValueError("no")',
        "ValueError: no",
        "of two lines",
    ]
    assert live.last_traceback("all is well") == ""


def test_a_long_traceback_keeps_its_end() -> None:
    text = "Traceback (most recent call last):\n" + "  File x\n" * 5000 + "RuntimeError: deep\n"
    found = live.last_traceback(text)
    assert len(found) <= live.TRACEBACK_LIMIT
    assert found.endswith("RuntimeError: deep")
