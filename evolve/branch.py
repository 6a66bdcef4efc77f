"""The branch that the ratchet moves, and the checkout that shows it.

It moves by compare-and-swap or by git's own fast-forward, so a commit of a person is never lost and a changed
file never overwritten. Whether to move is not decided here.
"""

from __future__ import annotations

from pathlib import Path

from evolve.gitfaults import GitFault
from evolve.gitrun import GitRunner, check_oid
from evolve.halfway import put_back, unfinished
from harness.crashpoints import reached

RESULTS = (
    "results.tsv"  # ours to rewrite: where a person has committed it, its changes are no obstacle
)


class Branch:
    """One local branch of one repository."""

    def __init__(self, git: GitRunner, name: str) -> None:
        self._git = git
        self.name = name
        self.ref = f"refs/heads/{name}"

    def tip(self) -> str:
        """The commit on which it stands. Raises GitFault when a person has deleted or renamed it."""
        found = self._git.ask("rev-parse", "--verify", "--quiet", f"{self.ref}^{{commit}}")
        if found is None:
            raise GitFault(
                f"there is no branch {self.name} any more; `git branch {self.name} COMMIT` brings it back"
            )
        return found

    def holds(self, commit: str) -> bool:
        """Is `commit` in the branch's history?"""
        history = (check_oid(commit), self.tip())
        return self._git.ask("merge-base", "--is-ancestor", *history) is not None

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
        there = self._git.at(folder)
        if operation := unfinished(there):
            return f"a {operation} is in progress in {folder}"
        changed = changes(there)
        return f"{folder} has uncommitted changes ({few(changed)})" if changed else ""

    def move(self, target: str, tip: str) -> str:
        """Move from `tip` to `target`, a descendant; returns why that failed, or `""`.

        A checkout follows. A kill in between leaves a torn one, which `mend` puts in order.
        """
        folder = self.checkout()
        reached("ratchet.before-move")
        try:
            if folder is None:
                swap = (self.ref, check_oid(target), check_oid(tip))
                self._git.run("update-ref", "-m", "autoresearch: ratchet", *swap)
            else:
                # Said on the command line, these win over whatever the user's configuration says.
                flags = ("--ff-only", "--no-squash", "--no-verify-signatures", "--no-autostash")
                self._git.at(folder).run("merge", "--quiet", *flags, check_oid(target))
        except GitFault as error:
            return str(error)
        reached("ratchet.after-move")
        return ""

    def mend(self, tip: str, target: str) -> bool:
        """Put a torn move from `tip` to `target` in order; returns whether the branch holds `target`.

        The branch says whether it was moved; checkouts follow what their HEAD says. The workspace is looked at too:
        a person may have switched to another branch with torn files in hand.
        """
        folders = {self._git.folder, self.checkout() or self._git.folder}
        for folder in sorted(folders):
            put_back(self._git.at(folder), tip, target)
        return self.holds(target)


def changes(git: GitRunner) -> list[str]:
    """Tracked files with changes that are not committed; untracked ones are nobody's obstacle."""
    # What goes on inside a submodule stands in nobody's way; another commit of it is a change.
    plain = ("--untracked-files=no", "--no-renames", "--ignore-submodules=dirty")
    here = (".", f":(top,exclude){RESULTS}")
    listed = git.run("status", "--porcelain", "-z", *plain, "--", *here)
    return [entry[3:] for entry in listed.split("\0") if entry]


def few(names: list[str]) -> str:
    """Up to three names, and how many more."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
