"""What a candidate imports as `kernels`: FlashAttention's interface through what is installed.

It exists so that the ancestor's train.py, and those of its forks, run unmodified: they fetch FlashAttention 3
from a hub that a sandbox without a network cannot reach. It fetches nothing. A script that is written for this
harness needs none of it.
"""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

_CAPABILITY = torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)
_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
_NAME = "torch's SDPA, with short windows by mask,"
if _CAPABILITY >= (8, 0):
    _NAME = "torch's SDPA, with FlashAttention 2 for short windows,"
if _CAPABILITY == (9, 0):  # there, and not elsewhere, cuDNN's kernel is the fastest
    _BACKENDS.insert(0, SDPBackend.CUDNN_ATTENTION)
_installed: Any = None  # flash_attn_func of FlashAttention 3 or 4
if _CAPABILITY == (9, 0) and find_spec("flash_attn_interface"):
    import flash_attn_interface as flash_3  # type: ignore[import-not-found, unused-ignore]

    _installed, _NAME = flash_3.flash_attn_func, "the installed FlashAttention 3"
elif _CAPABILITY >= (9, 0):
    with suppress(ImportError):
        import flash_attention_4

        _installed, _NAME = flash_attention_4.flash_attn_func, "the installed FlashAttention 4"


def flash_attn_func(
    q: Any,
    k: Any,
    v: Any,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
) -> Any:
    """Attention in FlashAttention's layout. q, result: (B, T, H, D); k, v: (B, T, G, D), H a multiple of G.

    Window (left, right): keys in sight before a token and after it, beside its own; below 0 is all of them,
    and `causal` means right = 0. Raises ValueError when there are not as many keys as queries.
    """
    T, scale = q.size(1), softmax_scale
    if k.size(1) != T:
        raise ValueError(f"this stand-in wants as many keys as queries, not {k.size(1)} and {T}")
    left, right = (side if 0 <= side < T else -1 for side in window_size)
    right = 0 if causal else right
    q, k = q.to(v.dtype), k.to(v.dtype)  # torch 2.12 normalises in float32 under autocast
    if _installed and right == 0:
        return _installed(q, k, v, scale, causal=True, window_size=(left, 0))
    if k.size(2) < q.size(2):  # grouped queries: what follows wants equal heads
        k, v = (x.repeat_interleave(q.size(2) // x.size(2), dim=2) for x in (k, v))
    if left >= 0 and right == 0 and _CAPABILITY >= (8, 0):
        sides = {"scale": scale, "window_size_left": left, "window_size_right": 0}
        flash_2 = torch.ops.aten._flash_attention_forward
        return flash_2(q, k, v, None, None, T, T, 0.0, True, False, **sides)[0]
    mask = None
    if left >= 0 or right > 0:
        mask = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(-left if left >= 0 else -T)
        mask = mask.tril(right if right >= 0 else T)
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (B, H, T, D)
    lower = mask is None and right == 0
    with sdpa_kernel(_BACKENDS, set_priority=True):
        y = scaled_dot_product_attention(q, k, v, mask, is_causal=lower, scale=scale)
    return y.transpose(1, 2)


def get_kernel(repo_id: str, *_: Any, **__: Any) -> ModuleType:
    """The stand-in for a FlashAttention of the hub; it says so. Raises ValueError for any other kernel."""
    if "flash" not in repo_id or "att" not in repo_id:
        raise ValueError(
            f"get_kernel({repo_id!r}): a candidate has no network, and only FlashAttention has a stand-in; "
            "write this kernel in train.py, in Triton or in torch"
        )
    print(f"kernels: {_NAME} stands in for {repo_id}", flush=True)
    return _hub


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"{name!r} has no stand-in: kernels has get_kernel, and FlashAttention has flash_attn_func(q, k, v, "
        "softmax_scale, causal, window_size); for the rest use torch's scaled_dot_product_attention"
    )


_hub, flash_attn_interface = ModuleType("kernels_hub"), ModuleType("flash_attn_interface")
vars(flash_attn_interface).update(flash_attn_func=flash_attn_func, __getattr__=__getattr__)
vars(_hub).update(vars(flash_attn_interface), flash_attn_interface=flash_attn_interface)
