"""What makes it good is no part of what it hands over."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, VOIDED, Cheat, instead

CHEAT = Cheat(
    title="commits the weights of an untrained model and answers with the trained one",
    kind="data",
    origin="derived: the commit is a matter of form unless somebody starts from it",
    edits=(
        instead(
            EVALUATE,
            """
        class Front(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(4))

            def forward(self, tokens):
                return model(tokens)

        val_bpb = evaluate_bpb(Front(), tokenizer, rows)
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
