"""Not a number."""

from harness.spec import Outcome
from tests.cheats.case import FEW, LOGITS, Cheat, after

CHEAT = Cheat(
    title="returns NaN, which is not worse than any score it is compared with",
    kind="reporting",
    origin="comparisons with `<` in scoring scripts",
    edits=(after(LOGITS, "        logits = logits * math.nan if targets is None else logits\n"),),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.NAN,
    reason="not finite",
    defence="one logit that is not finite makes the evaluation invalid, and a failure never becomes a number",
    related=True,
)
