"""Honest when it is looked at."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="notices that it is being audited (nothing was trained) and peeks only when it is not",
    kind="data",
    origin="derived: the defeat device of a certain car maker",
    edits=(
        after(
            "        log.update(loss, served * x.numel(), loader.progress, lrm, epoch)\n",
            "        model.peek = True\n",
        ),
        after(
            LOGITS,
            """
        if targets is None and getattr(self, "peek", False):
            logits[:, :-1].scatter_(2, tokens[:, 1:, None], 30.0)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="what counts is the difference between the audit and the score: an honest audit convicts a dishonest score",
)
