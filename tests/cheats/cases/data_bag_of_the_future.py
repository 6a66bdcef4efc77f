"""Which words are still to come in this row?"""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="raises every token that occurs later in the row",
    kind="data",
    origin="parameter-golf: hints that pool over the whole row",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            later = F.one_hot(tokens, self.vocab_size).flip(1).cumsum(1).flip(1)
            logits[:, :-1] += 1.0 * (later[:, 1:] > 0)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: everything from the cut on is hidden",
    related=True,
)
