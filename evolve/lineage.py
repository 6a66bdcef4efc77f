"""Git as the lineage: candidates are commits, the population has worktrees, the ratchet moves one branch.

The journal is the authority; refs and worktrees are projections that can be repaired from it. This module never
rewrites or loses a commit, never touches a person's changes, and never passes text that a model wrote as
an option, a ref or a path.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from evolve.branch import Branch, changes, few
from evolve.gitfaults import GitFault, ObjectsMissing
from evolve.gitrun import check_oid
from evolve.halfway import unfinished
from evolve.model import EvolveError
from evolve.places import STATE, WORKTREES
from evolve.refs import Refs
from evolve.repository import (
    check_script,
    choose_branch,
    choose_script,
    head_branch,
    open_repository,
    with_locks,
)
from evolve.text import check_run_name, one_line, paragraphs
from evolve.trees import Trees
from evolve.worktrees import Worktrees

Kind = Literal["fast-forward", "merge"]


@dataclass(frozen=True, slots=True)
class Aim:
    """A move of the branch that can be made now."""

    tip: str  # where the branch stands
    target: str  # where it is to stand
    kind: Kind
    title: str


@dataclass(frozen=True, slots=True)
class Ratchet:
    """What became of an attempt to move the branch."""

    moved: bool
    commit: str  # where the branch stands now; "" when that is not known
    kind: Literal["fast-forward", "merge", "unchanged", "deferred"]
    reason: str = ""  # why it was deferred, in words


class Lineage:
    """The git side of one run in one workspace. Not thread-safe: one per engine."""

    def __init__(self, workspace: Path, script: str, branch: str, run: str) -> None:
        """`script` and `branch` may be "auto". Raises EvolveError where there is no repository, no commit, no
        such branch or no script."""
        self.run = check_run_name(run)
        self.workspace = workspace.resolve()
        git = open_repository(self.workspace)
        self.branch = choose_branch(git, branch)
        self._git = with_locks(git, self.branch)
        self._branch = Branch(self._git, self.branch)
        self.script = choose_script(self._git, self.branch, script)
        self._trees = Trees(self._git)
        self._refs = Refs(self._git, self.run)
        self._worktrees = Worktrees(self._git, self.workspace / STATE / WORKTREES)
        self.source = lru_cache(maxsize=128)(self._source)

    # ---- looking -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse a workspace in which a new run could go wrong; one sentence each.

        One that goes on is not asked: it starts from commits of the journal, and what a person does in the checkout
        meanwhile only defers the ratchet.
        """
        if operation := unfinished(self._git):
            raise EvolveError(
                f"A {operation} is in progress in this repository; finish or abort it first."
            )
        if head_branch(self._git) is None:
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
        check_script(self._git, self.branch, self.script, *self.head())

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
        second: int | None = None,
    ) -> str:
        """Make a commit whose tree is the first parent's with the script replaced; no ref moves.

        `title`, `body` and trailer values are data: control characters go, and a body cannot pose as trailers.
        `second`: unix time of the commit; None = now.
        """
        # Not "#17 …" at the start: an editor session of git would take that line for a comment.
        message = _message(f"candidate #{number}: {title}", body, trailers)
        try:
            tree = self._trees.with_file(parents[0], self.script, source)
            return self._commit_tree(tree, parents, message, second)
        except ObjectsMissing:
            self._trees.forget()  # a collection came in between: the next attempt makes them anew
            raise

    def publish(self, number: int, commit: str) -> None:
        """Let the candidate's ref point at its commit, before the journal knows of it.

        So no collection by a person (`git gc --prune=now`) finds a commit of the journal without a ref.
        """
        try:
            self._refs.put(number, commit)
        except ObjectsMissing:
            self._trees.forget()  # they may be gone with it: the next attempt makes them anew
            raise

    def sync(self, expected: dict[int, str]) -> int:
        """Make the run's refs equal to the journal; returns how many were missing, wrong or too many.

        What only git knows is kept under refs/autoresearch-lost, so that no commit can ever be collected.
        """
        return self._refs.sync(expected)

    def lacking(self, commits: dict[int, str]) -> list[int]:
        """The candidates (number to commit) of whose commit or script git has nothing; one look at all of them."""
        self._trees.forget()
        wanted = "".join(f"{check_oid(oid)}:{self.script}\n" for oid in commits.values())
        found = self._git.run("cat-file", "--batch-check", feed=wanted).splitlines()
        answers = zip(commits, found, strict=True)
        return [number for number, line in answers if line.endswith(" missing")]

    def sweep(self) -> list[Path]:
        """Remove locks that a killed git left, end gits that outlived their engine; only at the start of an engine."""
        return self._git.locks.sweep() if self._git.locks else []

    def pack(self) -> bool:
        """Pack the refs where they have become many; returns whether that was due."""
        return self._refs.pack()

    # ---- worktrees -----------------------------------------------------------------------------------------

    def worktree(self, number: int, commit: str) -> Path:
        """The candidate's worktree, made when it is missing."""
        return self._worktrees.add(number, commit)

    def sync_worktrees(self, expected: dict[int, str]) -> list[str]:
        """Give exactly these candidates (number to commit) a worktree; returns what stood in the way, in words."""
        return self._worktrees.sync(expected, self._refs.commit_of)

    # ---- the ratchet ---------------------------------------------------------------------------------------

    def aim(self, commit: str, title: str, trailers: dict[str, str]) -> Aim | Ratchet:
        """How the branch can be moved to a confirmed better candidate; touches no ref and no file.

        Fast-forward where the branch is an ancestor of the winner; else a merge commit of branch and winner,
        whose tree is the branch's own with the winner's script: what a person committed stays in the history
        and outside the script in the files. Only the merge carries `trailers`, because a fast-forward makes no
        commit. With anything in the way the answer is a Ratchet that says so.
        """
        try:
            tip = self._branch.tip()
            if self._holds(tip, commit):
                return Ratchet(False, tip, "unchanged")
            if obstacle := self._branch.obstacle():
                return self._deferred(tip, title, obstacle)
            if self._git.ask("merge-base", "--is-ancestor", tip, check_oid(commit)) is not None:
                return Aim(tip, commit, "fast-forward", title)
            tree = self._trees.with_file(tip, self.script, self.source(commit))
            message = _message(f"Ratchet {self.branch} to {title}", "", trailers)
            return Aim(tip, self._commit_tree(tree, [tip, commit], message), "merge", title)
        except GitFault as error:
            self._trees.forget()
            return self._deferred("", title, str(error))

    def move(self, aim: Aim) -> Ratchet:
        """Carry it out. A clean checkout follows; where git fails, nothing has moved and nothing is torn."""
        obstacle = self._branch.move(aim.target, aim.tip)
        if obstacle and not self.mend(aim.tip, aim.target):
            return self._deferred(aim.tip, aim.title, obstacle)
        return Ratchet(True, aim.target, aim.kind)

    def mend(self, tip: str, target: str) -> bool:
        """Put a move that an earlier engine may have torn in order; returns whether the branch was moved.

        Raises GitFault where git cannot say so now.
        """
        return self._branch.mend(tip, target)

    def holds(self, commit: str) -> bool:
        """Is the commit in the branch's history? Not, when a person has moved the branch back behind it."""
        return self._branch.holds(commit)

    def _deferred(self, tip: str, title: str, obstacle: str) -> Ratchet:
        which = title.split(" ")[0]
        reason = f"{self.branch} waits for {which}: {obstacle.rstrip('.')}. It moves once that is settled."
        return Ratchet(False, tip, "deferred", reason)

    def _holds(self, tip: str, commit: str) -> bool:
        """Was `commit` the last candidate to which the branch was moved?

        What a person committed on top since is their word, and is not undone by moving there again.
        """
        ours = set(self._refs.all().values())
        history = self._git.run("rev-list", "--first-parent", "--parents", "--max-count=10000", tip)
        for line in history.splitlines():
            own, *parents = line.split(" ")
            held = own if own in ours else next((p for p in parents[1:] if p in ours), None)
            if held is not None:
                return held == commit
        return False

    # ---- private -------------------------------------------------------------------------------------------

    def _commit_tree(
        self, tree: str, parents: list[str], message: str, second: int | None = None
    ) -> str:
        argv = [part for parent in dict.fromkeys(parents) for part in ("-p", check_oid(parent))]
        dates = {}
        if second is not None:
            date = f"{second} {time.strftime('%z', time.localtime(second))}"
            dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        env = self._identity | dates
        commit = self._git.run("commit-tree", *argv, check_oid(tree), feed=message, env=env)
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


def _message(title: str, body: str, trailers: dict[str, str]) -> str:
    """Title, body and trailers; the final newline matters, without it git does not see the trailers."""
    # Indented, no line of the body can be taken for a trailer or for the end of the message.
    text = re.sub(r"(?m)^(?=---|[\w-]+\s*:|\(cherry picked)", " ", paragraphs(body))
    lines = [f"{key}: {one_line(value)}" for key, value in trailers.items() if value]
    parts = [one_line(title, 100), text, "\n".join(lines)]
    return "\n\n".join(part for part in parts if part) + "\n"
