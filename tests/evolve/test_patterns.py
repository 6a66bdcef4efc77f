"""Known code patterns fit our trainer and ancestor-style scripts, change what they say, and still train."""

import ast
import gc
import random
import sys
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evolve.model import Operator
from evolve.propose.lessons import learn
from evolve.propose.operators import CATEGORIES, Attempt
from evolve.propose.patterns import CATALOGUE, Pattern, choose_patterns
from evolve.propose.vetting import code_hash, vet

PLAIN = Path(__file__).with_name("plain_train.txt").read_text()  # in the ancestor's manner
OURS = (Path(__file__).parents[2] / "trainer" / "train.py").read_text()
FITTING = [pattern for pattern in CATALOGUE if pattern.apply(OURS)]
SEQUENCE, VOCABULARY = 32, 64


def test_the_catalogue_is_large_and_in_order() -> None:
    assert len({p.title for p in CATALOGUE}) == len(CATALOGUE) >= 25
    assert all(p.category in CATEGORIES and len(p.title) <= 72 for p in CATALOGUE)
    assert all(p.hypothesis.endswith(".") and p.weight > 0 for p in CATALOGUE)


def test_many_patterns_fit_our_trainer_and_ancestor_style_scripts() -> None:
    assert len({p.name for p in FITTING}) >= 12
    assert len({p.name for p in CATALOGUE if p.apply(PLAIN)}) >= 6


@pytest.mark.parametrize("pattern", CATALOGUE, ids=lambda p: p.title)
def test_what_fits_is_valid_new_and_small(pattern: Pattern) -> None:
    for source in (OURS, PLAIN):
        child = pattern.apply(source)
        if child is None:
            continue
        assert vet(child) == []
        assert code_hash(child) != code_hash(source)
        before, after = Counter(source.splitlines()), Counter(child.splitlines())
        assert (after - before).total() <= 12
        assert pattern.apply(source) == child


@pytest.mark.parametrize("pattern", CATALOGUE, ids=lambda p: p.title)
def test_a_foreign_script_is_left_alone(pattern: Pattern) -> None:
    assert (
        pattern.apply("import torch\n\nclass A:\n    def forward(self, x):\n        return x\n")
        is None
    )


# Small scripts in the idioms of the ancestor that our trainer expresses otherwise.
IDIOMS = {
    "qk_gain": "q, k = norm(q), norm(k)\n",
    "mlp_expansion": "class MLP:\n    def __init__(self, n):\n        self.fc = 4 * n\n        self.out = 4 * n\n",
    "value_embeddings": "def has_ve(i, n):\n    return i % 2 == (n - 1) % 2\n",
    "short_window": "short_window = long_window // 2\n",
    "init_scale": "def init_weights(w, n):\n    s = 3**0.5 * n**-0.5\n    w.uniform_(-s, s)\n",
    "momentum_peak": "def get_momentum(step):\n    frac = min(step / 300, 1)\n    return 0.85 + frac * (0.95 - 0.85)\n",
    "momentum_warmup": "def get_momentum(step):\n    frac = min(step / 300, 1)\n    return frac * 0.95\n",
    "decay_schedule": "def get_weight_decay(progress):\n    return WEIGHT_DECAY * (1 - progress)\n",
    "embedding_norm": (
        "def norm(x):\n    return x\n\nclass GPT:\n    def forward(self, idx):\n"
        "        x = self.wte(idx)\n        y = x\n        return y\n"
    ),
    "smear": "class GPT:\n    def forward(self, idx):\n        x = self.wte(idx)\n        return x\n",
}


@pytest.mark.parametrize("name", IDIOMS)
def test_the_ancestors_idioms_are_understood(name: str) -> None:
    children = [p.apply(IDIOMS[name]) for p in CATALOGUE if p.name == name]
    assert any(child is not None and ast.parse(child) for child in children)


def test_applying_a_pattern_twice_changes_nothing_more() -> None:
    for pattern in FITTING:
        once = pattern.apply(OURS)
        assert once is not None
        assert pattern.name == "softcap" or pattern.apply(once) is None, pattern.title


def test_patterns_that_failed_before_come_last() -> None:
    failed = Attempt(
        2, (1,), Operator.MUTATE, "", "schedule", ("warmdown_shape: linear -> 1-sqrt",), "nan"
    )

    def place(history: tuple[Attempt, ...]) -> float:
        orders = [choose_patterns(random.Random(seed), learn(history, 0.01)) for seed in range(60)]
        return sum([p.title for p in o].index(failed.changes[0]) for o in orders) / len(orders)

    assert place((failed,)) > 1.5 * place(())


# ---- they train ----------------------------------------------------------------------------------------


class Loader:
    """Hands out a few batches of a learnable sequence, as the real one does."""

    def __init__(self, rows: int, batches: int) -> None:
        self.rows, self.batches, self.progress = rows, batches, 0.0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, int]]:
        for number in range(self.batches):
            start = torch.randint(0, VOCABULARY, (self.rows, 1))
            row = (start + torch.arange(SEQUENCE + 1)) % VOCABULARY
            self.progress = (number + 1) / self.batches
            yield row[:, :-1], row[:, 1:], 1


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """A stand-in for the guest module: no rows on disk, no scorer."""
    module = types.ModuleType("prepare")
    tokenizer = types.SimpleNamespace(get_vocab_size=lambda: VOCABULARY)
    module.MAX_SEQ_LEN, module.TIME_BUDGET = SEQUENCE, 1
    module.Tokenizer = types.SimpleNamespace(from_directory=lambda: tokenizer)
    module.make_dataloader = lambda tokenizer, rows, length, split: Loader(min(rows, 4), 4)

    def evaluate(model: torch.nn.Module, tokenizer: object, rows: int) -> float:
        tokens = torch.arange(SEQUENCE)[None] % VOCABULARY
        with torch.no_grad():
            logits = model(tokens)
            later = model(torch.cat([tokens[:, :20], tokens[:, 20:] * 0 + 7], dim=1))
        assert logits.shape == (1, SEQUENCE, VOCABULARY)
        assert torch.isfinite(logits).all()
        # Nothing looks ahead: other tokens later on do not change what was said before.
        assert torch.allclose(logits[:, :20], later[:, :20], atol=1e-5)
        return float(logits.std())

    module.evaluate_bpb = evaluate
    monkeypatch.setitem(sys.modules, "prepare", module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("pattern", FITTING, ids=lambda p: p.title)
def test_a_child_by_pattern_trains_and_does_not_look_ahead(
    pattern: Pattern, prepare: types.ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    child = pattern.apply(OURS)
    assert child is not None
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # dataclasses look their module up
    torch.manual_seed(0)
    exec(compile(child, "train.py", "exec"), module.__dict__)
    module.main()
    del sys.modules["candidate"]
    assert "val_bpb:" in capsys.readouterr().out
