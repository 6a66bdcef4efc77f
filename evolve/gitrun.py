"""Runs git: the one place for its safety switches, its environment, its time limit, and its faults by kind.

Arguments are made from our own counters, checked object ids and the settings; text that a model wrote only ever
goes in as a file's content or a commit message. A user's git configuration is never changed. Each git is the head
of a session of its own: a Ctrl-C in the terminal does not tear it, and when its time is over, whatever it started
(a filter, a credential helper) ends with it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evolve.gitfaults import fault, killed, lock_in, not_started, too_slow
from evolve.gitlocks import MARK
from evolve.model import EvolveError
from harness.environment import credentials_in

if TYPE_CHECKING:
    from evolve.gitlocks import Locks

try:
    import git
except ImportError as error:  # GitPython looks for the executable when it is imported
    raise EvolveError(
        "git is not installed; install it (`apt install git`), then run again."
    ) from error

LIMIT = 60.0  # seconds that one command may take: a file system that hangs, a filter that asks
_PAUSES = (0.05, 0.2, 0.5)  # seconds between tries while another git holds a lock
# No hook of the user's runs in the engine's name, no daemon is started, nothing is collected behind its back, and
# what the journal is told about is on the disk before.
_SWITCHES = tuple(
    part
    for switch in (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "submodule.recurse=false",
        "core.fsync=objects,reference",
        "core.quotePath=false",
        "advice.detachedHead=false",
    )
    for part in ("-c", switch)
)
_MISLEADING = (
    *("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
_TAKE_LOCKS = frozenset({"merge", "pack-refs", "restore", "update-ref", "worktree"})
_ENVIRONMENT = {
    "LC_ALL": "C",  # sentences of git are matched
    "GIT_TERMINAL_PROMPT": "0",  # a prompt would never be answered
    "GIT_OPTIONAL_LOCKS": "0",  # looking takes no lock
    "GIT_NO_REPLACE_OBJECTS": "1",  # a candidate is what its id says
}


class GitRunner:
    """Git commands in one folder. Not thread-safe."""

    def __init__(self, folder: Path, locks: Locks | None = None) -> None:
        """`locks`: knows which stale ones may go; only an engine has it, and only an engine writes.

        Raises EvolveError when the environment would send git to another repository.
        """
        if names := [name for name in _MISLEADING if name in os.environ]:
            raise EvolveError(
                f"{names[0]} is set, which sends git to another repository; `unset {names[0]}` and run again."
            )
        self.folder = folder
        self.locks = locks
        self._git = git.Git(folder)
        self._git.update_environment(**_ENVIRONMENT)
        # GitPython hands on our environment and can only replace parts of it.
        self._git.update_environment(**dict.fromkeys(credentials_in(os.environ), ""))

    def at(self, folder: Path) -> GitRunner:
        """A runner like this one in another checkout of the same repository."""
        return GitRunner(folder, self.locks)

    def run(self, *argv: str, feed: str | None = None, env: dict[str, str] | None = None) -> str:
        """What git prints, without the last line break; `feed` is its standard input."""
        return self.read(*argv, feed=feed, env=env).decode("utf-8", "surrogateescape").rstrip("\n")

    def read(self, *argv: str, feed: str | None = None, env: dict[str, str] | None = None) -> bytes:
        """What git prints, to the byte. Raises a fault of `gitfaults` with what git said.

        Waits a moment for a lock that another git holds, and removes one that a killed git of ours left.
        """
        for pause in (*_PAUSES, None):
            status, out, said = self._execute(argv, feed, env)
            if not status:
                return out
            lock = lock_in(said)
            if lock is None or pause is None:
                break
            if self.locks is None or not self.locks.clear(lock):
                time.sleep(pause)
        raise fault(argv[0], said)

    def ask(self, *argv: str) -> str | None:
        """What git prints, or None when its answer is no."""
        status, out, _ = self._execute(argv, None, None)
        return None if status else out.decode("utf-8", "surrogateescape").rstrip("\n")

    def _execute(
        self, argv: tuple[str, ...], feed: str | None, env: dict[str, str] | None
    ) -> tuple[int, bytes, str]:
        """Exit status and both outputs; one that the system killed is run once more."""
        locks = self.locks if argv[0] in _TAKE_LOCKS else None
        for _ in range(2):
            if locks:
                locks.note(argv[0])
            status, out, said = self._once(argv, feed, env)
            if status >= 0:
                if locks:
                    locks.forget()
                return status, out, said
            if self.locks:
                self.locks.sweep()
        raise killed(argv[0], -status)

    def _once(
        self, argv: tuple[str, ...], feed: str | None, env: dict[str, str] | None
    ) -> tuple[int, bytes, str]:
        marked = (env or {}) | ({MARK: self.locks.mark} if self.locks else {})
        with tempfile.TemporaryFile() as pipe:
            pipe.write((feed or "").encode("utf-8", "surrogateescape"))
            pipe.seek(0)
            try:
                guard = self._git.execute(  # ends git when it goes out of scope
                    # -C: without the folder git fails; GitPython alone would run it where we stand
                    ["git", "-C", str(self.folder), *_SWITCHES, *argv],
                    istream=pipe,
                    as_process=True,
                    env=marked,
                    start_new_session=True,
                )
            except OSError as error:
                raise not_started(error) from None
        process = guard.proc
        assert process is not None  # noqa: S101 - it was started a moment ago
        try:
            out, said = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if self.locks:
                self.locks.sweep()
            raise too_slow(argv[0], LIMIT) from None
        return process.returncode, out, said.decode("utf-8", "replace")


def check_oid(value: str) -> str:
    """A full object id and nothing else: what reaches git can be no option and no expression."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value):
        raise EvolveError(f"“{value[:60]}” is no commit id.")
    return value
