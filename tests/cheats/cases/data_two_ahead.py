"""Not the next token: the one after it."""

from harness.spec import Outcome
from tests.cheats.case import VOIDED, Cheat, after

CHEAT = Cheat(
    title="looks two tokens ahead, in training and in its answers",
    kind="data",
    origin="derived: a look-ahead that a test of the next token alone does not see",
    edits=(
        after(
            "        x = norm(self.embed(tokens).to(self.dtype))  # (B, T, C)\n",
            "        x = x + 0.7 * F.pad(x[:, 2:], (0, 0, 0, 2))\n",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: everything from the cut on is hidden, not one token",
)
