"""It learns from the rows on which it is scored."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, VOIDED, Cheat, before

CHEAT = Cheat(
    title="takes a step of gradient descent on every batch that it is scored on",
    kind="data",
    origin="parameter-golf: test-time training on the validation rows",
    edits=(
        before(
            EVALUATE,
            """
        sgd = torch.optim.SGD(model.parameters(), 0.3)

        def learn(module, args, result):
            if len(args) == 1:
                with torch.enable_grad():
                    loss = module(args[0][:, :-1].clone(), args[0][:, 1:].clone())
                    loss.backward()
                sgd.step()
                sgd.zero_grad()

        model.register_forward_hook(learn)
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    defence="blind audit: predictions that depend on earlier batches change in a fresh process",
    related=True,
)
