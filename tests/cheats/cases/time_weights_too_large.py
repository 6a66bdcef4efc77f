"""A commit of 20 GB."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="commits a sealed memory file of 20 GB, to be hashed by the harness",
    kind="time",
    origin="derived: work for the trusted side",
    edits=(
        before(
            EVALUATE,
            """
        import fcntl
        import os

        import prepare_weights
        import prepare_wire

        def commit(line, model):
            file = os.memfd_create("weights", os.MFD_ALLOW_SEALING)
            os.ftruncate(file, 20 << 30)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, 15)
            line.send(prepare_wire.COMMIT, 0, 0, 0, 20 << 30, descriptors=(file,))
            line.receive()

        prepare_weights.commit = commit
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="are too large",
    defence="weights have a limit of 16 GB",
    related=True,
)
