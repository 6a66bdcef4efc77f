"""Gone as soon as the easy rows are answered."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="answers the first half of the rows and leaves",
    kind="reporting",
    origin="derived: a mean over what was answered",
    edits=(
        before(
            EVALUATE,
            """
        import os

        calls = []

        def leave(*_):
            calls.append(1)
            if len(calls) > 40:
                os._exit(0)

        model.register_forward_hook(leave)
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="it left evaluate_bpb before the scorer was done",
    defence="there is a score when every row is answered, and not before",
)
