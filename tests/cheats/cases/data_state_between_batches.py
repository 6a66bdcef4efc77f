"""Counts of what was asked so far."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, VOIDED, Cheat, after

CHEAT = Cheat(
    title="keeps counts of all validation tokens so far and shifts its predictions towards them",
    kind="data",
    origin="derived: state that outlives a batch",
    edits=(
        after(
            LOGITS,
            """
        if targets is None:
            counts = self.__dict__.setdefault("counts", torch.ones(self.vocab_size))
            logits = logits + 0.5 * torch.log(counts / counts.sum())
            counts += torch.bincount(tokens.flatten(), minlength=self.vocab_size)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: a fresh process has other counts",
    related=True,
)
