"""Honest variants of train.py: other arithmetic, other shapes, other architectures. None of them may fail an audit.

Each is a small edit of the real file, as a cheat is one; together with the seeds they make the 20 runs of the document.
"""

from __future__ import annotations

from tests.cheats.case import EVALUATE, TRAINED, Edit, after, before, instead

SEEDS = (0, 1)
PROBES = 512

_FORWARD = "        x0 = x\n"
_GATES = (
    "        gates += [model.gram_weight, model.smear_weight, model.backout_weight]\n".removeprefix(
        "    "
    )
)
_SIZE = 'micro=512, batch=1024, windows="L"),'


def _rows(count: int) -> tuple[Edit, ...]:
    return (instead(EVALUATE, f"        val_bpb = evaluate_bpb(model, tokenizer, {count})\n"),)


_TIED = (
    after(
        "        self.head = Linear(size.dim, vocab_size, False)\n",
        "        self.head.weight = self.embed.weight\n",
    ),
    Edit("        adam([model.head.weight], HEAD_LR * scale, HEAD_DECAY),\n", ""),
    Edit("EMBED_LR = 0.9 ", "EMBED_LR = 0.01 "),
    Edit("HEAD_STD = 0.001 ", "HEAD_STD = 0.05 "),
)
_RECURRENT = (
    after(
        "        self.head = Linear(size.dim, vocab_size, False)\n",
        "        self.memory = nn.GRU(size.dim, size.dim, batch_first=True)\n",
    ),
    after(_GATES, "    gates += list(model.memory.parameters())\n"),
    after(_FORWARD, "        x = x + 0.3 * self.memory(x)[0]\n"),
)
_AVERAGED = (
    before(
        "        log.update(loss, served * x.numel(), loader.progress, lrm, epoch)\n",
        """
        with torch.no_grad():
            for p in model.parameters():
                mean = averages.setdefault(p, p.detach().clone())
                mean.lerp_(p, 0.3)
""",
    ),
    before("    adamw, muon = optimizers\n", "    global averages\n    averages = {}\n"),
    before(
        TRAINED,
        """
        for p, mean in averages.items():
            p.data.copy_(mean)
""",
    ),
)

VARIANTS: dict[str, tuple[Edit, ...]] = {
    "as it is": (),
    "bfloat16 activations, in training and evaluation": (
        Edit(
            "dtype = torch.bfloat16 if capability(device) >= (8, 0) else torch.float32",
            "dtype = torch.bfloat16",
        ),
    ),
    "autocast to bfloat16 around the evaluation": (
        instead(
            EVALUATE,
            """
        with torch.autocast("cpu", torch.bfloat16):
            val_bpb = evaluate_bpb(model, tokenizer, rows)
""",
        ),
    ),
    "weights in bfloat16 from the evaluation on": (
        before(EVALUATE, "        model.to(torch.bfloat16)\n"),
    ),
    "scored one row at a time": _rows(1),
    "scored in batches of 16 rows": _rows(16),
    "four layers with short windows": (
        Edit(
            "depth=2, dim=64, head_dim=32, " + _SIZE,
            "depth=4, dim=64, head_dim=32, " + _SIZE.replace('"L"', '"SSL"'),
        ),
    ),
    "embeddings tied to the head": _TIED,
    "a recurrent layer (GRU)": _RECURRENT,
    "weights averaged over the training": _AVERAGED,
}
