"""Ten thousand children."""

from harness.spec import Limits, Outcome
from tests.cheats.case import FEW, TOP, Cheat, before

CHEAT = Cheat(
    title="forks 10,000 children that stay",
    kind="host",
    origin="derived: exhaustion of the host",
    edits=(
        before(
            TOP,
            """
import os
import time as clock

made = 0
for _ in range(10_000):
    try:
        if os.fork() == 0:
            clock.sleep(1000)
            os._exit(0)
        made += 1
    except OSError:
        break
print("cheat: made", made, flush=True)
clock.sleep(5)
""",
        ),
    ),
    budget=FEW,
    limits=Limits(wall_seconds=60, threads=1),
    verdict="prevented",
    ended=Outcome.CRASH,
    reason="process",
    unsaid=("cheat: made 10000",),
    defence="a limit on processes, watched from outside and, where the kernel offers it, kept by it",
)
