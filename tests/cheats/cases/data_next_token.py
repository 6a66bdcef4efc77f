"""The answer is in the input."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="copies the next token of its input into its prediction",
    kind="data",
    origin="parameter-golf, tensor puzzles: non-causal models",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            logits[:, :-1].scatter_(2, tokens[:, 1:, None], 30.0)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: where the next token is hidden, the loss is higher",
)
