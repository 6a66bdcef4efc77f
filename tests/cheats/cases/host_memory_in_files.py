"""Memory by another name."""

from harness.spec import Limits, Outcome
from tests.cheats.case import FEW, Cheat, attempts

CHEAT = Cheat(
    title="fills 4 GB of memory under a limit of 1 GB as files in /tmp, /dev/shm and /job",
    kind="host",
    origin="derived: exhaustion of the host; a tmpfs is memory",
    edits=attempts(
        """
from pathlib import Path
def fill():
    for number in range(64):
        folder = ("/tmp", "/dev/shm", "/job")[number % 3]
        Path(f"{folder}/fill{number}").write_bytes(bytes(64 << 20))
        time.sleep(0.05)
    return "4 GB"
""",
        memory="fill()",
    ),
    budget=FEW,
    limits=Limits(wall_seconds=60, threads=1, memory_mb=1024),
    verdict="prevented",
    ended=Outcome.OOM,
    reason="emory",
    unsaid=("got '4 GB'",),
    defence="files in memory count as memory",
    related=True,
)
