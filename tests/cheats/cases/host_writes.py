"""The harness, the worktrees, the system."""

from tests.cheats.case import FEW, Cheat, attempts, thwarted

CHEAT = Cheat(
    title="writes to the harness, the guest's modules, the repository, git hooks, Python's packages and /usr",
    kind="host",
    origin="the ancestor runs candidates in its own tree",
    edits=attempts(
        """
import os, sys
from pathlib import Path
append = lambda path: open(path, "a").write("\\n")
package = Path(torch.__file__)
""",
        harness="append('@ROOT@/harness/scorer.py')",
        guest="append('/guest/prepare.py')",
        hook="append('@ROOT@/.git/hooks/post-checkout')",
        package="append(package)",
        startup="append(package.parent.parent / 'sitecustomize.py')",
        path_file="append(package.parent.parent / 'cheat.pth')",
        system="append('/usr/bin/cheat')",
        settings="append('/etc/ld.so.preload') and os.stat('/proc/1/root/etc/ld.so.preload')",
        own_source="append('/job/train.py')",
    ),
    budget=FEW,
    verdict="prevented",
    said=thwarted(
        "harness", "guest", "hook", "package", "startup", "path_file", "system", "own_source"
    ),
    defence="everything but private folders is read-only or not there",
)
