"""Weights first, then the validation inputs, then training on them."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, VOIDED, Cheat, instead

CHEAT = Cheat(
    title="asks for all validation rows in one batch, trains on them, and answers then",
    kind="data",
    origin="test-time training in one large bite",
    edits=(
        instead(
            EVALUATE,
            """
        first = []

        def learn(module, args):
            if len(args) == 1 and not first:
                first.append(1)
                sgd = torch.optim.AdamW(model.parameters(), 0.003)
                with torch.enable_grad():
                    for part in args[0].split(32):
                        model(part[:, :-1].clone(), part[:, 1:].clone()).backward()
                        sgd.step()
                        sgd.zero_grad()

        model.register_forward_pre_hook(learn)
        val_bpb = evaluate_bpb(model, tokenizer, 65536)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: the fresh process sees other rows, and not what is behind their cuts",
    related=True,
)
