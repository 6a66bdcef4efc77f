"""A candidate in the form of the ancestor's train.py, small enough for a CPU; `test_dropin` runs it.

It does what that one does around its model: the hub's attention, models on the meta device, an optimizer of its own,
gradient accumulation, a clock that leaves out eleven steps, the collector switched off, `FAIL`, the summary.
"""

import os

os.environ["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import gc
import math
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from kernels import get_kernel

fa3 = get_kernel("varunneal/flash-attention-3").flash_attn_interface

from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader  # noqa: E402

ACCUMULATION = 1
RATE = 0.01
SEED = 42
WIDTH, HEAD, BATCH = 32, 8, 16


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.proj = nn.Linear(WIDTH, WIDTH, bias=False)
        self.lm_head = nn.Linear(WIDTH, vocabulary, bias=False)

    @torch.no_grad()
    def init_weights(self):
        nn.init.normal_(self.wte.weight, std=1.0)
        nn.init.uniform_(self.qkv.weight, -0.3, 0.3)
        nn.init.zeros_(self.proj.weight)
        nn.init.normal_(self.lm_head.weight, std=0.001)
        self.wte.to(dtype=torch.bfloat16)

    def forward(self, idx, targets=None, reduction="mean"):
        B, T = idx.size()
        x = norm(self.wte(idx).float())
        for window in ((MAX_SEQ_LEN // 2, 0), (MAX_SEQ_LEN, 0)):
            q, k, v = self.qkv(norm(x)).view(B, T, 3, -1, HEAD).unbind(2)
            y = fa3.flash_attn_func(norm(q), norm(k), v, causal=True, window_size=window)
            x = x + self.proj(y.contiguous().view(B, T, -1))
        logits = 15 * torch.tanh(self.lm_head(norm(x)).float() / 15)
        if targets is None:
            return logits
        flat = logits.view(-1, logits.size(-1))
        return F.cross_entropy(flat, targets.view(-1), ignore_index=-1, reduction=reduction)


class Momentum(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__([{"params": list(params), "lr": lr, "initial_lr": lr}], defaults={})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                memory = self.state[p].setdefault("square", torch.zeros_like(p))
                memory.lerp_(p.grad.square(), 0.05)
                p.sub_(group["lr"] * p.grad / (memory.sqrt() + 1e-8))


t_start = time.time()
torch.manual_seed(SEED)
torch.cuda.manual_seed(SEED)
device = torch.device("cpu")
autocast_ctx = torch.amp.autocast(device_type="cpu", dtype=torch.bfloat16)
tokenizer = Tokenizer.from_directory()
vocab_size = tokenizer.get_vocab_size()
with torch.device("meta"):
    model = Model(vocab_size)
model.to_empty(device=device)
model.init_weights()
first_weights = sum(p.double().sum().item() for p in model.parameters())
print(f"Initial weights: {first_weights:.12f}")
optimizer = Momentum(model.parameters(), RATE)
train_loader = make_dataloader(tokenizer, BATCH, MAX_SEQ_LEN, "train")
x, y, epoch = next(train_loader)  # prefetch first batch
print(f"Time budget: {TIME_BUDGET}s")
print(f"Gradient accumulation steps: {ACCUMULATION}")

smooth_train_loss, total_training_time, step = 0, 0, 0
warm = counted_warm = 0  # random batches, of all and of the time that counts
while True:
    t0 = time.time()
    for _ in range(ACCUMULATION):
        warm += train_loader.warming
        counted_warm += train_loader.warming and step > 10
        with autocast_ctx:
            loss = model(x, y)
        train_loss = loss.detach()
        (loss / ACCUMULATION).backward()
        x, y, epoch = next(train_loader)
    progress = min(total_training_time / TIME_BUDGET, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * min(1.0, 2 * (1 - progress))
    optimizer.step()
    model.zero_grad(set_to_none=True)
    train_loss_f = train_loss.item()
    if math.isnan(train_loss_f) or train_loss_f > 100:
        print("FAIL")
        sys.exit(1)
    dt = time.time() - t0
    if step > 10:
        total_training_time += dt
    smooth_train_loss = 0.9 * smooth_train_loss + 0.1 * train_loss_f
    debiased = smooth_train_loss / (1 - 0.9 ** (step + 1))
    rate = int(ACCUMULATION * BATCH * MAX_SEQ_LEN / dt)
    remaining = max(0, TIME_BUDGET - total_training_time)
    print(f"\rstep {step:05d} ({100 * progress:.1f}%) | loss: {debiased:.6f} | lrm: 1.00 | dt: {dt * 1000:.0f}ms"
          f" | tok/sec: {rate:,} | mfu: 0.0% | epoch: {epoch} | remaining: {remaining:.0f}s    ",
          end="", flush=True)  # fmt: skip
    if step == 0:
        gc.collect()
        gc.freeze()
        gc.disable()
    step += 1
    if step > 10 and total_training_time >= TIME_BUDGET:
        break
print()

model.eval()
with autocast_ctx:
    val_bpb = evaluate_bpb(model, tokenizer, BATCH)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {total_training_time:.1f}")
print(f"total_seconds:    {time.time() - t_start:.1f}")
print(f"peak_vram_mb:     {torch.cuda.max_memory_allocated() / 1024 / 1024:.1f}")
print(f"num_steps:        {step}")
print(f"warm:             {warm}")
print(f"counted_warm:     {counted_warm}")
print("depth:            2")
