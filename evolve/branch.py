"""The branch that the ratchet moves, and the checkout that shows it.

It moves by compare-and-swap or by git's own fast-forward, so a commit of a person is never lost and a changed
file never overwritten. Whether to move is not decided here.
"""

from __future__ import annotations

from pathlib import Path

from evolve.gitrun import GitRunner, check_oid
from evolve.model import EvolveError
from harness.crashpoints import reached

RESULTS = (
    "results.tsv"  # ours to rewrite: where a person has committed it, its changes are no obstacle
)
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}


class Branch:
    """One local branch of one repository."""

    def __init__(self, git: GitRunner, name: str) -> None:
        self._git = git
        self.name = name
        self.ref = f"refs/heads/{name}"

    def tip(self) -> str:
        """The commit on which it stands."""
        return self._git.run("rev-parse", "--verify", f"{self.ref}^{{commit}}")

    def checkout(self) -> Path | None:
        """The folder that has the branch checked out, if any."""
        path = Path()
        for line in self._git.run("worktree", "list", "--porcelain").splitlines():
            if line.startswith("worktree "):
                path = Path(line.removeprefix("worktree "))
            elif line == f"branch {self.ref}" and path.is_dir():
                return path
        return None

    def obstacle(self) -> str:
        """Why the branch cannot move now, in words; `""` when it can."""
        folder = self.checkout()
        if folder is None:
            return ""
        there = GitRunner(folder)
        if operation := unfinished(there):
            return f"a {operation} is in progress in {folder}"
        changed = changes(there)
        return f"{folder} has uncommitted changes ({few(changed)})" if changed else ""

    def move(self, target: str, tip: str) -> str:
        """Move from `tip` to `target`, a descendant; returns why that failed, or `""`.

        A checkout follows: ref, index and files change together, or nothing does.
        """
        folder = self.checkout()
        reached("ratchet.before-move")
        try:
            if folder is None:
                message = "autoresearch: ratchet"
                swap = (self.ref, check_oid(target), check_oid(tip))
                self._git.run("update-ref", "-m", message, *swap)
            else:
                # Said on the command line, these win over whatever the user's configuration says.
                flags = ("--ff-only", "--no-squash", "--no-verify-signatures", "--no-autostash")
                GitRunner(folder).run("merge", "--quiet", *flags, check_oid(target))
        except EvolveError as error:
            return str(error)
        reached("ratchet.after-move")
        return ""


def unfinished(git: GitRunner) -> str:
    """The operation that a person has begun and not finished in a checkout, or `""`."""
    folder = Path(git.run("rev-parse", "--absolute-git-dir"))
    return next((word for name, word in _UNFINISHED.items() if (folder / name).exists()), "")


def changes(git: GitRunner) -> list[str]:
    """Tracked files with changes that are not committed; untracked ones are nobody's obstacle."""
    tracked = ("status", "--porcelain", "-z", "--untracked-files=no", "--no-renames")
    listed = git.run(*tracked, "--", ".", f":(top,exclude){RESULTS}").split("\0")
    return [entry[3:] for entry in listed if entry]


def few(names: list[str]) -> str:
    """Up to three names, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
