"""The sandbox of a run: the level in force, and what a weaker one lacks, in words.

The harness finds out what holds on this machine; this module joins that to what a person asked for. It never lets
a weak level pass unless a person has allowed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evolve.model import EvolveError
from harness import sandbox

if TYPE_CHECKING:
    from evolve.settings import Settings

# Told at the start of a run, so that nobody trusts a score more than it deserves.
LACKS = {
    "landlock": "The sandbox is landlock: files, network, signals and dangerous system calls are blocked. "
    "What it lacks against bubblewrap: a candidate may learn that a path exists and how large the file is, the names of users, "
    "and, where the kernel forbids namespaces, which processes run.",
    "process": "There is no sandbox: candidates run as plain processes of yours, and may read and write what you may.",
}


def sandbox_level(settings: Settings, *, allow_weak: bool) -> str:
    """The level in force. Raises EvolveError where none holds, or not the one that was asked for."""
    wanted = settings.sandbox.level
    if wanted == sandbox.PROCESS:
        return _allowed("the settings ask for it", allow_weak=allow_weak)
    report = sandbox.probe()
    if wanted != "auto" and wanted not in report.available:
        held = "none does" if report.level == sandbox.PROCESS else f"{report.level} does"
        raise EvolveError(
            f"[sandbox] level asks for {wanted}, which does not hold on this machine "
            f"({report.advice.rstrip('.') or held}). `autoresearch doctor` says what would help; or set it to auto."
        )
    level = report.level if wanted == "auto" else wanted
    if level == sandbox.PROCESS:
        return _allowed(report.advice.rstrip("."), allow_weak=allow_weak)
    return level


def _allowed(why: str, *, allow_weak: bool) -> str:
    """The level of plain processes, if a person accepts it."""
    if not allow_weak:
        raise EvolveError(
            f"No real sandbox is to be had here ({why}). Install bubblewrap (`apt install bubblewrap`), or "
            "accept that candidates run as plain processes with --allow-weak-sandbox."
        )
    return sandbox.PROCESS
