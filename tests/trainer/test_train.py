"""What trainer/train.py promises: one short readable file, causal and windowed, that trains within its contract."""

from __future__ import annotations

import ast
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from evolve.propose.vetting import vet

SCRIPT = Path(__file__).parents[2] / "trainer" / "train.py"
TREE = ast.parse(SCRIPT.read_text())

# The contract's other side in forty lines: bytes of a standard library module, a budget in tokens.
PREPARE = """
import math, os, textwrap
from pathlib import Path
import torch

MAX_SEQ_LEN, TIME_BUDGET = 64, 300
BUDGET = int(os.environ.get("TOKENS", "40960"))
LOADERS = []
torch.set_num_threads(1)

class Tokenizer:
    @classmethod
    def from_directory(cls):
        return cls()
    def get_vocab_size(self):
        return 256

def rows():
    data = torch.tensor(list(Path(textwrap.__file__).read_bytes()))
    return data[: len(data) // 65 * 65].view(-1, 65)

class Loader:
    def __init__(self, B, T):
        self.B, self.T, self.served, self.progress = B, T, 0, 0.0
        LOADERS.append(self)
    def __iter__(self):
        return self
    def __next__(self):
        if self.served >= BUDGET:
            raise StopIteration
        table = rows()
        picked = table[torch.randint(len(table), (self.B,))]
        self.served += self.B * self.T
        self.progress = min(1.0, self.served / BUDGET)
        return picked[:, :-1], picked[:, 1:], 1

def make_dataloader(tokenizer, B, T, split):
    assert split == "train"
    return Loader(B, T)

@torch.no_grad()
def evaluate_bpb(model, tokenizer, batch_size):
    table = rows()[:batch_size]
    x, y = table[:, :-1], table[:, 1:]
    logits = model(x)
    assert logits.shape == (*x.shape, 256) and logits.dtype == torch.float32
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
    return loss.item() / math.log(2)
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.py and a prepare.py that needs no harness."""
    folder = tmp_path_factory.mktemp("room")
    shutil.copy(SCRIPT, folder)
    (folder / "prepare.py").write_text(PREPARE)
    return folder


@pytest.fixture(scope="module")
def train(room: Path) -> Iterator[ModuleType]:
    """train.py as a module; importing it must leave torch as it was."""
    torch.set_num_threads(1)
    before, precision = torch.get_rng_state(), torch.get_float32_matmul_precision()
    sys.path.insert(0, str(room))
    try:
        spec = importlib.util.spec_from_file_location("trainer_under_test", room / "train.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        prepare = sys.modules["prepare"]
        assert not prepare.LOADERS, "importing train.py starts a training"
        assert torch.equal(before, torch.get_rng_state())
        assert torch.get_float32_matmul_precision() == precision
        yield module
    finally:
        sys.path.remove(str(room))
        sys.modules.pop("trainer_under_test", None)
        sys.modules.pop("prepare", None)


def small(train: ModuleType, **changes: object) -> object:
    fields = {"depth": 2, "dim": 64, "head_dim": 32, "micro": 128, "batch": 128, "windows": "L"}
    return train.Size(memory=0, **{**fields, **changes})


def awake(train: ModuleType, **changes: object) -> torch.nn.Module:
    """A model whose zero-initialised parts are not zero, so that everything can influence the logits."""
    torch.manual_seed(0)
    model = train.GPT(small(train, **changes), 256, 64, train.sdpa)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.3)
    return model


# ---- the file ------------------------------------------------------------------------------------


def test_it_is_one_short_file_of_short_functions() -> None:
    assert len(SCRIPT.read_text().splitlines()) <= 650
    for node in ast.walk(TREE):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name
            nested = {"__init__", "forward", "step", "adam", "attend", "sees"}
            assert ast.get_docstring(node) or node.name in nested, node.name


def test_it_imports_torch_the_standard_library_and_prepare_only() -> None:
    roots = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").partition(".")[0])
    optional = {"flash_attn_interface", "flash_attention_4"}  # imported where they are installed
    assert roots - optional <= {"torch", "prepare"} | sys.stdlib_module_names


def test_every_knob_is_a_literal_on_a_line_of_its_own_with_a_comment() -> None:
    lines = SCRIPT.read_text().splitlines()
    knobs = {}
    for node in TREE.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name.isupper() and isinstance(node.value, ast.Constant):
                knobs[name] = ast.literal_eval(node.value)
                assert node.lineno == node.end_lineno
                assert "  # " in lines[node.lineno - 1], f"{name} has no comment"
    assert {"MATRIX_LR", "EMBED_LR", "HEAD_LR", "WARMDOWN", "QK_GAIN", "SOFTCAP"} <= set(knobs)
    assert len(knobs) > 30
    source = SCRIPT.read_text()
    for name in knobs:
        assert len(re.findall(rf"\b{name}\b", source)) > 1, f"{name} does nothing"


def test_the_search_may_train_it() -> None:
    assert vet(SCRIPT.read_text()) == []


def test_importing_it_does_not_train(train: ModuleType) -> None:
    assert callable(train.main)


# ---- the sizes -----------------------------------------------------------------------------------


def test_every_size_is_whole(train: ModuleType) -> None:
    memories = [size.memory for size in train.SIZES]
    assert memories == sorted(memories, reverse=True)
    assert memories[-1] == 0, "the last row is the CPU's"
    for size in train.SIZES:
        assert size.dim % size.head_dim == 0
        assert size.batch % size.micro == 0
        assert size.micro >= 512
        assert set(size.windows) <= {"S", "L"}
        assert size.dim >= max(train.SMEAR_CHANNELS, train.VALUE_GATE_CHANNELS)
    assert train.choose_size(torch.device("cpu")) == train.SIZES[-1]


def test_the_batch_grows_over_the_budget_by_accumulation(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "BATCH_RAMP", (0.5, 1.0, 1.5))
    size = small(train, micro=64, batch=128)
    passes = [train.accumulation(size, p) for p in (0.0, 0.32, 0.34, 0.65, 0.67, 1.0)]
    assert passes == [1, 1, 2, 2, 3, 3]


def test_the_batch_is_halved_until_the_budget_holds_enough_steps(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose speed is known stands in for a GPU: one product of 8192³ a second."""
    clock = iter(range(100))
    monkeypatch.setattr(train.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(train.torch, "randn", lambda *_, **__: torch.ones(2, 2))
    monkeypatch.setattr(train.torch.cuda, "synchronize", lambda: None)
    flops, gpu = 2 * 8192**3 / 20_000, torch.device("cuda")  # 10,000 tokens/s, 3 M in 300 s
    big = small(train, micro=1 << 16, batch=1 << 18)
    fitted = train.fit_batch(big, flops, gpu)
    share = sum(1 / s for s in train.BATCH_RAMP) / len(train.BATCH_RAMP)
    assert 3e6 * share / fitted.batch >= train.LEAST_STEPS > 3e6 * share / (2 * fitted.batch)
    assert fitted.micro == fitted.batch < big.micro
    assert train.fit_batch(big, flops / 1000, gpu) == big
    assert train.fit_batch(big, flops, torch.device("cpu")) == big


# ---- the attention -------------------------------------------------------------------------------


def test_attention_is_chosen_by_what_the_device_and_the_packages_allow(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    assert train.choose_attention(64, [8, 64], cpu) == ("sdpa", train.sdpa)
    monkeypatch.setattr(train, "ATTENTION", "fa4")
    with pytest.raises(ValueError, match="'fa4' does not work on this cpu: try 'auto'"):
        train.choose_attention(64, [8, 64], cpu)
    monkeypatch.setattr(train, "ATTENTION", "auto")
    monkeypatch.setattr(train, "capability", lambda device: (9, 0))
    monkeypatch.setitem(sys.modules, "flash_attention_4", None)  # not installed, wherever this runs
    monkeypatch.setitem(sys.modules, "flash_attn_interface", None)
    assert train.choose_attention(64, [8, 64], cpu)[0] == "flash"
    calls = []
    hopper = ModuleType("flash_attn_interface")
    hopper.flash_attn_func = lambda q, k, v, **options: calls.append(options)
    monkeypatch.setitem(sys.modules, "flash_attn_interface", hopper)
    name, attend = train.choose_attention(64, [8, 64], cpu)
    for window in (8, 64):
        attend(None, None, None, window)
    assert name == "fa3"
    assert calls == [
        {"causal": True, "window_size": (8, 0)},
        {"causal": True, "window_size": (-1, -1)},
    ]


def test_rotation_depends_on_the_distance_of_two_tokens_only(train: ModuleType) -> None:
    model = train.GPT(small(train), 256, 64, train.sdpa)
    q, k = torch.randn(2, 1, 1, 1, 32).expand(2, 1, 64, 1, 32)
    q, k = train.rotate(q, model.cos, model.sin), train.rotate(k, model.cos, model.sin)
    scores = q[0, :, 0] @ k[0, :, 0].T
    for apart in (0, 1, 13):
        along = scores.diagonal(-apart)
        assert along.tolist() == pytest.approx([along[0].item()] * len(along), rel=1e-3, abs=1e-3)
    assert scores.diagonal(0)[0].item() != pytest.approx(scores.diagonal(-1)[0].item())


# ---- the model -----------------------------------------------------------------------------------


def test_a_token_does_not_see_the_future(train: ModuleType) -> None:
    model = awake(train, depth=3, windows="SL")
    x = torch.randint(256, (2, 64))
    for t in (0, 20, 62):
        changed = x.clone()
        changed[:, t + 1 :] = torch.randint(256, changed[:, t + 1 :].shape)
        with torch.no_grad():
            a, b = model(x), model(changed)
        assert torch.equal(a[:, : t + 1], b[:, : t + 1])
        assert not torch.allclose(a[:, t + 1 :], b[:, t + 1 :])


def test_one_layer_sees_its_window_and_no_further(train: ModuleType) -> None:
    window = 8
    model = awake(train, depth=1)
    model.blocks[0].attn.window = window
    x = torch.randint(256, (1, 64))
    with torch.no_grad():
        base = model(x)
        for t in (5, 30):
            changed = x.clone()
            changed[:, t] = (changed[:, t] + 1) % 256
            moved = (model(changed) - base).abs().amax(-1)[0] > 0
            # smear carries a token one place on and triples two, so later queries feel it a little longer
            assert moved[t : t + window + 1].all()
            assert not moved[:t].any()
            assert not moved[t + window + 3 :].any()


@pytest.mark.parametrize("window", [1, 7, 16])
def test_a_window_holds_that_many_earlier_keys_and_the_token_itself(
    train: ModuleType, window: int
) -> None:
    """FlashAttention's window (W, 0) sees W + 1 keys; every backend must agree on it."""
    T = 24
    q = k = torch.zeros(
        1, T, 1, 8
    )  # equal scores: the output is the mean of the values that are seen
    v = torch.arange(T, dtype=torch.float32).view(1, T, 1, 1).expand(1, T, 1, 8)
    seen = train.sdpa(q, k, v, window)[0, :, 0, 0]
    expected = [sum(range(max(0, t - window), t + 1)) / min(t + 1, window + 1) for t in range(T)]
    assert seen.tolist() == pytest.approx(expected)


def test_the_pattern_of_windows_ends_with_the_whole_sequence(train: ModuleType) -> None:
    model = train.GPT(small(train, depth=5, windows="SSL"), 256, 64, train.sdpa)
    short = 64 // train.WINDOW_DIVISOR
    assert model.windows == [short, short, 64, short, 64]


def test_loss_and_logits_take_the_same_path(train: ModuleType) -> None:
    model = awake(train)
    x, y = torch.randint(256, (2, 2, 64)).unbind()
    with torch.no_grad():
        logits, mean, each = model(x), model(x, y), model(x, y, reduction="none")
    assert logits.shape == (2, 64, 256)
    assert logits.dtype == torch.float32
    assert logits.abs().max() <= train.SOFTCAP
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
    assert mean.item() == pytest.approx(expected.item())
    assert each.view(-1).mean().item() == pytest.approx(mean.item(), rel=1e-5)


def test_a_fresh_model_predicts_almost_uniformly(train: ModuleType) -> None:
    torch.manual_seed(0)
    model = train.GPT(small(train), 256, 64, train.sdpa)
    x, y = torch.randint(256, (2, 2, 64)).unbind()
    assert model(x, y).item() == pytest.approx(math.log(256), abs=0.01)


# ---- optimizers and schedules --------------------------------------------------------------------


def test_every_parameter_is_in_exactly_one_group_and_learns(train: ModuleType) -> None:
    torch.manual_seed(0)
    model = train.GPT(small(train, depth=3), 256, 64, train.sdpa)
    optimizers = train.make_optimizers(model, torch.float32, compiled=False)
    grouped = [p for o in optimizers for g in o.param_groups for p in g["params"]]
    assert len(grouped) == len({id(p) for p in grouped}) == len(list(model.parameters()))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(4):  # zeros upstream hide a gradient for a step or two
        x, y = torch.randint(256, (2, 2, 64)).unbind()
        model(x, y).backward()
        train.apply_schedules(*optimizers, 0.3)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert still == []


def test_what_a_row_of_the_grams_holds_fades_unless_it_comes_back(train: ModuleType) -> None:
    """Without it the tables learn repeated rows by heart (docs/trainer-log.md)."""
    torch.manual_seed(0)
    model = train.GPT(small(train, depth=1), 256, 64, train.sdpa)
    optimizers = train.make_optimizers(model, torch.float32, compiled=False)

    def step(x: torch.Tensor) -> None:
        model(x[:, :-1], x[:, 1:]).backward()
        train.apply_schedules(*optimizers, 0.1)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    once, often = torch.randint(128, (2, 65)), torch.randint(128, 256, (2, 65))
    step(once)
    held = model.grams.weight.norm(dim=1) > 0  # rows of `once`
    for _ in range(20):  # Adam's momentum carries a row on for a while
        step(often)
    before = model.grams.weight[held].norm()
    for _ in range(50):
        step(often)
    assert model.grams.weight[held].norm() < 0.5 * before


@pytest.mark.parametrize("shape", [(2, 48, 16), (3, 16, 64), (1, 32, 32)])
def test_orthogonalise_pushes_singular_values_to_one(
    train: ModuleType, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    values = torch.linalg.svdvals(train.orthogonalise(torch.randn(shape)))
    assert values.min().item() > 0.7
    assert values.max().item() < 1.3


def test_schedules_depend_on_progress_only_and_never_turn_back(train: ModuleType) -> None:
    grid = [i / 200 for i in range(1, 201)]
    for schedule, falls in (
        (train.lr_multiplier, True),
        (train.muon_momentum, False),
        (train.batch_share, False),
    ):
        values = [schedule(p) for p in grid]
        assert values == [schedule(p) for p in grid]
        assert values == sorted(values, reverse=falls)
    assert train.lr_multiplier(0.0) == 0.0  # noise before the clock teaches nothing
    assert train.lr_multiplier(0.001) == 1.0
    assert train.lr_multiplier(1.0) == pytest.approx(train.FINAL_LR)
    assert train.muon_momentum(1.0) == pytest.approx(train.MOMENTUM)
    assert train.batch_share(1.0) == train.BATCH_RAMP[-1]


def test_a_smaller_batch_gets_the_root_of_its_share_of_the_learning_rate(
    train: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "BATCH_RAMP", (0.25, 1.0))
    model = train.GPT(small(train), 256, 64, train.sdpa)
    adamw, muon = train.make_optimizers(model, torch.float32, compiled=False)
    assert train.apply_schedules(adamw, muon, 0.01) == 0.5
    assert muon.param_groups[0]["lr"] == pytest.approx(0.5 * train.MATRIX_LR)


# ---- the report ----------------------------------------------------------------------------------


def test_the_loss_is_read_one_step_late(
    train: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    log = train.Log(torch.device("cpu"), flops_per_token=1)
    log.update(torch.tensor(math.nan), 128, 0.1, 1.0, 1)  # not looked at before the next step
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit):
        log.update(torch.tensor(1.0), 128, 0.2, 1.0, 1)


@pytest.mark.parametrize("loss", [math.nan, math.inf, 101.0])
def test_a_lost_loss_ends_the_script(
    train: ModuleType, loss: float, capsys: pytest.CaptureFixture[str]
) -> None:
    log = train.Log(torch.device("cpu"), flops_per_token=1)
    log.update(torch.tensor(loss), 128, 0.5, 1.0, 1)
    with pytest.raises(SystemExit) as end:
        log.update(torch.tensor(loss), 128, 0.6, 1.0, 1)
    assert end.value.code == 1
    assert re.search(r"^FAIL$", capsys.readouterr().out, re.M)


LIVE = re.compile(
    r"^step (\d{5}) \((\d+\.\d)%\) \| loss: (\d+\.\d{6}) \| lrm: \d\.\d\d \| dt: \d+ms \| "
    r"tok/sec: [\d,]+ \| mfu: \d+\.\d% \| epoch: 1 \| remaining: \d+s",
    re.M,
)
SUMMARY = re.compile(
    r"^---\n"
    r"val_bpb:          (\d+\.\d{6})\n"
    r"training_seconds: \d+\.\d\n"
    r"total_seconds:    \d+\.\d\n"
    r"peak_vram_mb:     \d+\.\d\n"
    r"mfu_percent:      \d+\.\d\d\n"
    r"total_tokens_M:   \d+\.\d\n"
    r"num_steps:        (\d+)\n"
    r"num_params_M:     \d+\.\d\n"
    r"depth:            2\n\Z",
    re.M,
)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the stub serves rows on the CPU")
def test_it_trains_from_start_to_score(room: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENS": "40960"}
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=room,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "Vocab size: 256" in done.stdout
    assert "attention: sdpa" in done.stdout
    live = [
        (int(step), float(percent), float(loss))
        for step, percent, loss in LIVE.findall(done.stdout)
    ]
    steps, percents, losses = zip(*live, strict=True)
    assert list(percents) == sorted(percents)
    assert percents[-1] == 100.0
    assert losses[0] == pytest.approx(math.log(256), abs=0.05)
    assert losses[-1] < losses[0] - 1.5
    summary = SUMMARY.search(done.stdout)
    assert summary is not None, done.stdout
    assert float(summary[1]) < 6.0
    single = math.ceil(80 * 2 / 3)  # of 80 forward passes; in the last third two make a step
    assert int(summary[2]) == steps[-1] + 1 == single + (80 - single) // 2
