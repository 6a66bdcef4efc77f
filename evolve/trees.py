"""Builds the trees of commits that differ from another one in a single file. Objects only: no ref, no index.

It remembers what it has built, so that a child of a known candidate costs no look into its parent.
"""

from __future__ import annotations

from evolve.gitrun import GitRunner, check_oid

_REMEMBERED = 512  # trees; a few kilobytes each
Entries = dict[str, str]  # name -> "mode type oid"


class Trees:
    """The trees of one repository."""

    def __init__(self, git: GitRunner) -> None:
        self._git = git
        self._entries: dict[str, Entries] = {}
        self._of_commit: dict[str, str] = {}

    def with_file(self, commit: str, path: str, text: str) -> str:
        """The tree of `commit` with the file's content replaced; its mode stays. Returns the tree's id."""
        blob = self._git.run("hash-object", "-w", "--stdin", feed=text)
        return self._replace(self._root(commit), path.split("/"), blob)

    def remember(self, commit: str, tree: str) -> None:
        """A new commit has this tree."""
        self._of_commit[commit] = tree
        _forget_old(self._of_commit)

    def forget(self) -> None:
        """Believe nothing that was built before: a person's `git gc --prune=now` may have taken it."""
        self._entries.clear()
        self._of_commit.clear()

    def _root(self, commit: str) -> str:
        if commit not in self._of_commit:
            self.remember(commit, self._git.run("rev-parse", f"{check_oid(commit)}^{{tree}}"))
        return self._of_commit[commit]

    def _replace(self, tree: str, path: list[str], blob: str) -> str:
        entries = dict(self._list(tree))
        mode, kind, oid = entries[path[0]].split(" ")
        entries[path[0]] = " ".join(
            (mode, kind, blob if len(path) == 1 else self._replace(oid, path[1:], blob))
        )
        listing = "".join(f"{entry}\t{name}\0" for name, entry in entries.items())
        made = self._git.run("mktree", "-z", feed=listing)
        self._entries[made] = entries
        _forget_old(self._entries)
        return made

    def _list(self, tree: str) -> Entries:
        if tree not in self._entries:
            lines = self._git.run("ls-tree", "-z", check_oid(tree)).split("\0")
            pairs = (line.split("\t", 1) for line in lines if line)
            self._entries[tree] = {name: entry for entry, name in pairs}
        return self._entries[tree]


def _forget_old(memory: dict[str, str] | dict[str, Entries]) -> None:
    while len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
