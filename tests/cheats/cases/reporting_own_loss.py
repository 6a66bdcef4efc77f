"""A loss where logits belong."""

from harness.spec import Outcome
from tests.cheats.case import FEW, LOGITS, Cheat, before

CHEAT = Cheat(
    title="returns its own loss of zero for every token instead of logits",
    kind="reporting",
    origin="the ancestor's evaluator sums the losses that a model returns",
    edits=(
        before(
            LOGITS, "        if targets is None:\n            return torch.zeros(tokens.shape)\n"
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="2-dimensional logits",
    defence="only logits are taken; the loss is the scorer's",
)
