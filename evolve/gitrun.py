"""Runs git: the one place for its safety switches, its environment, and its faults in words.

Arguments are made from our own counters, checked object ids and the settings; text that a model wrote only ever
goes in as a file's content or a commit message. A user's git configuration is never changed.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from evolve.model import EvolveError
from harness.environment import credentials_in

try:
    import git
except ImportError as error:  # GitPython looks for the executable when it is imported
    raise EvolveError(
        "git is not installed; install it (`apt install git`), then run again."
    ) from error

# No hook of the user's runs in the engine's name, nothing is collected behind its back, and what the journal is
# told about is on the disk before.
_SWITCHES = tuple(
    part
    for switch in (
        "core.hooksPath=/dev/null",
        "gc.auto=0",
        "maintenance.auto=false",
        "core.fsync=objects,reference",
        "core.quotePath=false",
        "advice.detachedHead=false",
    )
    for part in ("-c", switch)
)
_MISLEADING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)


class GitRunner:
    """Git commands in one folder. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Raises EvolveError when the environment would send git to another repository."""
        if names := [name for name in _MISLEADING if name in os.environ]:
            raise EvolveError(
                f"{names[0]} is set, which sends git to another repository; `unset {names[0]}` and run again."
            )
        self.folder = folder
        self._git = git.Git(folder)
        # Sentences of git are matched below; a prompt would never be answered.
        self._git.update_environment(LC_ALL="C", GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0")
        # GitPython hands on our environment and can only replace parts of it.
        self._git.update_environment(**dict.fromkeys(credentials_in(os.environ), ""))

    def run(self, *argv: str, feed: str | None = None, env: dict[str, str] | None = None) -> str:
        """What git prints, without the last line break; `feed` is its standard input."""
        return self.read(*argv, feed=feed, env=env).decode("utf-8", "surrogateescape").rstrip("\n")

    def read(self, *argv: str, feed: str | None = None, env: dict[str, str] | None = None) -> bytes:
        """What git prints, to the byte. Raises EvolveError with what git said."""
        status, out, said = self._execute(argv, feed, env)
        if status:
            raise EvolveError(_in_words(argv[0], said))
        return out

    def ask(self, *argv: str) -> str | None:
        """What git prints, or None when its answer is no."""
        status, out, _ = self._execute(argv, None, None)
        return None if status else out.decode("utf-8", "surrogateescape").rstrip("\n")

    def _execute(
        self, argv: tuple[str, ...], feed: str | None, env: dict[str, str] | None
    ) -> tuple[int, bytes, str]:
        with tempfile.TemporaryFile() as pipe:
            pipe.write((feed or "").encode("utf-8", "surrogateescape"))
            pipe.seek(0)
            status, out, said = self._git.execute(
                ["git", *_SWITCHES, *argv],
                istream=pipe,
                with_extended_output=True,
                with_exceptions=False,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                env=env,
            )
        return int(status), bytes(out), str(said)


def check_oid(value: str) -> str:
    """A full object id and nothing else: what reaches git can be no option and no expression."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value):
        raise EvolveError(f"“{value[:60]}” is no commit id.")
    return value


def _in_words(command: str, said: str) -> str:
    lock = re.search(r"Unable to create '(.+?\.lock)': File exists", said)
    if lock:
        return (
            f"git {command} found {lock.group(1)}: another git command works there, or one was killed. Try again; "
            "if no git is running, delete that file."
        )
    if "No space left on device" in said:
        return "The disk is full, so git cannot write; free some space, then `autoresearch run` goes on."
    if owner := re.search(r"dubious ownership in repository at '(.+?)'", said):
        return (
            f"{owner.group(1)} belongs to another user; if you trust it, "
            f"`git config --global --add safe.directory {owner.group(1)}`."
        )
    if "nonexistent object" in said:
        return (
            "The journal knows commits that this repository does not have; bring the repository back, or start "
            "a new run with `autoresearch run --name NAME`."
        )
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
    reason = re.sub(r"^(fatal|error): ", "", lines[-1]).rstrip(".") if lines else "no reason given"
    return f"git {command} failed: {reason}."
