"""What the field has tried at this scale without success: general knowledge for a model that would try it again.

Text only. It was collected from the logs of nanochat (dev/LOG.md), modded-nanogpt's records, parameter-golf and 126
public experiments of karpathy/autoresearch (branch exp/H100/mar8). A program.md with such a section of its own
replaces it.
"""

from __future__ import annotations

import re

KNOWN_NEGATIVES = """\
# Known negatives of the field

Others measured these at about this scale (a GPT of 10 to 500 million weights, minutes on one GPU) as neutral or worse. \
Their settings were not yours: propose one only with a new argument, and say which.

- Attention: grouped or multi-query heads (+0.007 bpb); attention and MLP in parallel (+0.011); gates on heads; half or
  partial rotary embedding; attention masked by document (noise).
- MLP and blocks: SwiGLU at equal weights, LeakyReLU², DyT for the norms, mixture of experts (better a step, far slower),
  norms scaled by depth, orthogonal init.
- Embeddings and head: one matrix for both (broken, 3.2 bpb); softcaps of 13, 14 or 20 for 15, asymmetric ones (flat).
- Loss: multi-token prediction (+0.028 here and there); losses that save memory for vocabularies above 100,000.
- Optimizer: weights kept on a sphere; Muon by head; AdamW at every second step; clipping of gradients.
- Schedule: warm-up of the learning rate, cosine instead of linear warm-down; an average of weights at the end (nothing).
- Systems: FP8 below 768 channels; CUDA graphs at steps above 100 ms; max-autotune (1 % for minutes of compilation).
"""

_OWN = re.compile(r"^#{1,6}[^\n]*known negatives", re.IGNORECASE | re.MULTILINE)


def negatives_beside(program: str) -> str:
    """The known negatives, or nothing where a person's program.md has a section of that name."""
    return "" if _OWN.search(program) else KNOWN_NEGATIVES
