"""Logits that would be probabilities with a sum of e^50."""

from tests.cheats.case import LOGITS, Cheat, after

CHEAT = Cheat(
    title="raises all logits by 50, so that its “probabilities” sum to far more than 1",
    kind="reporting",
    origin="parameter-golf: records with unnormalised probabilities (#886, #959, #1147)",
    edits=(after(LOGITS, "        logits = logits + 50.0 if targets is None else logits\n"),),
    verdict="worthless",
    defence="the scorer normalises over the whole vocabulary",
)
