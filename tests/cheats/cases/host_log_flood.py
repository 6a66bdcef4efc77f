"""Gigabytes of words."""

from harness.spec import Limits, Outcome
from tests.cheats.case import FEW, START, Cheat, after

CHEAT = Cheat(
    title="prints without end",
    kind="host",
    origin="derived: exhaustion of the disk",
    edits=(after(START, '    while True:\n        print("cheat: " * 10_000)\n'),),
    budget=FEW,
    limits=Limits(wall_seconds=60, threads=1, log_mb=4),
    verdict="prevented",
    ended=Outcome.CRASH,
    reason="It printed more than 4 MB",
    defence="beginning and end of a log are kept, and there is a limit",
)
