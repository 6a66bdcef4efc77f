"""Infinite confidence in the token that comes next."""

from harness.spec import Outcome
from tests.cheats.case import FEW, LOGITS, Cheat, after

CHEAT = Cheat(
    title="sets the logit of the next token to +inf, so that the loss becomes negative or NaN",
    kind="reporting",
    origin="sums in which inf - inf is swallowed",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            logits[:, :-1].scatter_(2, tokens[:, 1:, None], math.inf)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.NAN,
    reason="not finite",
    defence="one logit that is not finite makes the evaluation invalid",
)
