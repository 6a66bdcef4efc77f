"""The same, with steps too small for any single prediction to look odd."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, VOIDED, Cheat, before

CHEAT = Cheat(
    title="the same with small steps: it adapts slowly, and no prediction changes by half a nat",
    kind="data",
    origin="derived: test-time training below every threshold of a single place",
    edits=(
        before(
            EVALUATE,
            """
        sgd = torch.optim.SGD(model.parameters(), 0.006)

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
    defence="blind audit: predictions before the cut are compared in the mean as well",
)
