"""What a candidate finds as `kernels`: attention that is right, compiles whole, and says what it is not."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import harness
from harness.spec import Budget, Outcome, Result

FILE = Path(harness.__file__).parent / "guest" / "kernels.py"
T = 16
WINDOWS = ((T, 0), (-1, -1), (4, 0), (0, 0), (T - 1, 0), (3, 2), (-1, 3), (2, -1))


def load(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None) -> ModuleType:
    """The module as it comes up on a GPU of that compute capability, or on a CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    spec = importlib.util.spec_from_file_location("kernels", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "kernels", module)
    spec.loader.exec_module(module)
    return module


def interface(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None = None) -> Any:
    """What the ancestor calls `fa3`."""
    hub = load(monkeypatch, capability).get_kernel("varunneal/flash-attention-3")
    return hub.flash_attn_interface


def textbook(q: Any, k: Any, v: Any, causal: bool, window: tuple[int, int]) -> Any:
    """FlashAttention's definition, one key at a time: (B, T, H, D) like its arguments."""
    left, right = window[0], 0 if causal else window[1]
    k, v = (x.repeat_interleave(q.size(2) // x.size(2), dim=2) for x in (k, v))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / q.size(-1) ** 0.5
    for i, j in itertools.product(range(T), range(T)):
        if (left >= 0 and j < i - left) or (right >= 0 and j > i + right):
            scores[:, :, i, j] = -torch.inf
    return torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_forward_and_backward_are_the_textbooks_compiled_in_one_graph(
    monkeypatch: pytest.MonkeyPatch, backend: str, kv_heads: int
) -> None:
    fa3 = interface(monkeypatch)
    for causal, window in itertools.product((True, False), WINDOWS):
        torch._dynamo.reset()

        def attend(q: Any, k: Any, v: Any, causal=causal, window=window) -> Any:
            return fa3.flash_attn_func(q, k, v, causal=causal, window_size=window)

        torch.manual_seed(0)
        shapes = ((2, T, heads, 8) for heads in (4, kv_heads, kv_heads))
        inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
        compiled = torch.compile(attend, backend=backend, fullgraph=True, dynamic=False)
        found, expected = compiled(*inputs), textbook(*inputs, causal, window)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(
            torch.autograd.grad(found.square().sum(), inputs),
            torch.autograd.grad(expected.square().sum(), inputs),
        )


def test_queries_and_keys_in_float32_follow_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    q, v = torch.randn(1, T, 2, 8), torch.randn(1, T, 2, 8, dtype=torch.bfloat16)
    found = interface(monkeypatch).flash_attn_func(q, q, v, causal=True, window_size=(T, 0))
    assert found.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("capability", "window", "flash_2"),
    [
        ((9, 0), (4, 0), True),
        ((8, 6), (4, 0), True),
        ((7, 5), (4, 0), False),
        ((9, 0), (T, 0), False),
    ],
)
def test_a_short_window_is_flash_attention_2_where_torch_has_it(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    window: tuple[int, int],
    flash_2: bool,
) -> None:
    """The real operators of torch, with their checks of names and shapes, on tensors without content."""
    fa3 = interface(monkeypatch, capability)
    called: list[str] = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            called.append(str(func))
            return func(*args, **(kwargs or {}))

    with FakeTensorMode(), Spy():
        q = torch.empty(2, T, 4, 8, device="meta", dtype=torch.bfloat16)
        k = torch.empty(2, T, 2, 8, device="meta", dtype=torch.bfloat16)
        y = fa3.flash_attn_func(q, k, k, causal=True, window_size=window)
    assert y.shape == q.shape
    assert ("aten._flash_attention_forward.default" in called) is flash_2, called


FLASH_3 = """
def flash_attn_func(q, k, v, softmax_scale=None, causal=False, qv=None, window_size=(-1, -1)):
    return softmax_scale, causal, window_size
"""


def test_an_installed_flash_attention_3_is_taken_on_a_hopper_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flash_attn_interface.py").write_text(FLASH_3)
    monkeypatch.syspath_prepend(tmp_path)
    q = torch.zeros(1, T, 2, 8)
    found = interface(monkeypatch, (9, 0)).flash_attn_func(q, q, q, causal=True, window_size=(4, 0))
    assert found == (None, True, (4, 0))
    monkeypatch.delitem(sys.modules, "flash_attn_interface")
    interface(monkeypatch, (12, 0))
    assert capsys.readouterr().out.splitlines() == [
        "kernels: the installed FlashAttention 3 stands in for varunneal/flash-attention-3",
        "kernels: torch's SDPA, with FlashAttention 2 for short windows, stands in for "
        "varunneal/flash-attention-3",
    ]


def test_what_has_no_stand_in_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load(monkeypatch, None)
    with pytest.raises(ValueError, match="only FlashAttention has a stand-in; write this kernel"):
        module.get_kernel("kernels-community/activation")
    with pytest.raises(AttributeError, match=r"'flash_attn_varlen_func' has no stand-in: .* use"):
        _ = module.get_kernel("a/flash-attn3").flash_attn_interface.flash_attn_varlen_func
    with pytest.raises(AttributeError, match="'LocalLayer' has no stand-in"):
        _ = module.LocalLayer
    q = torch.zeros(1, T, 2, 8)
    with pytest.raises(ValueError, match="as many keys as queries, not 4 and 16"):
        module.flash_attn_func(q, q[:, :4], q[:, :4])


# The way of the ancestor's script: hub at import, meta device, bfloat16 tables, autocast, a compiled model,
# next() on the loader, a clock of its own that leaves out 11 steps, and evaluation under autocast.
SCRIPT = """
import time
import torch
import torch.nn as nn
import torch.nn.functional as F
from kernels import get_kernel
fa3 = get_kernel("varunneal/flash-attention-3").flash_attn_interface
from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, make_dataloader, evaluate_bpb

class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, 32)
        self.q, self.k, self.v = (nn.Linear(32, n, bias=False) for n in (32, 16, 16))
        self.windows = ((MAX_SEQ_LEN // 8, 0), (MAX_SEQ_LEN, 0))
        self.lm_head = nn.Linear(32, vocabulary, bias=False)

    def forward(self, idx, targets=None, reduction='mean'):
        B, T = idx.shape
        x = F.rms_norm(self.wte(idx), (32,))
        for window in self.windows:
            q, k, v = (f(x).view(B, T, -1, 8) for f in (self.q, self.k, self.v))
            q, k = F.rms_norm(q, (8,)), F.rms_norm(k, (8,))
            y = fa3.flash_attn_func(q, k, v, causal=True, window_size=window)
            x = x + y.contiguous().view(B, T, -1)
        logits = 15 * torch.tanh(self.lm_head(x).float() / 15)
        if targets is None:
            return logits
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), reduction=reduction)

torch.manual_seed(42)
autocast = torch.amp.autocast(device_type="cpu", dtype=torch.bfloat16)
tokenizer = Tokenizer.from_directory()
with torch.device("meta"):
    model = Model(tokenizer.get_vocab_size())
model.to_empty(device="cpu")
for p in model.parameters():
    nn.init.normal_(p, std=0.2)
model.wte.to(dtype=torch.bfloat16)
optimizer = torch.optim.AdamW(model.parameters(), 0.02)
model = torch.compile(model, dynamic=False, backend="eager", fullgraph=True)
loader = make_dataloader(tokenizer, 128, MAX_SEQ_LEN, "train")
x, y, epoch = next(loader)
total, step = 0.0, 0
while True:
    t0 = time.time()
    with autocast:
        loss = model(x, y)
    loss.backward()
    x, y, epoch = next(loader)
    optimizer.step()
    model.zero_grad(set_to_none=True)
    if step > 10:
        total += time.time() - t0
    step += 1
    if step > 10 and total >= TIME_BUDGET:
        break
model.eval()
with autocast:
    val_bpb = evaluate_bpb(model, tokenizer, 128)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"num_steps:        {step}")
"""


def test_a_script_in_the_ancestors_way_is_trained_and_scored(run: Callable[..., Result]) -> None:
    result = run(SCRIPT, budget=Budget("seconds", 2.0))
    assert result.outcome is Outcome.OK, result.log_tail
    assert "SDPA, with short windows by mask, stands in for varunneal/" in result.log_tail
    assert result.val_bpb is not None
    assert result.val_bpb < 1.6  # it learned: one of 63 tokens at random is 1.99 bits a byte
    assert result.train_seconds < 2.0 * 1.03 + 1
