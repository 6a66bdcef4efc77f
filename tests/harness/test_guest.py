"""What a candidate finds when it imports `prepare`: the ancestor's names, and clear words when it errs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import harness
from harness.spec import Budget, Outcome, Result

GUEST = Path(harness.__file__).parent / "guest"

NAMES = """
import sys
from prepare import (CACHE_DIR, DATA_DIR, EVAL_TOKENS, MAX_SEQ_LEN, TIME_BUDGET, TOKENIZER_DIR, VOCAB_SIZE,
                     Tokenizer, evaluate_bpb, get_token_bytes, make_dataloader)
assert 'torch' not in sys.modules
print(MAX_SEQ_LEN, TIME_BUDGET, EVAL_TOKENS, VOCAB_SIZE)

tokenizer = Tokenizer.from_directory()
assert 'tokenizers' not in sys.modules
print(tokenizer.get_vocab_size(), tokenizer.get_bos_token_id())
bos = tokenizer.get_bos_token_id()
print(tokenizer.encode('5', prepend=bos), tokenizer.encode(['7', '8'], prepend='<|bos|>', num_threads=2))
print(tokenizer.decode([7]))

def refused(*arguments, **more):
    try:
        make_dataloader(tokenizer, *arguments, **more)
    except ValueError as fault:
        print(fault)

refused(4, MAX_SEQ_LEN, 'val')
refused(4, MAX_SEQ_LEN + 1, 'train')
refused(0, MAX_SEQ_LEN, 'train')
refused(2 ** 30, MAX_SEQ_LEN, 'train')
loader = make_dataloader(tokenizer, 4, MAX_SEQ_LEN, 'train', buffer_size=7, device='cuda', anything=True)
print(loader.progress)
"""


def test_the_ancestors_names_and_what_they_refuse(run: Callable[..., Result]) -> None:
    result = run(NAMES)
    assert result.outcome is Outcome.INVALID, result.log_tail
    assert "never called evaluate_bpb" in result.reason
    assert result.log_tail.splitlines() == [
        "16 60 800 64",
        "64 63",
        "[63, 5] [[63, 7], [63, 8]]",
        "7",
        "make_dataloader serves split 'train', not 'val'; validation is evaluate_bpb's own",
        "no batch of 4 rows of 17 tokens: rows have up to 16 tokens",
        "no batch of 0 rows of 16 tokens: rows have up to 16 tokens",
        "that is more memory than the harness lends to one experiment",
        "0.0",
    ]


LOADER = """
import random, numpy, torch
before = torch.initial_seed()
from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, get_token_bytes, make_dataloader
print(torch.initial_seed() == 1 != before, TIME_BUDGET)
tokenizer = Tokenizer.from_directory()
table = get_token_bytes()
print(table.dtype, table.shape, table[63].item())
loader = make_dataloader(tokenizer, 4, 8, 'train')
seen = 0
for x, y, epoch in loader:
    assert x.dtype == y.dtype == torch.int64 and x.shape == y.shape == (4, 8)
    assert x.is_contiguous() and y.is_contiguous() and epoch == 1
    assert torch.equal(x[:, 1:], y[:, :-1])
    assert (x[:, 0] == 63).all()
    seen += x.numel()
    assert abs(loader.progress - seen / 1000) < 1e-6
print(seen, loader.progress)
try:
    next(loader)
except StopIteration as end:
    print(end)
"""


def test_the_loader_ends_with_the_budget_of_tokens(run: Callable[..., Result]) -> None:
    result = run(LOADER, budget=Budget("tokens", 1000))
    assert result.outcome is Outcome.INVALID, result.log_tail
    assert result.log_tail.splitlines() == [
        "True 60",
        "torch.int32 torch.Size([64]) 0",
        "992 1.0",
        "the training budget is spent: iterate with `for x, y, epoch in loader`, "
        "or stop when loader.progress reaches 1",
    ]
    assert result.train_tokens == 992


def test_outside_the_harness_it_says_who_starts_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import prepare"],
        env={"PYTHONPATH": str(GUEST)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "autoresearch train" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_guest_holds_no_secret_and_imports_nothing_of_the_harness() -> None:
    for path in GUEST.glob("*.py"):
        text = path.read_text()
        assert "val.bin" not in text
        assert "import harness" not in text
        assert "from harness" not in text
