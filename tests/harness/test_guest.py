"""What a candidate finds when it imports `prepare`: the ancestor's names, and clear words when it errs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import harness
from harness import tokenizer
from harness.spec import Budget, Outcome, Result

GUEST = Path(harness.__file__).parent / "guest"

NAMES = """
import os, pickle, sys
from prepare import (BOS_TOKEN, CACHE_DIR, DATA_DIR, EVAL_TOKENS, MAX_SEQ_LEN, SPECIAL_TOKENS, TIME_BUDGET,
                     TOKENIZER_DIR, VOCAB_SIZE, Tokenizer, evaluate_bpb, get_token_bytes, make_dataloader)
assert 'torch' not in sys.modules
print(MAX_SEQ_LEN, TIME_BUDGET, EVAL_TOKENS, VOCAB_SIZE, SPECIAL_TOKENS == [BOS_TOKEN])

tokenizer = Tokenizer.from_directory()
assert 'tokenizers' not in sys.modules
print(tokenizer.get_vocab_size(), tokenizer.get_bos_token_id(), tokenizer.bos_token_id)
bos = tokenizer.get_bos_token_id()
print(tokenizer.encode('5', prepend=bos), tokenizer.encode(['7', '8'], prepend='<|bos|>', num_threads=2))
print(tokenizer.encode('5', prepend='<|reserved_0|>'))
print(tokenizer.decode([7]))

home = os.path.join(os.path.expanduser('~'), '.cache', 'autoresearch')
assert (CACHE_DIR, DATA_DIR, TOKENIZER_DIR) == (home, home + '/data', home + '/tokenizer')
assert os.path.isdir(DATA_DIR) and Tokenizer.from_directory(TOKENIZER_DIR).encode('5') == [5]
def attempt(action):
    try:
        action()
    except Exception as fault:
        print(type(fault).__name__, fault)
def of_before():
    from prepare import list_parquet_files
def of_nobody():
    from prepare import nonsense
attempt(of_before)
attempt(of_nobody)
attempt(lambda: pickle.load(open(TOKENIZER_DIR + '/tokenizer.pkl', 'rb')))
attempt(lambda: tokenizer.encode('5', prepend='<|eot|>'))

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
        "16 60 800 64 True",
        "64 63 63",
        "[63, 5] [[63, 7], [63, 8]]",
        "[63, 5]",
        "7",
        "ImportError prepare.list_parquet_files is not there for a candidate: the text is downloaded, split into "
        "tokens and packed before a training; make_dataloader serves it, and Tokenizer and get_token_bytes tell "
        "of its tokens",
        f"ImportError cannot import name 'nonsense' from 'prepare' ({GUEST / 'prepare.py'})",
        "RuntimeError tokenizer.pkl holds no tokenizer: prepare.Tokenizer.from_directory() opens the one of the "
        "data set, and nobody has to trust a pickle",
        "ValueError there is no token '<|eot|>'; the one special token is <|bos|>",
        "make_dataloader serves split 'train', not 'val'; validation is evaluate_bpb's own",
        "no batch of 4 rows of 17 tokens: rows have up to 16 tokens",
        "no batch of 0 rows of 16 tokens: rows have up to 16 tokens",
        "that is more memory than the harness lends to one experiment",
        "0.0",
    ]


def test_text_that_spells_a_special_token_is_plain_text(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    bpe_json = tokenizer.train_bpe(["a few words, and a few more"] * 9, 270)
    (tmp_path / "tokenizer.json").write_text(bpe_json)
    script = "from prepare import BOS_TOKEN, Tokenizer\n"
    script += (
        f"print(Tokenizer.from_directory({str(tmp_path)!r}).encode('a' + BOS_TOKEN, BOS_TOKEN))"
    )
    bpe = tokenizer.load_bpe(bpe_json)
    plain = bpe.encode("a<|bos|>", add_special_tokens=False).ids
    assert tokenizer.bos_id(bpe) not in plain
    assert run(script).log_tail.strip() == str([tokenizer.bos_id(bpe), *plain])


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


SEEDS = """
import random
IMPORT_BEFORE
from prepare import MAX_SEQ_LEN
import numpy, torch
from torch import manual_seed
def draws():
    return [random.random(), numpy.random.rand(), torch.rand(1).item(), torch.nn.Linear(2, 2).weight.sum().item()]
print(draws())  # nobody has seeded
generator = torch.manual_seed(SEED)
assert generator is torch.default_generator and torch.random.manual_seed is torch.manual_seed
torch.cuda.manual_seed(SEED)
torch.cuda.manual_seed_all(seed=SEED)
random.seed(SEED)
numpy.random.seed(SEED)
first = draws()
print(first)
manual_seed(SEED + 1)  # another stream
second = torch.rand(1).item()
print(second)
assert second != first[2]
torch.random.manual_seed(SEED)  # and the first one again
assert torch.rand(1).item() == first[2]
own = torch.Generator().manual_seed(7)
assert own.initial_seed() == 7 and random.Random(7).random() == random.Random(7).random()
"""


def test_the_seed_is_the_experiments_whatever_the_script_says(run: Callable[..., Result]) -> None:
    def drawn(seed: int, number: int, imports: str) -> list[str]:
        source = SEEDS.replace("SEED", str(number)).replace("IMPORT_BEFORE", imports)
        log = run(source, seed=seed).log_tail.splitlines()
        assert log.pop(1) == f"prepare: seed {number} replaced by the experiment's seed {seed}"
        assert len(log) == 3, log
        return log

    before = "import numpy, torch\nfrom torch import manual_seed"
    base = drawn(3, 42, before)
    assert drawn(3, 137, "") == base
    other = drawn(4, 42, before)
    assert all(ours != theirs for ours, theirs in zip(base, other, strict=True))


HOOKED = """
import torch
from prepare_clock import WARMUP_STEPS, WarmUp
warm_up = WarmUp()
p = torch.nn.Parameter(torch.randn(4, 4))
assert warm_up.lasts() is None
optimizers = [torch.optim.AdamW([p], lr=torch.tensor(0.1)), torch.optim.SGD([p])]
assert warm_up.lasts() is True
compiled = 0
def backend(graph, inputs):
    global compiled
    compiled += 1
    return graph.forward
step = torch.compile(lambda: optimizers[0].step(), backend=backend)
said = []
for _ in range(WARMUP_STEPS + 4):
    p.grad = torch.randn(4, 4)
    step()
    said.append([warm_up.lasts() for _ in range(3)])
assert compiled == 1, compiled
assert said == [[True] * 3] * 9 + [[True, True, False]] + [[False] * 3] * 4, said
print("fine")
"""


def test_steps_are_counted_without_a_compiled_optimizer_being_compiled_again() -> None:
    environment = {"PYTHONPATH": str(GUEST), "OMP_NUM_THREADS": "1", "TORCH_LOGS": "-all"}
    done = subprocess.run(
        [sys.executable, "-c", HOOKED], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "fine\n", done.stderr


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
