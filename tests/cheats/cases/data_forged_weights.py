"""A commit of something else."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, VOIDED, Cheat, before

CHEAT = Cheat(
    title="commits a pickle that runs a program instead of its weights",
    kind="data",
    origin="malicious checkpoints",
    edits=(
        before(
            EVALUATE,
            """
        import fcntl
        import os
        import pickle

        import prepare_weights
        import prepare_wire

        class Bomb:
            def __reduce__(self):
                return os.system, ("echo cheat: exploded; sleep 1000",)

        def commit(line, model):
            file = os.memfd_create("weights", os.MFD_ALLOW_SEALING)
            os.write(file, pickle.dumps(Bomb()))
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, 15)
            line.send(prepare_wire.COMMIT, 0, 0, 0, 10, descriptors=(file,))
            line.receive()

        prepare_weights.commit = commit
""",
        ),
    ),
    verdict="voided",
    ended=Outcome.INVALID,
    reason=VOIDED,
    probes=512,
    unsaid=("cheat: exploded",),
    leftovers="cheat: exploded",
    defence="weights are bytes to the harness; only the candidate's own audit reads them, in its cell",
)
