"""What it costs that the score is computed by another process: the same evaluation here and there, in turn."""

from __future__ import annotations

import statistics

from bench.synthetic import measure

REPEATS = 5
ROWS, LENGTH, VOCABULARY, BATCH = 160, 256, 2048, 16
SCRIPT = """
import json, math, time
import prepare, prepare_exam, prepare_weights, torch
from torch.nn import functional
torch.set_num_threads(1)
torch.manual_seed(1)

class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mix = torch.nn.Linear(width, 3 * width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)
    def forward(self, x):
        q, k, v = self.mix(x).view(*x.shape[:2], 4, -1).transpose(1, 2).chunk(3, -1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + y.transpose(1, 2).reshape(x.shape)
        return x + self.down(self.up(x).relu().square())

class Model(torch.nn.Module):
    def __init__(self, vocabulary, width=128, depth=4):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.blocks = torch.nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = torch.nn.Linear(width, vocabulary)
    def forward(self, x):
        return self.head(self.blocks(self.embed(x))).float()

V, T, ROWS, B = prepare.VOCAB_SIZE, prepare.MAX_SEQ_LEN, %d, %d
model = Model(V)
loader = prepare.make_dataloader(None, B, T, 'train')
table = prepare.get_token_bytes().long()

@torch.no_grad()
def here():
    nats, count, start = 0.0, 0, time.perf_counter()
    for _ in range(ROWS // B):
        x, y, _ = next(loader)
        loss = functional.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction='none')
        size = table[y.flatten()]
        nats += float((loss * (size > 0)).sum())
        count += int(size.sum())
    return time.perf_counter() - start

here()
alone = sorted(here() for _ in range(3))[1]
exam = prepare_exam.Exam(prepare._scorer, 'cpu', B)
start = time.perf_counter()
prepare_weights.commit(prepare._meter, model)
commit = time.perf_counter() - start
start = time.perf_counter()
exam.run(model)
print(json.dumps({'alone': alone, 'separate': time.perf_counter() - start, 'commit': commit}))
"""


def run() -> list[tuple[str, str, str]]:
    """Median over repeats of separate against in-process, with one thread for the model and one for the scorer."""
    found = [
        measure(
            SCRIPT % (ROWS, BATCH),
            length=LENGTH,
            vocabulary=VOCABULARY,
            train_rows=2000,
            val_rows=ROWS,
        )
        for _ in range(REPEATS)
    ]
    ratios = [figures["separate"] / figures["alone"] for figures in found]
    alone = statistics.median(figures["alone"] for figures in found)
    commit = statistics.median(figures["commit"] for figures in found)
    shape = f"{ROWS}x{LENGTH}x{VOCABULARY}"
    return [
        (
            f"scoring {shape}, separate / in process, median of {REPEATS}",
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})",
            "<= 1.1",
        ),
        ("  of which in process", f"{alone:.2f} s", ""),
        ("  commit of the weights", f"{1000 * commit:.0f} ms", ""),
    ]
