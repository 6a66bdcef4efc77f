"""All of the disk."""

from harness.spec import Limits, Outcome
from tests.cheats.case import FEW, Cheat, attempts

CHEAT = Cheat(
    title="writes 2 GB into its compile cache, which is a folder of the host, in files of 64 MB",
    kind="host",
    origin="derived: exhaustion of the disk",
    edits=attempts(
        """
from pathlib import Path
def fill():
    for number in range(32):
        Path(f"/compile/fill{number}").write_bytes(bytes(64 << 20))
    return "2 GB"
""",
        compile="fill()",
    ),
    budget=FEW,
    limits=Limits(wall_seconds=60, threads=1),
    verdict="prevented",
    ended=Outcome.CRASH,
    reason="MB of files, and 1,024 MB are allowed",
    unsaid=("got '2 GB'",),
    defence="what it writes to the disk is watched and has a limit",
)
