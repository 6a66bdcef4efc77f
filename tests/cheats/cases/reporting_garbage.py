"""Bytes that are no message, to the scorer."""

from harness.spec import Outcome
from tests.cheats.case import EVALUATE, FEW, Cheat, before

CHEAT = Cheat(
    title="sends the scorer 4,000 bytes of noise",
    kind="reporting",
    origin="derived: parsers of the trusted side as a target",
    edits=(
        before(
            EVALUATE,
            "        sys.modules['prepare']._scorer._socket.send(bytes(range(250)) * 16)\n",
        ),
    ),
    budget=FEW,
    verdict="prevented",
    ended=Outcome.INVALID,
    reason="a message of 25 bytes to the scorer",
    defence="a message is 24 bytes of integers or the end of the experiment; nothing is parsed",
    related=True,
)
