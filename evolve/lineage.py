"""Git as the lineage: candidates are commits, the population has worktrees, the ratchet moves one branch.

The journal is the authority; refs and worktrees are projections that can be repaired from it. This module never
rewrites or loses a commit, never touches a checkout with changes, and never passes text that a model wrote as
an option, a ref or a path.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from evolve.branch import Branch, changes, few, unfinished
from evolve.gitrun import GitRunner, check_oid
from evolve.model import EvolveError
from evolve.places import STATE, WORKTREES
from evolve.syntax import parse
from evolve.text import check_run_name, one_line, paragraphs
from evolve.trees import Trees
from evolve.worktrees import Worktrees

SCRIPTS = ("trainer/train.py", "train.py")  # where `script = "auto"` looks
_ABSENT = "0" * 40  # the value of a ref that must not exist yet


@dataclass(frozen=True, slots=True)
class Ratchet:
    """What became of an attempt to move the branch."""

    moved: bool
    commit: str  # where the branch stands now
    kind: Literal["fast-forward", "merge", "unchanged", "deferred"]
    reason: str = ""  # why it was deferred, in words


class Lineage:
    """The git side of one run in one workspace. Not thread-safe: one per engine."""

    def __init__(self, workspace: Path, script: str, branch: str, run: str) -> None:
        """`script` and `branch` may be "auto". Raises EvolveError where there is no repository, no commit, no
        such branch or no script."""
        self.run = check_run_name(run)
        self.workspace = workspace.resolve()
        self._git = _open(self.workspace)
        self._branch = Branch(self._git, self._choose_branch(branch))
        self.branch = self._branch.name
        self.script = self._choose_script(script)
        self._trees = Trees(self._git)
        self._worktrees = Worktrees(self._git, self.workspace / STATE / WORKTREES)
        self.source = lru_cache(maxsize=128)(self._source)

    # ---- looking -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse a workspace in which a run could go wrong; one sentence each."""
        if operation := unfinished(self._git):
            raise EvolveError(
                f"A {operation} is in progress in this repository; finish or abort it first."
            )
        if self._head_branch() is None:
            raise EvolveError(
                "Your checkout is on no branch (detached HEAD); `git switch main`, or make a branch for it, "
                "then run again."
            )
        elsewhere = self._branch.checkout()
        if elsewhere not in (None, self.workspace):
            raise EvolveError(
                f"{self.branch} is checked out in {elsewhere}, where it would change under other hands; run there, "
                "or name another branch in [workspace] branch."
            )
        if dirty := changes(self._git):
            raise EvolveError(
                f"Your checkout has uncommitted changes ({few(dirty)}); commit or stash them first, because "
                "candidates start from commits only."
            )
        self._check_script()

    def head(self) -> tuple[str, str]:
        """The tip of the branch and the text of the script there."""
        commit = self._branch.tip()
        return commit, self.source(commit)

    def _source(self, commit: str) -> str:
        """The script's text in a commit; `source` remembers the last ones."""
        data = self._git.read("cat-file", "blob", f"{check_oid(commit)}:{self.script}")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise EvolveError(
                f"{self.script} in {commit[:7]} is no UTF-8 text; save it as UTF-8 and commit it."
            ) from None

    def diff(self, before: str, after: str) -> str:
        """A unified diff of the script between two commits."""
        plain = ("--no-color", "--no-ext-diff", "--no-textconv")
        return self._git.run("diff", *plain, check_oid(before), check_oid(after), "--", self.script)

    # ---- candidates ----------------------------------------------------------------------------------------

    def commit(
        self,
        number: int,
        source: str,
        parents: list[str],
        *,
        title: str,
        body: str,
        trailers: dict[str, str],
    ) -> str:
        """Make a commit whose tree is the first parent's with the script replaced; no ref moves.

        `title`, `body` and trailer values are data: control characters go, and a body cannot pose as trailers.
        """
        tree = self._trees.with_file(parents[0], self.script, source)
        # Not "#17 …" at the start: an editor session of git would take that line for a comment.
        message = _message(f"candidate #{number}: {title}", body, trailers)
        return self._commit_tree(tree, parents, message)

    def publish(self, number: int, commit: str) -> None:
        """Create the candidate's ref; an equal one is fine, another one there is an error."""
        try:
            ref = f"{self._refs()}{int(number)}"
            self._git.run("update-ref", ref, check_oid(commit), _ABSENT)
        except EvolveError:
            if self._published_as(number) != commit:
                raise

    def sync(self, expected: dict[int, str]) -> None:
        """Make the run's refs equal to the journal: missing and wrong ones are set.

        What only git knows is kept under refs/autoresearch-lost, so that no commit can ever be collected.
        """
        present = self._published()
        wanted = {f"{self._refs()}{int(n)}": check_oid(oid) for n, oid in expected.items()}
        lines = []
        for ref, oid in present.items():
            if wanted.get(ref) != oid:
                lines.append(
                    f"update refs/autoresearch-lost/{self.run}/{ref.rpartition('/')[2]}-{oid[:12]} {oid}"
                )
            if ref not in wanted:
                lines.append(f"delete {ref}")
        lines += [f"update {ref} {oid}" for ref, oid in wanted.items() if present.get(ref) != oid]
        if lines:
            self._git.run("update-ref", "--stdin", feed="\n".join([*lines, ""]))

    # ---- worktrees -----------------------------------------------------------------------------------------

    def worktree(self, number: int, commit: str) -> Path:
        """The candidate's worktree, made when it is missing."""
        return self._worktrees.add(number, commit)

    def sync_worktrees(self, expected: dict[int, str]) -> None:
        """Give exactly these candidates (number to commit) a worktree."""
        self._worktrees.sync(expected, self._published_as)

    # ---- the ratchet ---------------------------------------------------------------------------------------

    def ratchet(self, commit: str, title: str, trailers: dict[str, str]) -> Ratchet:
        """Move the branch to a confirmed better candidate.

        Fast-forward where the branch is an ancestor of the winner; else a merge commit of branch and winner,
        whose tree is the branch's own with the winner's script: what a person committed stays in the history
        and outside the script in the files. Only the merge carries `trailers`, because a fast-forward makes no
        commit. A clean checkout follows; with anything in the way this defers and touches nothing.
        """
        tip = self._branch.tip()
        if self._holds(tip, commit):
            return Ratchet(False, tip, "unchanged")
        if obstacle := self._branch.obstacle():
            return self._deferred(tip, title, obstacle)
        kind: Literal["fast-forward", "merge"] = "fast-forward"
        target = check_oid(commit)
        if self._git.ask("merge-base", "--is-ancestor", tip, commit) is None:
            kind = "merge"
            tree = self._trees.with_file(tip, self.script, self.source(commit))
            message = _message(f"Ratchet {self.branch} to {title}", "", trailers)
            target = self._commit_tree(tree, [tip, commit], message)
        if obstacle := self._branch.move(target, tip):
            return self._deferred(tip, title, obstacle)
        return Ratchet(True, target, kind)

    def _deferred(self, tip: str, title: str, obstacle: str) -> Ratchet:
        which = title.split(" ")[0]
        reason = f"{self.branch} waits for {which}: {obstacle.rstrip('.')}. It moves once that is settled."
        return Ratchet(False, tip, "deferred", reason)

    def _holds(self, tip: str, commit: str) -> bool:
        """Was `commit` the last candidate to which the branch was moved?

        What a person committed on top since is their word, and is not undone by moving there again.
        """
        ours = set(self._published().values())
        history = self._git.run("rev-list", "--first-parent", "--parents", "--max-count=10000", tip)
        for line in history.splitlines():
            own, *parents = line.split(" ")
            held = own if own in ours else next((p for p in parents[1:] if p in ours), None)
            if held is not None:
                return held == commit
        return False

    # ---- private -------------------------------------------------------------------------------------------

    def _commit_tree(self, tree: str, parents: list[str], message: str) -> str:
        argv = [part for parent in dict.fromkeys(parents) for part in ("-p", check_oid(parent))]
        commit = self._git.run("commit-tree", *argv, tree, feed=message, env=self._identity)
        self._trees.remember(commit, tree)
        return commit

    @cached_property
    def _identity(self) -> dict[str, str]:
        """A neutral identity for where git was told none; the person's own wins, from wherever it comes."""
        if self._git.ask("config", "user.name") and self._git.ask("config", "user.email"):
            return {}
        neutral = {"NAME": "autoresearch", "EMAIL": "autoresearch@localhost"}
        names = [(role, part) for role in ("AUTHOR", "COMMITTER") for part in neutral]
        wanted = {f"GIT_{role}_{part}": neutral[part] for role, part in names}
        return {name: value for name, value in wanted.items() if name not in os.environ}

    def _refs(self) -> str:
        return f"refs/autoresearch/{self.run}/"

    def _published(self) -> dict[str, str]:
        listing = self._git.run("for-each-ref", "--format=%(refname) %(objectname)", self._refs())
        return dict(line.split(" ") for line in listing.splitlines())

    def _published_as(self, number: int) -> str | None:
        return self._git.ask("rev-parse", "--verify", "--quiet", f"{self._refs()}{int(number)}")

    def _head_branch(self) -> str | None:
        return self._git.ask("symbolic-ref", "--quiet", "--short", "HEAD")

    def _choose_branch(self, wanted: str) -> str:
        names = self._git.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        listed = names.splitlines()
        if not listed:
            raise EvolveError(
                "This repository has no commit yet; commit your train.py first, because candidates are commits "
                "on top of it."
            )
        if wanted == "auto":
            wanted = "main" if "main" in listed else self._head_branch() or "main"
        if wanted not in listed:
            raise EvolveError(
                f"There is no branch “{wanted}”; [workspace] branch names the one that the best moves."
            )
        return wanted

    def _choose_script(self, wanted: str) -> str:
        places = SCRIPTS if wanted == "auto" else (wanted,)
        tree = f"refs/heads/{self.branch}"
        listed = self._git.run("ls-tree", "-r", "-z", "--name-only", tree).split("\0")
        found = [name for name in places if name in listed]
        if found:
            return found[0]
        here = [name for name in places if (self.workspace / name).is_file()]
        if here:
            raise EvolveError(
                f"{here[0]} is not committed on {self.branch}; `git add {here[0]}` and commit it."
            )
        raise EvolveError(
            f"There is no train.py on {self.branch} (looked for {' and '.join(places)}); commit one, name it in "
            "[workspace] script, or make a workspace with `autoresearch init DIR`."
        )

    def _check_script(self) -> None:
        tip, source = self.head()
        mode = self._git.run("ls-tree", tip, "--", self.script).split(" ")[0]
        if not mode.startswith("100"):
            raise EvolveError(f"{self.script} is no ordinary file in git; commit the file itself.")
        try:
            parse(source)
        except SyntaxError as error:
            line = f" (line {error.lineno})" if error.lineno else ""
            raise EvolveError(
                f"{self.script} on {self.branch} does not parse{line}: {error.msg}. Mend and commit it first."
            ) from None
        except (ValueError, RecursionError) as error:
            raise EvolveError(
                f"{self.script} on {self.branch} does not parse: {error}. Mend and commit it first."
            ) from None


def _open(workspace: Path) -> GitRunner:
    """A runner for the repository whose top level is `workspace`."""
    if not workspace.is_dir():
        raise EvolveError(f"There is no folder {workspace}; check its name.")
    git = GitRunner(workspace)
    if git.ask("rev-parse", "--git-dir") is None:
        try:
            git.run("rev-parse", "--git-dir")
        except EvolveError as error:
            if "not a git repository" not in str(error):
                raise
        raise EvolveError(
            f"{workspace} is no git repository; `git init` and commit your train.py there, or make a fresh "
            "workspace with `autoresearch init DIR`."
        )
    if git.run("rev-parse", "--is-inside-work-tree") != "true":
        raise EvolveError(f"{workspace} has no checkout (a bare repository); run in a clone of it.")
    top = Path(git.run("rev-parse", "--show-toplevel")).resolve()
    if top != workspace:
        raise EvolveError(
            f"{workspace} is inside the repository {top}; run autoresearch there (-C {top})."
        )
    return git


def _message(title: str, body: str, trailers: dict[str, str]) -> str:
    """Title, body and trailers; the final newline matters, without it git does not see the trailers."""
    # Indented, no line of the body can be taken for a trailer or for the end of the message.
    text = re.sub(r"(?m)^(?=---|[\w-]+\s*:|\(cherry picked)", " ", paragraphs(body))
    lines = [f"{key}: {one_line(value)}" for key, value in trailers.items() if value]
    parts = [one_line(title, 100), text, "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"
