"""Places at which a process can be made to die, so that tests can kill it exactly between an intent and its effect.

Nothing here does anything unless AUTORESEARCH_CRASH names a point: `slot.after-spawn`, or `slot.after-spawn:3` for
the third passage. The process that passes there then kills itself with SIGKILL: no cleanup runs, as after an
out-of-memory kill. Children inherit the variable, so a point of the runner works through the engine's environment.
The idea is FoundationDB's BUGGIFY and SQLite's test VFS: crashes at every step, not at lucky ones.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "AUTORESEARCH_CRASH"

# What lies before a name's dash has happened or is about to: each line stands for one call of `reached`.
POINTS = (
    "boot.locked",
    "boot.opened",
    "boot.settled",
    "boot.seeding",
    "boot.before-repair",
    "boot.between-repairs",
    "boot.repaired",
    "journal.before-commit",
    "journal.after-commit",
    "backup.before-rename",
    "backup.between-renames",
    "repair.before-aside",
    "repair.before-replace",
    "nursery.before-commit",
    "nursery.before-publish",
    "nursery.before-journal",
    "nursery.after-journal",
    "engine.smoke-started",
    "engine.smoke-ended",
    "engine.training-started",
    "engine.training-ended",
    "engine.before-results",
    "slot.before-spec",
    "slot.before-spawn",
    "slot.after-spawn",
    "keeper.after-spawn",
    "keeper.before-restart",
    "runner.before-hold",
    "runner.held",
    "committed.before-record",
    "runner.after-commit",
    "runner.before-score",
    "runner.before-result",
    "runner.after-result",
    "rundir.before-rename",
    "meter.after-commit",
    "scorer.before-score",
    "scorer.after-score",
    "dataset.before-fill",
    "dataset.before-manifest",
    "dataset.before-rename",
    "compilecache.before-keep",
    "compilecache.before-layer",
    "settle.promoted",
    "ratchet.before-move",
    "ratchet.after-move",
    "worktree.before-add",
    "worktree.after-add",
    "worktree.before-drop",
    "ledger.reserved",
    "ledger.before-answer",
    "ledger.answered",
    "scratchpad.before-write",
    "command.before-effect",
    "command.before-answer",
    "settings.before-save",
    "settings.saved",
    "results.before-rename",
)


def armed(text: str) -> tuple[str, int]:
    """The point that `NAME` or `NAME:N` stands for, and at which passage; `("", 0)` for no text.

    Raises ValueError for a name that is none, so that a test cannot wait for a crash that never comes.
    """
    if not text:
        return "", 0
    name, _, passage = text.partition(":")
    if name not in POINTS:
        raise ValueError(
            f"{VARIABLE}={text} names no crash point; harness/crashpoints.py lists them."
        )
    return name, int(passage or 1)


class _Fuse:
    """Counts the passages of the one point that is armed."""

    def __init__(self, name: str, passages: int) -> None:
        self.name, self.left = name, passages

    def burn(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_FUSE = _Fuse(*armed(os.environ.get(VARIABLE, "")))


def reached(name: str) -> None:
    """Execution is at point `name`. Dies here if the environment says so, else costs one comparison."""
    if name == _FUSE.name:
        _FUSE.burn()
