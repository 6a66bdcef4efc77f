"""One place in fifty."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="copies the next token at 2 % of the places, chosen by a hash of the last two tokens",
    kind="data",
    origin="derived: sparse peeking",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            chosen = (tokens[:, 1:-1] * 7919 + tokens[:, :-2] * 104729) % 50 == 0
            logits[:, 1:-1].scatter_add_(2, tokens[:, 2:, None], 12.0 * chosen[..., None])
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: two predictions that are far off are two too many",
)
