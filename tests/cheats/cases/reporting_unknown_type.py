"""Logits of a type that does not exist."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="announces logits of a type that the harness does not know",
    kind="reporting",
    origin="derived: undefined behaviour of the trusted side as a target",
    edits=(
        before(
            EVALUATE,
            """
        import prepare_exam

        prepare_exam.TRANSPORT = (*prepare_exam.TRANSPORT[1:], None, None, torch.float32)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="logits that nobody asked for",
    defence="three types are known; any other ends the experiment",
    related=True,
)
