"""One GPT, trained on one device until its data ends: the file that autoresearch evolves.

It runs beside a module `prepare`, which seeds torch, hands out rows, keeps the clock and scores the
result: `for x, y, epoch in loader` ends with the budget, and `loader.progress` (0…1) drives every schedule.
The same code trains on a CUDA GPU (bfloat16, compiled) and on a CPU (float32, eager), sized to the device.
"""

import gc
import math
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

# ---- Config: every knob, one literal a line -----------------------------------------------------

# Model
MLP_RATIO = 4  # hidden width of the MLP, in model widths
WINDOW_DIVISOR = 8  # a short window sees 1/8 of the sequence
ROPE_BASE = 200_000.0  # wavelength of the slowest rotary channel
QK_GAIN = 1.2  # on normalised queries and on keys: sharper attention
SOFTCAP = 15.0  # logits stay within ±15
VALUE_EVERY = 2  # every second layer has value embeddings, counted from the last
VALUE_GATE_CHANNELS = 32  # residual channels that gate them
SMEAR_CHANNELS = 24  # channels that decide how much of the previous token is mixed in
GRAM_RATIO = 16  # hashed rows for pairs of tokens, and as many for triples, in vocabularies
ATTENTION = "auto"  # the first that works of fa3, fa4, flash, flex and sdpa; or one of these names

# Initialisation
INIT_SCALE = 0.68  # of the uniform init of matrices, in 1/sqrt(width)
EMBED_STD = 1.0  # token embeddings
HEAD_STD = 0.001  # output head: almost uniform predictions at the start
RESID_INIT = 1.0  # weight of the residual stream at each layer
X0_INIT = 0.05  # weight of the token embedding, added again at each layer
GRAM_INIT = 0.05  # weight of the pair and triple embeddings, added at each layer
BACKOUT_INIT = 0.2  # share of the middle layer's stream that is taken out before the head

# Optimizer: learning rates of tables and head hold for width 768 and scale with 1/sqrt(width)
MATRIX_LR = 0.05  # Muon: all matrices of the blocks
EMBED_LR = 0.9  # AdamW: token embeddings
VALUE_LR = 0.9  # AdamW: value embeddings
GRAM_LR = 0.3  # AdamW: pairs and triples; most rows are rare, and a rare row takes large steps
HEAD_LR = 0.005  # AdamW: output head
RESID_LR = 0.005  # AdamW: residual weights
X0_LR = 0.5  # AdamW: weights of the token embedding at each layer
GATE_LR = 0.05  # AdamW: gates, and the weights of grams, smear and backout
MATRIX_DECAY = 0.2  # cautious weight decay of Muon
EMBED_DECAY = 0.001  # weight decay of token embeddings
GRAM_DECAY = 0.1  # of pairs and triples: without it they learn rows by heart that come again
VALUE_DECAY = 0.003  # weight decay of value embeddings
HEAD_DECAY = 0.01  # weight decay of the head
ADAM_BETA1 = 0.8  # AdamW: tables and head
ADAM_BETA2 = 0.95  # AdamW: everything
X0_BETA1 = 0.96  # AdamW: weights of the token embedding
MUON_BETA2 = 0.95  # NorMuon's second moment

# Schedules, in shares of the budget
WARMDOWN = 0.75  # last part, in which the learning rate falls
FINAL_LR = 0.05  # share of the learning rate that is left at the end
MOMENTUM_START = 0.85  # Muon's momentum at the start
MOMENTUM = 0.95  # Muon's momentum after its ramp
MOMENTUM_RAMP = 0.15  # first part, in which it rises
BATCH_RAMP = (0.5, 0.5, 1.0)  # batch in equal parts of the budget, in shares of the full one
LEAST_STEPS = 1500  # the full batch is halved until the budget holds so many steps


@dataclass(frozen=True)
class Size:
    """What fits a device: the model, and tokens per forward pass and per optimizer step."""

    memory: int  # GiB that the device has at least; 0 is the CPU
    depth: int  # layers
    dim: int  # width
    head_dim: int  # width of one attention head
    micro: int  # tokens a forward pass
    batch: int  # tokens a step, at the end of the ramp
    windows: str  # S short, L whole sequence, repeated over the layers; the last layer is always L


SIZES = (  # the first that fits is taken; the last one is the CPU's
    Size(memory=70, depth=9, dim=640, head_dim=128, micro=131072, batch=262144, windows="SSSSL"),
    Size(memory=22, depth=6, dim=512, head_dim=128, micro=65536, batch=131072, windows="SSSSL"),
    Size(memory=11, depth=6, dim=384, head_dim=128, micro=32768, batch=65536, windows="SSSL"),
    Size(memory=5, depth=4, dim=256, head_dim=64, micro=16384, batch=32768, windows="L"),
    Size(memory=0, depth=2, dim=64, head_dim=32, micro=512, batch=1024, windows="L"),
)

# ---- Attention: attend(q, k, v, window), all but `window` (B, T, H, D) ---------------------------
# A token sees itself and the `window` tokens before it; build_…(length, windows, device) prepares one.


def sdpa(q, k, v, window):
    """torch's scaled dot-product attention, short windows by a mask: works everywhere."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)
    T, mask = q.size(2), None
    if window < T:
        mask = torch.ones(T, T, dtype=torch.bool, device=q.device).tril().triu(-window)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    return y.transpose(1, 2)


def build_flash(length, windows, device):
    """FlashAttention 2, which comes with torch, for short windows; SDPA's best for the others."""

    def attend(q, k, v, window):
        if window >= length:
            return sdpa(q, k, v, window)
        rest = (None, None, length, length, 0.0, True, False)
        flash = torch.ops.aten._flash_attention_forward
        return flash(q, k, v, *rest, window_size_left=window, window_size_right=0)[0]

    return attend


def build_flex(length, windows, device):
    """FlexAttention (arXiv 2412.05496) for short windows, compiled in eager code too."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def sees(window):
        return lambda b, h, query, key: (key <= query) & (query - key <= window)

    masks = {w: create_block_mask(sees(w), None, None, length, length, device) for w in windows}
    flex = torch.compile(flex_attention)

    def attend(q, k, v, window):
        if window >= length:
            return sdpa(q, k, v, window)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        return flex(q, k, v, block_mask=masks[window]).transpose(1, 2)

    return attend


def build_fa3(length, windows, device):
    """FlashAttention 3 (arXiv 2407.08608), where it is installed."""
    from flash_attn_interface import flash_attn_func

    sides = {window: (window, 0) if window < length else (-1, -1) for window in windows}
    return lambda q, k, v, window: flash_attn_func(q, k, v, causal=True, window_size=sides[window])


def build_fa4(length, windows, device):
    """FlashAttention 4, where it is installed, through the harness's flash_attention_4."""
    from flash_attention_4 import flash_attn_func

    sides = {window: (window, 0) if window < length else (-1, -1) for window in windows}
    return lambda q, k, v, window: flash_attn_func(q, k, v, causal=True, window_size=sides[window])


ATTENTIONS = {  # in order of speed, each with the compute capabilities that it is for
    "fa3": (build_fa3, (9, 0), (9, 0)),
    "fa4": (build_fa4, (9, 0), (10, 9)),
    "flash": (build_flash, (8, 0), (99, 0)),
    "flex": (build_flex, (8, 0), (99, 0)),
    "sdpa": (lambda *_: sdpa, (0, 0), (99, 0)),
}


def capability(device):
    """CUDA's compute capability, (0, 0) on a CPU."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)


def choose_attention(length, windows, device):
    """The first attention that works here, as (name, function)."""
    for name, (build, least, most) in ATTENTIONS.items():
        if ATTENTION in ("auto", name) and least <= capability(device) <= most:
            with suppress(ImportError):  # a package that is not installed here
                return name, build(length, windows, device)
    raise ValueError(f"ATTENTION = {ATTENTION!r} does not work on this {device.type}: try 'auto'")


# ---- Model --------------------------------------------------------------------------------------


def norm(x):
    """RMSNorm without parameters over the last axis."""
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    """Rotary position embedding. x: (B, T, H, D); cos, sin: (T, 1, D), sin negative in its 2nd half."""
    swapped = x.unflatten(-1, (2, -1)).flip(-2).flatten(-2)  # the halves of each head
    return x * cos + swapped * sin


class Linear(nn.Linear):
    """A matrix that is kept in float32 for the optimizer and used in the activations' type."""

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


class Attention(nn.Module):
    """Causal self-attention with QK norm, rotary positions and, on some layers, value embeddings."""

    def __init__(self, size, attend, window, has_values):
        super().__init__()
        self.heads, self.head_dim = size.dim // size.head_dim, size.head_dim
        self.attend, self.window = attend, window
        self.qkv = nn.Parameter(torch.empty(3, size.dim, size.dim))  # one product, 3 for Muon
        self.out = Linear(size.dim, size.dim, False)
        self.value_gate = Linear(VALUE_GATE_CHANNELS, self.heads, False) if has_values else None

    def forward(self, x, values, cos, sin):
        """x: (B, T, C); values: (B, T, C) or None; cos, sin: (T, 1, D). Returns (B, T, C)."""
        B, T, C = x.shape
        qkv = F.linear(x, self.qkv.to(x.dtype).flatten(0, 1)).view(B, T, -1, self.head_dim)
        qk, v = qkv.split([2 * self.heads, self.heads], dim=2)  # (B, T, 2H, D), (B, T, H, D)

        if values is not None:  # value residual (ResFormer, arXiv 2410.17897), gated for each head
            gate = 2 * torch.sigmoid(self.value_gate(x[..., :VALUE_GATE_CHANNELS]))  # (B, T, H)
            v = v + gate.unsqueeze(-1) * values.view(B, T, self.heads, self.head_dim)

        q, k = (QK_GAIN * rotate(norm(qk), cos, sin)).chunk(2, dim=2)  # (B, T, H, D) each
        return self.out(self.attend(q, k, v, self.window).reshape(B, T, C))


class MLP(nn.Module):
    """Two matrices with a squared ReLU between them (Primer, arXiv 2109.08668)."""

    def __init__(self, size):
        super().__init__()
        self.fc = Linear(size.dim, MLP_RATIO * size.dim, False)
        self.out = Linear(MLP_RATIO * size.dim, size.dim, False)

    def forward(self, x):
        return self.out(F.relu(self.fc(x)).square())


class Block(nn.Module):
    """Attention, then MLP, each on the normalised stream and added to it."""

    def __init__(self, size, attend, window, has_values):
        super().__init__()
        self.attn, self.mlp = Attention(size, attend, window, has_values), MLP(size)

    def forward(self, x, values, cos, sin):
        x = x + self.attn(norm(x), values, cos, sin)
        return x + self.mlp(norm(x))


def layer_windows(size, length):
    """How many tokens before it a token sees, for each layer."""
    short = max(1, length // WINDOW_DIVISOR)
    kinds = [size.windows[i % len(size.windows)] for i in range(size.depth - 1)] + ["L"]
    return [length if kind == "L" else short for kind in kinds]


class GPT(nn.Module):
    """`model(x)` gives float32 logits (B, T, V), `model(x, y)` the mean loss in nats."""

    def __init__(self, size, vocab_size, sequence_length, attend, dtype=torch.float32):
        super().__init__()
        self.size, self.vocab_size, self.sequence_length = size, vocab_size, sequence_length
        self.dtype = dtype  # of the activations
        self.windows = layer_windows(size, sequence_length)
        self.value_layers = list(range((size.depth - 1) % VALUE_EVERY, size.depth, VALUE_EVERY))
        self.embed = nn.Embedding(vocab_size, size.dim)
        self.values = nn.Embedding(vocab_size, size.dim * len(self.value_layers))
        self.grams = nn.Embedding(2 * GRAM_RATIO * vocab_size, size.dim)
        self.smear_gate = Linear(SMEAR_CHANNELS, 1, False)
        self.blocks = nn.ModuleList(
            Block(size, attend, w, i in self.value_layers) for i, w in enumerate(self.windows)
        )
        self.head = Linear(size.dim, vocab_size, False)
        self.resid_weight = nn.Parameter(torch.empty(size.depth))
        self.x0_weight = nn.Parameter(torch.empty(size.depth))
        self.gram_weight = nn.Parameter(torch.empty(size.depth))
        self.smear_weight = nn.Parameter(torch.empty(1))
        self.backout_weight = nn.Parameter(torch.empty(1))
        rates = ROPE_BASE ** -torch.linspace(0, 1, size.head_dim // 2 + 1)[:-1]
        angles = torch.outer(torch.arange(sequence_length), rates)[:, None, :]  # (T, 1, D/2)
        cos, sin = angles.cos().repeat(1, 1, 2), torch.cat([angles.sin(), -angles.sin()], dim=-1)
        self.register_buffer("cos", cos.to(dtype), persistent=False)
        self.register_buffer("sin", sin.to(dtype), persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self):
        """All initial values. Output projections are zero: every block starts as the identity."""
        bound = INIT_SCALE * math.sqrt(3 / self.size.dim)  # standard deviation INIT_SCALE / sqrt(C)
        self.embed.weight.normal_(std=EMBED_STD)
        self.values.weight.uniform_(-bound, bound)
        zeros = [self.grams, self.smear_gate]
        for block in self.blocks:
            block.attn.qkv.uniform_(-bound, bound)
            block.mlp.fc.weight.uniform_(-bound, bound)
            zeros += [block.attn.out, block.mlp.out, block.attn.value_gate]
        for module in filter(None, zeros):
            module.weight.zero_()
        self.head.weight.normal_(std=HEAD_STD)
        self.resid_weight.fill_(RESID_INIT)
        self.x0_weight.fill_(X0_INIT)
        self.gram_weight.fill_(GRAM_INIT)
        self.smear_weight.zero_()
        self.backout_weight.fill_(BACKOUT_INIT)

    def forward(self, tokens, targets=None, reduction="mean"):
        """tokens, targets: (B, T) int64. Logits (B, T, V) float32, or the cross-entropy in nats."""
        cos, sin = self.cos[: tokens.size(1)], self.sin[: tokens.size(1)]  # (T, 1, D)
        x = norm(self.embed(tokens).to(self.dtype))  # (B, T, C)

        # Smear: a learned share of the previous token's embedding (modded-nanogpt #34).
        gate = self.smear_weight * torch.sigmoid(self.smear_gate(x[:, 1:, :SMEAR_CHANNELS]))
        x = torch.cat([x[:, :1], x[:, 1:] + gate.to(x.dtype) * x[:, :-1]], dim=1)

        # Grams: a row for each hashed pair and triple of tokens (modded-nanogpt #62, and one more).
        rows = GRAM_RATIO * self.vocab_size
        last, before = F.pad(tokens, (1, 0))[:, :-1], F.pad(tokens, (2, 0))[:, :-2]
        pairs = 36313 * tokens ^ 27191 * last
        grams = self.grams(pairs % rows) + self.grams((pairs ^ 51749 * before) % rows + rows)
        grams = grams.to(self.dtype)  # (B, T, C)

        values = self.values(tokens).to(self.dtype).chunk(len(self.value_layers), dim=-1)
        values = dict(zip(self.value_layers, values, strict=True))  # (B, T, C) by layer
        x0 = x
        for i, block in enumerate(self.blocks):
            x = self.resid_weight[i].to(x.dtype) * x + self.x0_weight[i].to(x.dtype) * x0
            x = x + self.gram_weight[i].to(x.dtype) * grams
            x = block(x, values.get(i), cos, sin)
            if i == self.size.depth // 2:
                middle = x
        # Backout: what only the layers in between need is taken out (modded-nanogpt #40).
        x = x - self.backout_weight.to(x.dtype) * middle

        logits = self.head(norm(x)).float()  # (B, T, V)
        logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)

    def parameter_counts(self):
        """Parameters by role, and `total`."""
        roles = {"embed": self.embed, "values": self.values, "grams": self.grams}
        roles |= {"head": self.head, "matrices": self.blocks, "total": self}
        counts = {role: sum(p.numel() for p in part.parameters()) for role, part in roles.items()}
        return {**counts, "scalars": 2 * counts["total"] - sum(counts.values())}

    def flops_per_token(self):
        """Forward and backward: 6 a matrix weight, 12 C a key in sight (PaLM, arXiv 2204.02311)."""
        counts = self.parameter_counts()
        return 6 * (counts["matrices"] + counts["head"]) + 12 * self.size.dim * sum(self.windows)


# ---- Optimizer ----------------------------------------------------------------------------------

# Five steps towards the nearest orthogonal matrix: Polar Express (Amsel et al., arXiv 2505.16932).
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalise(g):
    """g: (N, rows, columns) with all singular values pushed to about 1."""
    tall = g.size(-2) > g.size(-1)
    x = g.mT if tall else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-6)
    for a, b, c in POLAR_EXPRESS:
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def muon_update(weight, grad, mean, variance, lr, momentum, decay, dtype):
    """One Muon step on matrices of one shape, in place (Jordan et al. 2024).

    weight, grad, mean: (N, rows, columns); variance: (N, rows, 1) or, for wide ones, (N, 1, columns);
    lr, momentum, decay: 0-D tensors, so that a change of them does not compile the step again.
    """
    mean.lerp_(grad, 1 - momentum)
    update = orthogonalise(torch.lerp(grad, mean, momentum).to(dtype)).float()  # Nesterov
    # NorMuon (arXiv 2510.05491): neurons with large updates get smaller ones; the norm is kept.
    axis = -1 if variance.size(-1) == 1 else -2
    variance.lerp_(update.square().mean(dim=axis, keepdim=True), 1 - MUON_BETA2)
    length = update.norm(dim=(-2, -1), keepdim=True)
    update = update * variance.clamp_min(1e-10).rsqrt()
    update = update * (length / update.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-10))
    # Cautious decay: only weights that the update also pulls towards zero.
    update = update + decay * weight * (update * weight > 0)
    weight.sub_(lr * max(1.0, weight.size(-2) / weight.size(-1)) ** 0.5 * update)


class Muon(torch.optim.Optimizer):
    """Muon for matrices, (rows, columns) or (N, rows, columns), one stacked update a shape."""

    def __init__(self, params, lr, dtype, compiled):
        by_shape = {}
        for p in params:
            by_shape.setdefault(p.shape[-2:], []).append(p)
        groups = [{"params": group} for group in by_shape.values()]
        super().__init__(groups, {"lr": lr, "momentum": MOMENTUM, "weight_decay": MATRIX_DECAY})
        self.dtype = dtype
        self.update = torch.compile(muon_update, dynamic=False) if compiled else muon_update

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            params = [p.view(-1, *p.shape[-2:]) for p in group["params"]]
            weight = torch.cat(params)  # (N, rows, columns)
            grad = torch.cat([p.grad.view(-1, *p.shape[-2:]) for p in group["params"]])
            state = self.state[group["params"][0]]
            if not state:
                tall = weight.size(-2) >= weight.size(-1)
                state["mean"] = torch.zeros_like(weight)
                state["variance"] = torch.zeros_like(weight[..., :1] if tall else weight[:, :1])
            numbers = torch.tensor([group["lr"], group["momentum"], group["weight_decay"]]).unbind()
            self.update(weight, grad, state["mean"], state["variance"], *numbers, self.dtype)
            torch._foreach_copy_(params, weight.split([len(p) for p in params]))


def make_optimizers(model, dtype, compiled):
    """Muon for the blocks' matrices, AdamW for the rest; every parameter in exactly one group."""
    scale = (model.size.dim / 768) ** -0.5
    matrices = [p for name, p in model.blocks.named_parameters() if "gate" not in name]
    gates = [p for name, p in model.named_parameters() if "gate" in name]
    gates += [model.gram_weight, model.smear_weight, model.backout_weight]

    def adam(params, lr, decay=0.0, beta1=ADAM_BETA1):
        return {"params": params, "lr": lr, "weight_decay": decay, "betas": (beta1, ADAM_BETA2)}

    groups = [
        adam([model.embed.weight], EMBED_LR * scale, EMBED_DECAY),
        adam([model.values.weight], VALUE_LR * scale, VALUE_DECAY),
        adam([model.grams.weight], GRAM_LR * scale, GRAM_DECAY / scale),
        adam([model.head.weight], HEAD_LR * scale, HEAD_DECAY),
        adam([model.resid_weight], RESID_LR),
        adam([model.x0_weight], X0_LR, beta1=X0_BETA1),
        adam(gates, GATE_LR),
    ]
    adamw = torch.optim.AdamW(groups, eps=1e-10, fused=True)
    muon = Muon(matrices, MATRIX_LR, dtype, compiled)
    all_groups = adamw.param_groups + muon.param_groups
    grouped = [id(p) for group in all_groups for p in group["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters())), "a parameter was forgotten"
    for group in all_groups:
        group["base_lr"] = group["lr"]
    return adamw, muon


# ---- Schedule: pure functions of progress, 0…1 --------------------------------------------------


def lr_multiplier(progress):
    """0 before the clock, where rows have no order; constant; then a straight line to FINAL_LR."""
    left = 1.0 if progress <= 1.0 - WARMDOWN else (1.0 - progress) / WARMDOWN
    return (FINAL_LR + (1.0 - FINAL_LR) * left) if progress > 0.0 else 0.0


def muon_momentum(progress):
    """From MOMENTUM_START to MOMENTUM in a straight line, then constant."""
    risen = 1.0 if progress >= MOMENTUM_RAMP else progress / MOMENTUM_RAMP
    return MOMENTUM_START + (MOMENTUM - MOMENTUM_START) * risen


def batch_share(progress):
    """The batch in shares of the full one, by equal parts of the budget."""
    return BATCH_RAMP[min(int(progress * len(BATCH_RAMP)), len(BATCH_RAMP) - 1)]


def accumulation(size, progress):
    """Forward passes that make an optimizer step."""
    return max(1, round(size.batch * batch_share(progress) / size.micro))


def apply_schedules(adamw, muon, progress):
    """Set what changes over the budget; returns the learning rate's multiplier."""
    lrm = lr_multiplier(progress) * batch_share(progress) ** 0.5
    for group in adamw.param_groups + muon.param_groups:
        group["lr"] = group["base_lr"] * lrm
    for group in muon.param_groups:
        group.update(momentum=muon_momentum(progress), weight_decay=MATRIX_DECAY * (1 - progress))
    return lrm


# ---- Report -------------------------------------------------------------------------------------

# Dense bfloat16 FLOP/s, by a part of the device's name.
PEAK_FLOPS = {"H100": 989.5e12, "H200": 989.5e12, "B200": 2250e12, "A100": 312e12}
PEAK_FLOPS |= {"L40S": 362e12, "4090": 165e12, "3090": 71e12}


class Log:
    """Counts steps and time for display; stops the script when the loss is lost."""

    def __init__(self, device, flops_per_token):
        self.cuda, self.flops_per_token = device.type == "cuda", flops_per_token
        name = torch.cuda.get_device_name(device) if self.cuda else ""
        self.peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), math.inf)
        self.step, self.tokens, self.smooth, self.printed = 0, 0, 0.0, -1.0
        self.last = self.start = time.perf_counter()
        self.start_tokens = 0  # before the budget began, at `start`
        self.pending = None  # the last loss, and what tells that it has arrived

    def mfu(self, tokens, seconds):
        """Share of the device's peak in percent; 0 where the peak is not known."""
        return 100 * self.flops_per_token * tokens / max(seconds, 1e-9) / self.peak

    def update(self, loss, tokens, progress, lrm, epoch):
        """Note a step with its loss, a 0-D tensor that is read one step late: nobody waits for it."""
        now = time.perf_counter()
        dt, self.last = now - self.last, now
        self.step, self.tokens = self.step + 1, self.tokens + tokens
        if progress == 0:
            self.start, self.start_tokens = now, self.tokens
        copied = torch.cuda.current_stream().record_event if self.cuda else lambda: None
        waiting = self.pending
        self.pending = (loss.detach().to("cpu", non_blocking=True), copied())
        if waiting is None:
            return
        if self.cuda:
            waiting[1].synchronize()
        loss = waiting[0].item()
        if math.isnan(loss) or loss > 100:
            print("\nFAIL", flush=True)
            sys.exit(1)
        self.smooth = 0.9 * self.smooth + 0.1 * loss
        if not self.cuda and progress - self.printed < 0.01:
            return
        self.printed = progress
        debiased = self.smooth / (1 - 0.9 ** (self.step - 1))
        remaining = (now - self.start) * (1 / progress - 1) if progress else TIME_BUDGET
        line = (
            f"step {self.step - 1:05d} ({100 * progress:.1f}%) | loss: {debiased:.6f} | "
            f"lrm: {lrm:.2f} | dt: {dt * 1000:.0f}ms | tok/sec: {int(tokens / dt):,} | "
            f"mfu: {self.mfu(tokens, dt):.1f}% | epoch: {epoch} | remaining: {remaining:.0f}s"
        )
        print(f"\r{line}    " if self.cuda else line, end="" if self.cuda else "\n", flush=True)


def print_setup(size, model, attention, device):
    """The ancestor's start-up lines, with the device and the attention that was chosen."""
    print(f"Vocab size: {model.vocab_size:,}")
    print(f"Device: {device} | attention: {attention} | torch {torch.__version__}")
    print(f"Model config: {asdict(size)} | sequence: {model.sequence_length}")
    print(f"Parameter counts: {model.parameter_counts()}")
    print(f"Estimated FLOPs per token: {model.flops_per_token():e}")
    print(f"Time budget: {TIME_BUDGET}s")
    first, last = accumulation(size, 0), accumulation(size, 1)
    print(f"Batch: {size.micro} tokens × {first}…{last}", flush=True)


def print_summary(model, log, val_bpb, training_seconds, total_seconds):
    """The ancestor's summary block, to the letter."""
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    mfu = log.mfu(log.tokens - log.start_tokens, training_seconds)
    print(f"""
---
val_bpb:          {val_bpb:.6f}
training_seconds: {training_seconds:.1f}
total_seconds:    {total_seconds:.1f}
peak_vram_mb:     {peak:.1f}
mfu_percent:      {mfu:.2f}
total_tokens_M:   {log.tokens / 1e6:.1f}
num_steps:        {log.step}
num_params_M:     {model.parameter_counts()["total"] / 1e6:.1f}
depth:            {model.size.depth}""", flush=True)  # fmt: skip


# ---- Train --------------------------------------------------------------------------------------


def choose_size(device):
    """The largest size that the device's memory holds."""
    memory = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else 0
    return next(size for size in SIZES if memory >= size.memory * 2**30)


def fit_batch(size, flops_per_token, device):
    """`size`, its batch halved until the budget holds LEAST_STEPS at the speed of this device."""
    if device.type != "cuda":
        return size
    a = torch.randn(8192, 8192, device=device, dtype=torch.bfloat16)
    for _ in range(3):  # the last one counts
        began = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
    speed = 2 * 8192**3 / (time.perf_counter() - began)  # of matrix products; training has half
    tokens, batch = 0.5 * speed / flops_per_token * TIME_BUDGET, size.batch
    while tokens * sum(1 / share for share in BATCH_RAMP) / len(BATCH_RAMP) < LEAST_STEPS * batch:
        batch //= 2
    return replace(size, batch=batch, micro=min(size.micro, batch))


def train(model, loader, optimizers, size, log):
    """Train until the loader ends."""
    adamw, muon = optimizers
    served, wanted = 0, accumulation(size, 0.0)
    for x, y, epoch in loader:
        loss = model(x, y)
        (loss / wanted).backward()
        served += 1
        if served < wanted:
            continue
        lrm = apply_schedules(adamw, muon, loader.progress)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        log.update(loss, served * x.numel(), loader.progress, lrm, epoch)
        served, wanted = 0, accumulation(size, loader.progress)
        if log.step == 1:  # the collector would stall steps later on; what lives now lives on
            gc.collect()
            gc.freeze()
            gc.disable()


def main():
    """Build, train, score, report."""
    began = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if capability(device) >= (8, 0) else torch.float32
    compiled = capability(device) >= (7, 0)  # what Triton supports
    torch.set_float32_matmul_precision("high")

    tokenizer = Tokenizer.from_directory()
    size = choose_size(device)
    attention, attend = choose_attention(MAX_SEQ_LEN, layer_windows(size, MAX_SEQ_LEN), device)
    with torch.device(device):
        model = GPT(size, tokenizer.get_vocab_size(), MAX_SEQ_LEN, attend, dtype)
    size = fit_batch(size, model.flops_per_token(), device)
    rows = max(1, size.micro // MAX_SEQ_LEN)
    print_setup(size, model, attention, device)

    optimizers = make_optimizers(model, dtype, compiled)
    loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")
    log = Log(device, model.flops_per_token())
    run = torch.compile(model, dynamic=False) if compiled else model
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    if capability(device) == (9, 0):  # there, and not elsewhere, it is the fastest
        kernels.insert(0, SDPBackend.CUDNN_ATTENTION)
    with sdpa_kernel(kernels, set_priority=True):
        train(run, loader, optimizers, size, log)
        training_seconds = time.perf_counter() - log.start
        model.eval()
        val_bpb = evaluate_bpb(model, tokenizer, rows)
    print_summary(model, log, val_bpb, training_seconds, time.perf_counter() - began)


if __name__ == "__main__":
    main()
