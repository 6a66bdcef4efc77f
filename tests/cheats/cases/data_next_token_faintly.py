"""A hint so faint that no single prediction looks odd."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="adds 0.02 to the logit of the next token",
    kind="data",
    origin="derived: peeking below every threshold of a single place",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            following = tokens[:, 1:, None]
            logits[:, :-1].scatter_add_(2, following, torch.full(following.shape, 0.02))
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: the mean over all probes is tested, and its error is that small",
)
