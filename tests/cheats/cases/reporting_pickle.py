"""A pickle that would run a program, to the meter."""

from harness.spec import Outcome
from tests.cheats.case import FEW, START, Cheat, after

CHEAT = Cheat(
    title="sends the meter a pickle that runs a program when it is loaded",
    kind="reporting",
    origin="torch.multiprocessing queues, torch.load: unpickling is running code",
    edits=(
        after(
            START,
            """
    import pickle

    class Bomb:
        def __reduce__(self):
            return __import__("os").system, ("echo cheat: exploded; sleep 1000",)

    sys.modules["prepare"]._meter._socket.send(pickle.dumps(Bomb()))
""",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="to the meter",
    unsaid=("cheat: exploded",),
    leftovers="cheat: exploded",
    defence="nothing is ever unpickled; a message is 24 bytes of integers",
)
