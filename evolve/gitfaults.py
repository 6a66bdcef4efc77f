"""Faults of git, by kind and in words: what passes, what a person has to mend, and which lock was in the way.

Pure: sentences of git in (always English, see `gitrun`), exceptions of ours out.
"""

from __future__ import annotations

import re
from pathlib import Path

from evolve.model import DiskFull, EvolveError, Passing


class GitFault(EvolveError):
    """Git could not do what it was asked to."""


class GitBusy(GitFault, Passing):
    """Git cannot do it now: it passes by itself, or once a person has let git write again."""


class ObjectsMissing(GitFault):
    """The repository lacks commits or files that the journal knows."""


_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_NO_ENTRY = re.compile(r"Permission denied|Read-only file system|insufficient permission")
_MISSING = re.compile(
    r"nonexistent object|bad object|missing (?:blob|tree|commit)|is corrupt|unable to read"
    r"|not a valid object|Not a valid (?:object|commit) name|does not exist in|could not parse"
    r"|object file .+ is empty|not a valid '(?:tree|commit|blob)' object|not something we can merge"
)


def lock_in(said: str) -> Path | None:
    """The lock file that was in git's way, if one was."""
    found = re.search(r"Unable to create '(.+?\.lock)': File exists", said)
    return Path(found.group(1)) if found else None


def fault(command: str, said: str) -> EvolveError:
    """What git said of a `command` that failed, as an exception with one sentence."""
    if lock := lock_in(said):
        return GitBusy(
            f"git {command} found {lock}: another git command works there, or one was killed. Try again; "
            "if no git is running, delete that file."
        )
    if _NO_ROOM.search(said):
        return DiskFull(
            "The disk is full, so git cannot write; free some space, then `autoresearch run` goes on."
        )
    reason = _reason(said)
    if owner := re.search(r"dubious ownership in repository at '(.+?)'", said):
        return GitFault(
            f"{owner.group(1)} belongs to another user; if you trust it, "
            f"`git config --global --add safe.directory {owner.group(1)}`."
        )
    if _NO_ENTRY.search(said):
        return GitBusy(
            f"git {command} may not write here ({reason}); give yourself the right to, `chmod -R u+w .git`, "
            "then it goes on."
        )
    if _MISSING.search(said):
        return ObjectsMissing(
            f"The journal knows commits that this repository does not have ({reason}); `git fsck` shows what is "
            "lost. Bring the repository back, or start a new run with `autoresearch run --name NAME`."
        )
    return GitFault(f"git {command} failed: {reason}.")


def too_slow(command: str, seconds: float) -> GitBusy:
    """A command that was ended because its time was over."""
    return GitBusy(
        f"git {command} did not end within {seconds:.0f} s and was ended; a file system that hangs or a filter "
        "that waits may be why. It is tried again."
    )


def killed(command: str, number: int) -> GitBusy:
    """A command that the system, or somebody, killed with this signal, twice."""
    return GitBusy(
        f"git {command} was killed twice (signal {number}); memory may be short. It is tried again."
    )


def not_started(error: OSError) -> GitBusy:
    """A command that could not even be started."""
    return GitBusy(f"git cannot be started ({error.strerror}); it is tried again.")


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
    return re.sub(r"^(fatal|error): ", "", lines[-1]).rstrip(".") if lines else "no reason given"
