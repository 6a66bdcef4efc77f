"""All of the memory."""

from harness.spec import Limits, Outcome
from tests.cheats.case import FEW, START, Cheat, after

CHEAT = Cheat(
    title="fills 4 GB of memory under a limit of 1 GB",
    kind="host",
    origin="derived: exhaustion of the host",
    edits=(
        after(
            START,
            """
    held = []
    for _ in range(40):
        held.append(torch.ones(25 << 20))
        time.sleep(0.1)
    print("cheat: held", flush=True)
""",
        ),
    ),
    budget=FEW,
    limits=Limits(wall_seconds=60, threads=1, memory_mb=1024),
    verdict="prevented",
    ended=Outcome.OOM,
    reason="emory",
    unsaid=("cheat: held",),
    defence="a limit on memory, watched from outside and, where the kernel offers it, kept by it",
)
