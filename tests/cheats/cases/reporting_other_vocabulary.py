"""A vocabulary of its own."""

from harness.spec import Outcome
from tests.cheats.case import FEW, LOGITS, Cheat, after

CHEAT = Cheat(
    title="answers with a vocabulary of half the size, in which every guess is easier",
    kind="reporting",
    origin="parameter-golf: an own tokenizer or vocabulary that shifts the denominator (#1271, #1719)",
    edits=(
        after(
            LOGITS,
            "        logits = logits if targets is not None else logits[..., ::2].contiguous()\n",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="it must return [batch, 64, 512]",
    defence="tokens, vocabulary, context and denominator are the scorer's",
    related=True,
)
