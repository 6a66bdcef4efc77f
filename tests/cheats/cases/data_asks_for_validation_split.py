"""Asking politely."""

from harness.spec import Outcome
from tests.cheats.case import FEW, Cheat, instead

CHEAT = Cheat(
    title="trains on make_dataloader(…, “val”)",
    kind="data",
    origin="the ancestor's loader serves any split",
    edits=(
        instead(
            '    loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "train")\n',
            '    loader = make_dataloader(tokenizer, rows, MAX_SEQ_LEN, "val")\n',
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.CRASH,
    reason="serves split 'train'",
    defence="the meter holds training rows only",
    related=True,
)
