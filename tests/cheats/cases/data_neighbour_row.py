"""The row below knows something."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="raises the tokens that occur in the other rows of its batch",
    kind="data",
    origin="leaks between the rows of a batch (batch statistics, shared caches)",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            counts = F.one_hot(tokens, self.vocab_size).sum(1)
            logits += 0.3 * torch.log1p((counts.sum(0) - counts).float())[:, None]
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: every row has other neighbours there, and predictions before the cut must not change",
    related=True,
)
