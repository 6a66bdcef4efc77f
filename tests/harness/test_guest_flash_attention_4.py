"""FlashAttention 4 as operators: one compiled graph, right gradients, the options that the package expects.

The package needs a Hopper or Blackwell GPU; a stand-in for its two launches, in plain torch, is what runs here.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import harness

FILE = Path(harness.__file__).parent / "guest" / "flash_attention_4.py"
B, T, H, D = 2, 16, 3, 8


def scores(q: Any, k: Any, scale: float, left: int | None) -> Any:
    """Masked scores [B, H, T, T]: a token sees itself and `left` keys before it."""
    seen = torch.ones(T, T, dtype=torch.bool).tril()
    seen = seen if left is None else seen.triu(-left)
    return (torch.einsum("bihd,bjhd->bhij", q, k) * scale).masked_fill(~seen, -torch.inf)


def attend(q: Any, k: Any, v: Any, scale: float, left: int | None) -> Any:
    return torch.einsum("bhij,bjhd->bihd", scores(q, k, scale, left).softmax(-1), v).contiguous()


def launch_forward(q: Any, k: Any, v: Any, return_lse: bool, **options: Any) -> Any:
    assert return_lse
    assert options["causal"]
    assert options["window_size_right"] == 0
    scale, left = options["softmax_scale"], options["window_size_left"]
    lse = scores(q, k, scale, left).logsumexp(-1).float()
    return attend(q, k, v, scale, left), lse, None, None, None


def launch_backward(q: Any, k: Any, v: Any, y: Any, dy: Any, lse: Any, **options: Any) -> Any:
    scale, left = options["softmax_scale"], options["window_size_left"]
    assert dy.is_contiguous()
    assert torch.allclose(y, attend(q, k, v, scale, left))
    assert lse.shape == (B, H, T)
    p = (scores(q, k, scale, left) - lse.unsqueeze(-1)).exp()
    dp = torch.einsum("bihd,bjhd->bhij", dy, v)
    ds = scale * p * (dp - (dp * p).sum(-1, keepdim=True))
    dq, dk = torch.einsum("bhij,bjhd->bihd", ds, k), torch.einsum("bhij,bihd->bjhd", ds, q)
    return dq.contiguous(), dk.contiguous(), torch.einsum("bhij,bihd->bjhd", p, dy).contiguous()


@pytest.fixture(scope="module")
def flash_4() -> Iterator[Any]:
    """The module, over the stand-in. Operators are registered once in a process, so it is loaded once."""
    package = ModuleType("flash_attn.cute.interface")
    vars(package).update(_flash_attn_fwd=launch_forward, _flash_attn_bwd=launch_backward)
    names = ("flash_attn", "flash_attn.cute")
    modules = {**{name: ModuleType(name) for name in names}, package.__name__: package}
    spec = importlib.util.spec_from_file_location("flash_attention_4", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in modules.items():
            patch.setitem(sys.modules, name, stand_in)
        patch.setitem(sys.modules, "flash_attention_4", module)  # the compiler looks there
        spec.loader.exec_module(module)
        yield module


def inputs() -> Any:
    """q, k and v as the trainer has them: parts of one product [B, T, 3 * H, D], so not contiguous."""
    torch.manual_seed(0)
    return torch.randn(B, T, 3 * H, D, requires_grad=True)


@pytest.mark.parametrize("window", [(-1, -1), (4, 0), (0, 0)])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_is_attention_and_compiles_in_one_graph(
    flash_4: Any, backend: str, window: tuple[int, int]
) -> None:
    left = window[0] if window[0] >= 0 else None
    compiled = torch.compile(
        lambda qkv: flash_4.flash_attn_func(*qkv.split(H, 2), causal=True, window_size=window),
        backend=backend,
        fullgraph=True,
    )
    qkv = inputs()
    found, expected = compiled(qkv), attend(*qkv.split(H, 2), D**-0.5, left)
    assert torch.allclose(found, expected, atol=1e-6)
    weights = torch.randn(B, T, H, D)
    (gradient,) = torch.autograd.grad((found * weights).sum(), qkv, retain_graph=True)
    (truth,) = torch.autograd.grad((expected * weights).sum(), qkv)
    assert torch.allclose(gradient, truth, atol=1e-5)


def test_the_operators_are_what_torch_wants_of_operators(flash_4: Any) -> None:
    q, k, v = inputs().split(H, 2)
    arguments = (q, k, v, D**-0.5, 4)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(flash_4._attention, arguments, test_utils=checks)
    y, lse = flash_4._attention(*arguments)
    gradients = (q, k, v, y, lse, torch.randn_like(y), D**-0.5, 4)
    gradients = tuple(x.detach() if isinstance(x, torch.Tensor) else x for x in gradients)
    torch.library.opcheck(flash_4._gradients, gradients, test_utils=checks)


def test_what_is_not_causal_is_refused(flash_4: Any) -> None:
    q, k, v = inputs().split(H, 2)
    with pytest.raises(ValueError, match="pass causal=True"):
        flash_4.flash_attn_func(q, k, v)


def test_without_the_package_it_is_an_import_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flash_attn", "flash_attn.cute", "flash_attn.cute.interface"):
        monkeypatch.setitem(sys.modules, name, None)
    spec = importlib.util.spec_from_file_location("without_package", FILE)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
