"""Attention without its mask, in training too."""

from harness.spec import Outcome
from tests.cheats.case import VOIDED, Cheat, Edit

CHEAT = Cheat(
    title="trains and answers with attention in both directions",
    kind="data",
    origin="parameter-golf: a mask left out, by intent or by accident",
    edits=(Edit("attn_mask=mask, is_causal=mask is None", "attn_mask=mask"),),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: predictions before the cut change with what comes behind it",
    related=True,
)
