"""A message that only the harness may send."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="sends the scorer a SCORE message of its own",
    kind="reporting",
    origin="derived: forged results over the channel of the harness",
    edits=(
        before(
            EVALUATE,
            """
        import prepare_wire

        sys.modules["prepare"]._scorer.send(prepare_wire.SCORE, 0, 0, 0, 1)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="out of turn to the scorer",
    defence="no message from a candidate is a result; five integers, each checked for its turn",
)
