"""One GPT, trained on one device until its data ends: the file that autoresearch evolves.

It runs beside a module `prepare`, which hands out rows, keeps the clock and scores the result. Nothing
here measures the budget: `for x, y, epoch in loader` ends when it is spent, and `loader.progress` (0…1)
drives every schedule. The same code trains on a CUDA GPU (bfloat16, compiled) and on a CPU (float32,
eager), sized to the device's memory. Whoever starts the script seeds torch, so that repeats differ.
"""

import gc
import math
import sys
import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec

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
BIGRAM_RATIO = 8  # rows of the hashed table of token pairs, in vocabularies

# Initialisation
INIT_SCALE = 0.68  # of the uniform init of matrices, in 1/sqrt(width)
FC_INIT_SCALE = 1.0  # of the MLP's first matrix, on top of INIT_SCALE
EMBED_STD = 1.0  # token embeddings
HEAD_STD = 0.001  # output head: almost uniform predictions at the start
RESID_INIT = 1.0  # weight of the residual stream at each layer
X0_INIT = 0.05  # weight of the token embedding, added again at each layer
BIGRAM_INIT = 0.05  # weight of the bigram embedding, added at each layer

# Optimizer: learning rates of tables and head hold for width 768 and scale with 1/sqrt(width)
MATRIX_LR = 0.04  # Muon: all matrices of the blocks
EMBED_LR = 0.9  # AdamW: token embeddings
VALUE_LR = 0.9  # AdamW: value embeddings
BIGRAM_LR = 0.3  # AdamW: bigram embeddings; most rows are rare, and a rare row takes large steps
HEAD_LR = 0.005  # AdamW: output head
RESID_LR = 0.005  # AdamW: residual weights
X0_LR = 0.5  # AdamW: weights of the token embedding at each layer
GATE_LR = 0.05  # AdamW: weights of bigrams at each layer, and of smear
MATRIX_DECAY = 0.2  # cautious weight decay of Muon
EMBED_DECAY = 0.001  # weight decay of token and bigram embeddings
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


@dataclass(frozen=True)
class Size:
    """What fits a device: the model, and tokens per forward pass and per optimizer step."""

    memory: int  # GiB that the device has at least; 0 is the CPU
    depth: int  # layers
    dim: int  # width
    head_dim: int  # width of one attention head
    micro: int  # tokens a forward pass
    batch: int  # tokens a step
    windows: str  # S short, L whole sequence, repeated over the layers; the last layer is always L


# The first row that fits is taken; the last one is the CPU's.
SIZES = (
    Size(memory=70, depth=9, dim=640, head_dim=128, micro=131072, batch=262144, windows="SSSSL"),
    Size(memory=22, depth=6, dim=512, head_dim=128, micro=65536, batch=65536, windows="SSSSL"),
    Size(memory=11, depth=6, dim=384, head_dim=128, micro=32768, batch=32768, windows="SSSL"),
    Size(memory=5, depth=4, dim=256, head_dim=64, micro=16384, batch=32768, windows="L"),
    Size(memory=0, depth=2, dim=64, head_dim=32, micro=512, batch=1024, windows="L"),
)

# ---- Attention backend --------------------------------------------------------------------------


def masked_attention(q, k, v, window):
    """Causal attention to each token and the `window` before it. q, k, v, result: (B, T, H, D)."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)  # (B, H, T, D)
    T = q.size(2)
    if window >= T:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        mask = torch.ones(T, T, dtype=torch.bool, device=q.device).tril().triu(-window)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2)


def flash_attention(q, k, v, window):
    """As `masked_attention`, with torch's FlashAttention 2 where a window is short."""
    T = q.size(1)
    if window >= T:
        return masked_attention(q, k, v, window)
    flash = torch.ops.aten._flash_attention_forward
    sides = {"window_size_left": window, "window_size_right": 0}
    return flash(q, k, v, None, None, T, T, 0.0, True, False, **sides)[0]


def capability(device):
    """CUDA's compute capability, (0, 0) on a CPU."""
    return torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)


def choose_attention(device):
    """The fastest attention here, as (name, function)."""
    if capability(device) < (8, 0):
        return "SDPA, windows by mask", masked_attention
    if capability(device) == (9, 0) and find_spec("flash_attn_interface"):
        from flash_attn_interface import flash_attn_func

        def flash_attention_3(q, k, v, window):
            return flash_attn_func(q, k, v, causal=True, window_size=(window, 0))

        return "FlashAttention 3", flash_attention_3
    return "SDPA, windows by FlashAttention 2", flash_attention


# ---- Model --------------------------------------------------------------------------------------


def norm(x):
    """RMSNorm without parameters over the last axis."""
    return F.rms_norm(x, (x.size(-1),))


def rotate(x, cos, sin):
    """Rotary position embedding. x: (B, T, H, D); cos, sin: (T, 1, D/2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)


class Linear(nn.Module):
    """A matrix without bias, kept in float32 for the optimizer and used in the activations' type."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x):
        """(…, inputs) -> (…, outputs)."""
        return F.linear(x, self.weight.to(x.dtype))


class Table(nn.Module):
    """Learned rows, kept in float32 and looked up in the activations' type."""

    def __init__(self, rows, width, dtype):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        self.dtype = dtype

    def forward(self, index):
        """(…) int64 -> (…, width)."""
        return F.embedding(index, self.weight).to(self.dtype)


class Attention(nn.Module):
    """Causal self-attention with QK norm, rotary positions and, on some layers, value embeddings."""

    def __init__(self, size, attend, window, has_values):
        super().__init__()
        self.heads, self.head_dim = size.dim // size.head_dim, size.head_dim
        self.attend, self.window = attend, window
        self.qkv = nn.Parameter(
            torch.empty(3, size.dim, size.dim)
        )  # one fused product, three Muon matrices
        self.out = Linear(size.dim, size.dim)
        self.value_gate = Linear(VALUE_GATE_CHANNELS, self.heads) if has_values else None

    def forward(self, x, values, cos, sin):
        """x: (B, T, C); values: (B, T, C) or None; cos, sin: (T, 1, D/2). Returns (B, T, C)."""
        B, T, C = x.shape
        qkv = F.linear(x, self.qkv.to(x.dtype).flatten(0, 1))  # (B, T, 3C)
        q, k, v = qkv.view(B, T, 3, self.heads, self.head_dim).unbind(2)  # (B, T, H, D) each
        if (
            values is not None
        ):  # ResFormer's value residual, with a gate for each head that starts at 1
            gate = 2 * torch.sigmoid(self.value_gate(x[..., :VALUE_GATE_CHANNELS]))  # (B, T, H)
            v = v + gate.unsqueeze(-1) * values.view(B, T, self.heads, self.head_dim)
        q, k = rotate(norm(q), cos, sin) * QK_GAIN, rotate(norm(k), cos, sin) * QK_GAIN
        y = self.attend(q, k, v, self.window)
        return self.out(y.reshape(B, T, C))


class MLP(nn.Module):
    """Two matrices with a squared ReLU between them (Primer, arXiv 2109.08668)."""

    def __init__(self, size):
        super().__init__()
        self.fc = Linear(size.dim, MLP_RATIO * size.dim)
        self.out = Linear(MLP_RATIO * size.dim, size.dim)

    def forward(self, x):
        """(B, T, C) -> (B, T, C)."""
        return self.out(F.relu(self.fc(x)).square())


class Block(nn.Module):
    """Attention, then MLP, each on the normalised stream and added to it."""

    def __init__(self, size, attend, window, has_values):
        super().__init__()
        self.attn = Attention(size, attend, window, has_values)
        self.mlp = MLP(size)

    def forward(self, x, values, cos, sin):
        """Arguments and result as in `Attention`."""
        x = x + self.attn(norm(x), values, cos, sin)
        return x + self.mlp(norm(x))


class GPT(nn.Module):
    """`model(x)` gives float32 logits (B, T, V), `model(x, y)` the mean loss in nats."""

    def __init__(self, size, vocab_size, sequence_length, attend, dtype=torch.float32):
        super().__init__()
        self.size, self.vocab_size, self.sequence_length = size, vocab_size, sequence_length
        short = max(1, sequence_length // WINDOW_DIVISOR)
        kinds = [size.windows[i % len(size.windows)] for i in range(size.depth - 1)] + ["L"]
        self.windows = [sequence_length if kind == "L" else short for kind in kinds]
        self.value_layers = list(range((size.depth - 1) % VALUE_EVERY, size.depth, VALUE_EVERY))
        self.embed = Table(vocab_size, size.dim, dtype)
        self.values = Table(vocab_size, size.dim * len(self.value_layers), dtype)
        self.bigram = Table(BIGRAM_RATIO * vocab_size, size.dim, dtype)
        self.smear_gate = Linear(SMEAR_CHANNELS, 1)
        self.blocks = nn.ModuleList(
            Block(size, attend, window, i in self.value_layers)
            for i, window in enumerate(self.windows)
        )
        self.head = Linear(size.dim, vocab_size)
        self.resid_weight = nn.Parameter(torch.empty(size.depth))
        self.x0_weight = nn.Parameter(torch.empty(size.depth))
        self.bigram_weight = nn.Parameter(torch.empty(size.depth))
        self.smear_weight = nn.Parameter(torch.empty(1))
        rates = ROPE_BASE ** -torch.linspace(0, 1, size.head_dim // 2 + 1)[:-1]
        angles = torch.outer(torch.arange(sequence_length), rates)[:, None, :]  # (T, 1, D/2)
        self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
        self.register_buffer("sin", angles.sin().to(dtype), persistent=False)
        self.initialise()

    @torch.no_grad()
    def initialise(self):
        """All initial values. Output projections are zero: every block starts as the identity."""
        bound = INIT_SCALE * math.sqrt(3 / self.size.dim)  # standard deviation INIT_SCALE / sqrt(C)
        fc_bound = FC_INIT_SCALE * bound
        self.embed.weight.normal_(std=EMBED_STD)
        self.values.weight.uniform_(-bound, bound)
        self.bigram.weight.zero_()
        self.smear_gate.weight.zero_()
        for block in self.blocks:
            block.attn.qkv.uniform_(-bound, bound)
            block.attn.out.weight.zero_()
            if block.attn.value_gate is not None:
                block.attn.value_gate.weight.zero_()
            block.mlp.fc.weight.uniform_(-fc_bound, fc_bound)
            block.mlp.out.weight.zero_()
        self.head.weight.normal_(std=HEAD_STD)
        self.resid_weight.fill_(RESID_INIT)
        self.x0_weight.fill_(X0_INIT)
        self.bigram_weight.fill_(BIGRAM_INIT)
        self.smear_weight.zero_()

    def forward(self, tokens, targets=None, reduction="mean"):
        """tokens, targets: (B, T) int64. Logits (B, T, V) float32, or the cross-entropy in nats."""
        cos, sin = self.cos[: tokens.size(1)], self.sin[: tokens.size(1)]  # (T, 1, D/2)
        x = norm(self.embed(tokens))  # (B, T, C)

        # Smear: a learned share of the previous token's embedding (modded-nanogpt #34).
        gate = self.smear_weight * torch.sigmoid(self.smear_gate(x[:, 1:, :SMEAR_CHANNELS]))
        x = torch.cat([x[:, :1], x[:, 1:] + gate.to(x.dtype) * x[:, :-1]], dim=1)

        # Bigrams: a row for each hashed pair of tokens (modded-nanogpt #62); the first has none.
        last = BIGRAM_RATIO * self.vocab_size - 1
        pair = ((36313 * tokens[:, 1:]) ^ (27191 * tokens[:, :-1])) % last
        pairs = self.bigram(F.pad(pair, (1, 0), value=last))  # (B, T, C)

        per_layer = self.values(tokens).chunk(len(self.value_layers), dim=-1)  # (B, T, C) each
        values = dict(zip(self.value_layers, per_layer, strict=True))
        x0 = x
        for i, block in enumerate(self.blocks):
            x = self.resid_weight[i].to(x.dtype) * x + self.x0_weight[i].to(x.dtype) * x0
            x = x + self.bigram_weight[i].to(x.dtype) * pairs
            x = block(x, values.get(i), cos, sin)
        logits = self.head(norm(x)).float()  # (B, T, V)
        logits = SOFTCAP * torch.tanh(logits / SOFTCAP)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)

    def parameter_counts(self):
        """Parameters by role, and `total`."""
        counts = {
            "embed": self.embed.weight.numel(),
            "value_embeds": self.values.weight.numel(),
            "bigram_embeds": self.bigram.weight.numel(),
            "head": self.head.weight.numel(),
            "matrices": sum(p.numel() for p in self.blocks.parameters()),
        }
        total = sum(p.numel() for p in self.parameters())
        return {**counts, "scalars": total - sum(counts.values()), "total": total}

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
        """Apply the gradients."""
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
    gates = [model.bigram_weight, model.smear_weight, model.smear_gate.weight]

    def adam(params, lr, decay=0.0, beta1=ADAM_BETA1):
        return {"params": params, "lr": lr, "weight_decay": decay, "betas": (beta1, ADAM_BETA2)}

    groups = [
        adam([model.embed.weight], EMBED_LR * scale, EMBED_DECAY),
        adam([model.values.weight], VALUE_LR * scale, VALUE_DECAY),
        adam([model.bigram.weight], BIGRAM_LR * scale, EMBED_DECAY),
        adam([model.head.weight], HEAD_LR * scale, HEAD_DECAY),
        adam([model.resid_weight], RESID_LR),
        adam([model.x0_weight], X0_LR, beta1=X0_BETA1),
        adam(gates, GATE_LR),
    ]
    adamw = torch.optim.AdamW(groups, eps=1e-10, fused=True)
    muon = Muon(model.blocks.parameters(), MATRIX_LR, dtype, compiled)
    all_groups = adamw.param_groups + muon.param_groups
    grouped = [id(p) for group in all_groups for p in group["params"]]
    assert sorted(grouped) == sorted(map(id, model.parameters())), "a parameter was forgotten"
    for group in all_groups:
        group["base_lr"] = group["lr"]
    return adamw, muon


# ---- Schedule: pure functions of progress, 0…1 --------------------------------------------------


def lr_multiplier(progress):
    """Constant, then a straight line down to FINAL_LR. Warmup costs more than it gives."""
    left = 1.0 if progress <= 1.0 - WARMDOWN else (1.0 - progress) / WARMDOWN
    return FINAL_LR + (1.0 - FINAL_LR) * left


def muon_momentum(progress):
    """From MOMENTUM_START to MOMENTUM in a straight line, then constant."""
    risen = 1.0 if progress >= MOMENTUM_RAMP else progress / MOMENTUM_RAMP
    return MOMENTUM_START + (MOMENTUM - MOMENTUM_START) * risen


def decay_multiplier(progress):
    """A straight line from 1 to 0."""
    return 1.0 - progress


def apply_schedules(adamw, muon, progress):
    """Set what changes over the budget; returns the learning rate's multiplier."""
    lrm = lr_multiplier(progress)
    for group in adamw.param_groups + muon.param_groups:
        group["lr"] = group["base_lr"] * lrm
    for group in muon.param_groups:
        group["momentum"] = muon_momentum(progress)
        group["weight_decay"] = MATRIX_DECAY * decay_multiplier(progress)
    return lrm


# ---- Report -------------------------------------------------------------------------------------

PEAK_FLOPS = {  # dense bfloat16, by a part of the device's name
    "H100": 989.5e12,
    "H200": 989.5e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "4090": 165e12,
    "3090": 71e12,
}


class LateScalar:
    """Reads a number one step late, so that the host never waits for the step in flight."""

    def __init__(self, device):
        self.cuda = device.type == "cuda"
        self.slots = [torch.zeros((), pin_memory=self.cuda) for _ in range(2)]
        self.events = [torch.cuda.Event() for _ in range(2)] if self.cuda else []
        self.count = 0

    def swap(self, value):
        """Hand in this step's 0-D tensor; returns the last step's float, None at the first."""
        now, before = self.count % 2, (self.count + 1) % 2
        self.slots[now].copy_(value, non_blocking=True)
        if self.cuda:
            self.events[now].record()
            self.events[before].synchronize()
        self.count += 1
        return self.slots[before].item() if self.count > 1 else None


class Log:
    """Counts steps and time for display; stops the script when the loss is lost."""

    def __init__(self, device, batch, flops_per_token):
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        self.peak = next((flops for part, flops in PEAK_FLOPS.items() if part in name), math.inf)
        self.live, self.batch, self.flops_per_token = device.type == "cuda", batch, flops_per_token
        self.step, self.smooth, self.printed = 0, 0.0, -1.0
        self.last = self.start = time.perf_counter()
        self.start_step = 0  # steps before the budget began, at `start`

    def seconds(self):
        """Since the budget began, on this script's clock."""
        return time.perf_counter() - self.start

    def mfu(self, tokens, seconds):
        """Share of the device's peak in percent; 0 where the peak is not known."""
        return 100 * self.flops_per_token * tokens / max(seconds, 1e-9) / self.peak

    def update(self, loss, progress, lrm, epoch):
        """Note one step, with the loss of the step before (None at the first); print the live line."""
        now = time.perf_counter()
        dt, self.last = now - self.last, now
        self.step += 1
        if progress == 0:
            self.start, self.start_step = now, self.step
        if loss is None:
            return
        if math.isnan(loss) or loss > 100:
            print("\nFAIL", flush=True)
            sys.exit(1)
        self.smooth = 0.9 * self.smooth + 0.1 * loss
        if not self.live and progress - self.printed < 0.01:
            return
        self.printed = progress
        debiased = self.smooth / (1 - 0.9 ** (self.step - 1))
        remaining = self.seconds() * (1 - progress) / progress if progress else TIME_BUDGET
        line = (
            f"step {self.step - 1:05d} ({100 * progress:.1f}%) | loss: {debiased:.6f} | "
            f"lrm: {lrm:.2f} | dt: {dt * 1000:.0f}ms | tok/sec: {int(self.batch / dt):,} | "
            f"mfu: {self.mfu(self.batch, dt):.1f}% | epoch: {epoch} | remaining: {remaining:.0f}s"
        )
        print(f"\r{line}    " if self.live else line, end="" if self.live else "\n", flush=True)


def print_setup(size, model, accumulate, attention, device):
    """The ancestor's start-up lines, with the device and the attention that was chosen."""
    config = {**asdict(size), "vocab_size": model.vocab_size, "sequence_len": model.sequence_length}
    print(f"Vocab size: {model.vocab_size:,}")
    print(f"Device: {device} | attention: {attention} | torch {torch.__version__}")
    print(f"Model config: {config}")
    print("Parameter counts:")
    for name, count in model.parameter_counts().items():
        print(f"  {name:24s}: {count:,}")
    print(f"Estimated FLOPs per token: {model.flops_per_token():e}")
    print(f"Time budget: {TIME_BUDGET}s")
    print(f"Gradient accumulation steps: {accumulate}", flush=True)


def print_summary(model, log, val_bpb, training_seconds, total_seconds):
    """The ancestor's summary block, to the letter."""
    cuda = torch.cuda.is_available()
    peak_mb = torch.cuda.max_memory_allocated() / 1024 / 1024 if cuda else 0.0
    timed = (log.step - log.start_step) * log.batch
    print("---")
    print(f"val_bpb:          {val_bpb:.6f}")
    print(f"training_seconds: {training_seconds:.1f}")
    print(f"total_seconds:    {total_seconds:.1f}")
    print(f"peak_vram_mb:     {peak_mb:.1f}")
    print(f"mfu_percent:      {log.mfu(timed, training_seconds):.2f}")
    print(f"total_tokens_M:   {log.step * log.batch / 1e6:.1f}")
    print(f"num_steps:        {log.step}")
    print(f"num_params_M:     {model.parameter_counts()['total'] / 1e6:.1f}")
    print(f"depth:            {model.size.depth}", flush=True)


# ---- Train --------------------------------------------------------------------------------------


def choose_size(device):
    """The largest size that the device's memory holds."""
    if device.type != "cuda":
        return SIZES[-1]
    memory = torch.cuda.get_device_properties(device).total_memory / 2**30
    return next(size for size in SIZES if memory >= size.memory)


def train(model, loader, optimizers, accumulate, log, device):
    """Train until the loader ends."""
    adamw, muon = optimizers
    late = LateScalar(device)
    for served, (x, y, epoch) in enumerate(loader, start=1):
        loss = model(x, y)
        (loss / accumulate).backward()
        if served % accumulate:
            continue
        lrm = apply_schedules(adamw, muon, loader.progress)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        log.update(late.swap(loss.detach()), loader.progress, lrm, epoch)
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
    attention, attend = choose_attention(device)
    with torch.device(device):
        model = GPT(size, tokenizer.get_vocab_size(), MAX_SEQ_LEN, attend, dtype)
    rows = max(1, size.micro // MAX_SEQ_LEN)
    accumulate = max(1, size.batch // (rows * MAX_SEQ_LEN))
    print_setup(size, model, accumulate, attention, device)

    optimizers = make_optimizers(model, dtype, compiled)
    loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")
    log = Log(device, accumulate * rows * MAX_SEQ_LEN, model.flops_per_token())
    run = torch.compile(model, dynamic=False) if compiled else model
    kernels = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
    if capability(device) == (9, 0):  # there, and not elsewhere, cuDNN's kernel is the fastest
        kernels.insert(0, SDPBackend.CUDNN_ATTENTION)
    with sdpa_kernel(kernels, set_priority=True):
        train(run, loader, optimizers, accumulate, log, device)
        training_seconds = log.seconds()
        print()
        model.eval()
        val_bpb = evaluate_bpb(run, tokenizer, rows)
    print_summary(model, log, val_bpb, training_seconds, time.perf_counter() - began)


if __name__ == "__main__":
    main()
