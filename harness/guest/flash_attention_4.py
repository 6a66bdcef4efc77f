"""FlashAttention 4 (the package flash-attn-4, for Hopper and Blackwell) in a form that torch.compile can call.

The package launches its kernels from Python, which the compiler cannot follow; here they are two operators of
torch with known shapes and gradients. Importing this raises ImportError where the package is not installed.
"""

from __future__ import annotations

from typing import Any

import torch
from flash_attn.cute.interface import _flash_attn_bwd, _flash_attn_fwd  # type: ignore[import-not-found, unused-ignore]


def flash_attn_func(
    q: Any,
    k: Any,
    v: Any,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
) -> Any:
    """Attention with the arguments of FlashAttention 3: q, k, v, result (B, T, H, D); left < 0 sees all keys.

    Raises ValueError for what is not causal: no language model here needs it.
    """
    if not causal:
        raise ValueError("flash_attention_4 offers causal attention only: pass causal=True")
    scale = q.size(-1) ** -0.5 if softmax_scale is None else softmax_scale
    return _attention(q, k, v, scale, window_size[0])[0]


def _options(scale: float, left: int) -> dict[str, Any]:
    sides = {"window_size_left": None if left < 0 else left, "window_size_right": 0}
    return {"softmax_scale": scale, "causal": True, **sides}


def _forward(q: Any, k: Any, v: Any, scale: float, left: int) -> Any:
    y, lse, *_ = _flash_attn_fwd(q, k, v, return_lse=True, **_options(scale, left))
    return y, lse


def _backward(q: Any, k: Any, v: Any, y: Any, lse: Any, dy: Any, scale: float, left: int) -> Any:
    return _flash_attn_bwd(q, k, v, y, dy.contiguous(), lse, **_options(scale, left))[:3]


def _forward_shapes(q: Any, *_: Any) -> Any:
    B, T, H, _D = q.shape
    return q.new_empty(q.shape), q.new_empty(B, H, T, dtype=torch.float32)


def _backward_shapes(q: Any, k: Any, v: Any, *_: Any) -> Any:
    return q.new_empty(q.shape), k.new_empty(k.shape), v.new_empty(v.shape)


def _remember(ctx: Any, inputs: Any, output: Any) -> None:
    *tensors, ctx.scale, ctx.left = inputs
    ctx.save_for_backward(*tensors, *output)


def _differentiate(ctx: Any, dy: Any, _: Any) -> Any:
    return *_gradients(*ctx.saved_tensors, dy, ctx.scale, ctx.left), None, None


_QKV, _NUMBERS = "Tensor q, Tensor k, Tensor v", "float scale, int left"
_attention = torch.library.custom_op(
    "autoresearch::fa4",
    _forward,
    mutates_args=(),
    schema=f"({_QKV}, {_NUMBERS}) -> (Tensor, Tensor)",
)
_gradients = torch.library.custom_op(
    "autoresearch::fa4_backward",
    _backward,
    mutates_args=(),
    schema=f"({_QKV}, Tensor y, Tensor lse, Tensor dy, {_NUMBERS}) -> (Tensor, Tensor, Tensor)",
)
_attention.register_fake(_forward_shapes)
_gradients.register_fake(_backward_shapes)
_attention.register_autograd(_differentiate, setup_context=_remember)
