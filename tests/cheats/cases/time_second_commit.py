"""Better weights, a little later."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="commits in time, trains on, and commits again",
    kind="time",
    origin="derived: a forged or repeated COMMIT",
    edits=(
        before(
            EVALUATE,
            """
        import prepare_weights

        prepare_weights.commit(sys.modules["prepare"]._meter, model)
        model.head.weight.data.mul_(1.1)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="a commit out of turn",
    defence="one commit an experiment",
)
