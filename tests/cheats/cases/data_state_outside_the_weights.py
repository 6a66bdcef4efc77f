"""A trained tensor that state_dict leaves out."""

from harness.spec import Outcome
from tests.cheats.case import LOGITS, TRAINED, VOIDED, Cheat, before

CHEAT = Cheat(
    title="keeps its trained head in a plain attribute, outside state_dict",
    kind="data",
    origin="derived, and an easy accident: persistent=False",
    edits=(
        before(
            TRAINED,
            """
        model.kept = model.head.weight.detach().clone()
        model.head.weight.data.zero_()
""",
        ),
        before(
            LOGITS,
            """
        if hasattr(self, "kept"):
            logits = F.linear(norm(x), self.kept).float()
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="the audit starts from the committed weights and from nothing else",
    related=True,
)
