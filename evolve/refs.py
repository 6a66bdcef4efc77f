"""The refs of a run's candidates, `refs/autoresearch/RUN/NUMBER`: each keeps a commit from being collected.

A projection of the journal. What only git knows is moved to `refs/autoresearch-lost`, so no commit is ever lost
by a repair.
"""

from __future__ import annotations

from evolve.gitfaults import GitBusy, GitFault, ObjectsMissing
from evolve.gitrun import GitRunner, check_oid

_LOOSE = 500  # refs in files of their own; more of them are packed, as `git gc` would


class Refs:
    """The refs of one run."""

    def __init__(self, git: GitRunner, run: str) -> None:
        """`run` is a checked name (`text.check_run_name`)."""
        self._git = git
        self._run = run
        self._prefix = f"refs/autoresearch/{run}/"

    def all(self) -> dict[str, str]:
        """Every ref of the run, with its commit."""
        listing = self._git.run("for-each-ref", "--format=%(refname) %(objectname)", self._prefix)
        return dict(line.split(" ") for line in listing.splitlines())

    def commit_of(self, number: int) -> str | None:
        """What the candidate's ref says, or None without one."""
        return self._git.ask("rev-parse", "--verify", "--quiet", f"{self._prefix}{int(number)}")

    def put(self, number: int, commit: str) -> None:
        """Let the candidate's ref point at `commit`; another commit that was there is kept as lost."""
        name = f"{self._prefix}{int(number)}"
        new = f"create {name} {check_oid(commit)}\n"
        try:
            self._git.run("update-ref", "--stdin", feed=new)
        except (GitBusy, ObjectsMissing):
            raise
        except GitFault:
            before = self.commit_of(number)
            if before is None:
                raise
            if before != commit:
                lines = [f"update {name} {commit} {before}", self._lost(name, before), ""]
                self._git.run("update-ref", "--stdin", feed="\n".join(lines))

    def sync(self, expected: dict[int, str]) -> int:
        """Make the refs equal to the journal; returns how many were missing, wrong or too many."""
        present = self.all()
        wanted = {f"{self._prefix}{int(n)}": check_oid(oid) for n, oid in expected.items()}
        lines, wrong = [], 0
        for ref, oid in present.items():
            if wanted.get(ref) != oid:
                lines.append(self._lost(ref, oid))
                wrong += 1
            if ref not in wanted:
                lines.append(f"delete {ref}")
        for ref, oid in wanted.items():
            if present.get(ref) != oid:
                lines.append(f"update {ref} {oid}")
                wrong += ref not in present
        if lines:
            self._git.run("update-ref", "--stdin", feed="\n".join([*lines, ""]))
        return wrong

    def pack(self) -> bool:
        """Put refs into git's one file of them where many lie about; a look then costs a fifth."""
        folder = self._git.folder / self._git.run("rev-parse", "--git-path", self._prefix)
        if not folder.is_dir() or sum(1 for _ in folder.iterdir()) < _LOOSE:
            return False
        self._git.run("pack-refs", "--all")
        return True

    def _lost(self, ref: str, oid: str) -> str:
        name = f"refs/autoresearch-lost/{self._run}/{ref.rpartition('/')[2]}-{oid[:12]}"
        return f"update {name} {oid}"
