"""A commit that is not one."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="commits a memory file that it can still write",
    kind="time",
    origin="derived: weights that improve after their time stamp",
    edits=(
        before(
            EVALUATE,
            """
        import os

        import prepare_weights
        import prepare_wire

        def commit(line, model):
            file = os.memfd_create("weights", os.MFD_ALLOW_SEALING)
            os.ftruncate(file, 1 << 20)
            line.send(prepare_wire.COMMIT, 0, 0, 0, 1 << 20, descriptors=(file,))
            line.receive()

        prepare_weights.commit = commit
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="could still be changed",
    defence="only a memory file that is sealed against every change is taken",
)
