"""Git as the lineage: candidates are commits, the population has worktrees, the ratchet moves one branch.

The journal is the authority; refs and worktrees are projections that can be repaired from it. This module never
rewrites or loses a person's commit, never touches a checkout with changes, and never passes text that a model
wrote as an option, a ref or a path: all names are made from our own counters.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import git
from git.exc import GitCommandError, InvalidGitRepositoryError, NoSuchPathError

from evolve.model import EvolveError

NOTHING = "0" * 40  # the value of a ref that must not exist yet
RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
SCRIPTS = ("trainer/train.py", "train.py")  # where `script = "auto"` looks
BUSY = (
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge",
    "rebase-apply",
    "BISECT_LOG",
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


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
        """`script` and `branch` may be "auto". Raises EvolveError outside a git repository."""
        if not RUN_NAME.fullmatch(run):
            raise EvolveError(
                f"“{run}” cannot name a run; use up to 40 lower-case letters, digits, '.', '_' and '-'."
            )
        self.workspace = workspace.resolve()
        self.run = run
        self._git = _repository(self.workspace)
        self.branch = self._branch(branch)
        self.script = self._script(script)
        self._worktrees = self.workspace / ".autoresearch" / "worktrees"

    # ---- looking ---------------------------------------------------------------------------------------

    def check(self) -> None:
        """Refuse a workspace in which a run could go wrong; one sentence each."""
        if self._head_branch() is None:
            raise EvolveError(
                "Your checkout is on no branch (detached HEAD); `git switch main`, or make a branch for it, "
                "then run again."
            )
        if busy := self._busy():
            raise EvolveError(
                f"A {busy} is in progress in this repository; finish or abort it first."
            )
        if dirty := self._dirty():
            raise EvolveError(
                f"Your checkout has uncommitted changes ({_few(dirty)}); commit or stash them first, because "
                "candidates start from commits only."
            )
        _, source = self.head()
        try:
            ast.parse(source)
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            raise EvolveError(
                f"{self.script} on {self.branch} does not parse"
                f"{f' (line {line})' if line else ''}: {getattr(error, 'msg', error)}. Mend and commit it first."
            ) from None

    def head(self) -> tuple[str, str]:
        """The tip of the branch and the text of the script there."""
        commit = self._run("rev-parse", "--verify", f"refs/heads/{self.branch}^{{commit}}")
        return commit, self.source(commit)

    def source(self, commit: str) -> str:
        """The script's text in a commit."""
        try:
            data: bytes = self._git.cat_file(
                "blob",
                f"{_oid(commit)}:{self.script}",
                stdout_as_string=False,
                strip_newline_in_stdout=False,
            )
        except GitCommandError:
            raise EvolveError(
                f"There is no {self.script} on {self.branch}; name your file in [workspace] script, or make a "
                "workspace with `autoresearch init DIR`."
            ) from None
        return data.decode("utf-8", "replace")

    def diff(self, before: str, after: str) -> str:
        """A unified diff of the script between two commits."""
        return self._run("diff", "--no-color", _oid(before), _oid(after), "--", self.script)

    # ---- candidates ------------------------------------------------------------------------------------

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

        `title`, `body` and trailer values are data: control characters go, and a body cannot pose as trailers,
        because ours come last in a paragraph of their own.
        """
        tree = self._tree_with(parents[0], source)
        message = _message(f"#{number} {title}", body, trailers)
        return self._commit_tree(tree, parents, message)

    def publish(self, number: int, commit: str) -> None:
        """Create the candidate's ref; an equal one is fine, another one there is an error."""
        if self._ref_value(number) == commit:
            return
        self._update_ref(self._ref(number), commit, NOTHING)

    def sync(self, expected: dict[int, str]) -> None:
        """Make the run's refs equal to the journal: missing or wrong ones are set, unknown ones removed."""
        prefix = f"refs/autoresearch/{self.run}/"
        listing = self._run("for-each-ref", "--format=%(refname) %(objectname)", prefix)
        present = dict(line.split(" ") for line in listing.splitlines())
        wanted = {self._ref(number): oid for number, oid in expected.items()}
        lines = [f"update {ref} {oid}" for ref, oid in wanted.items() if present.get(ref) != oid]
        lines += [f"delete {ref}" for ref in present if ref not in wanted]
        if lines:
            self._stdin("\n".join([*lines, ""]), "update-ref", "--stdin")

    # ---- worktrees -------------------------------------------------------------------------------------

    def worktree(self, number: int, commit: str) -> Path:
        """The candidate's worktree, made when it is missing."""
        path = self._worktrees / str(int(number))
        if not (path / ".git").exists():
            shutil.rmtree(path, ignore_errors=True)
            self._run("worktree", "prune")
            self._worktrees.mkdir(parents=True, exist_ok=True)
            self._run("worktree", "add", "--quiet", "--force", "--detach", str(path), _oid(commit))
        return path

    def drop_worktree(self, number: int) -> None:
        """Remove a candidate's worktree; its commit stays."""
        path = self._worktrees / str(int(number))
        if path.exists():
            self._run("worktree", "remove", "--force", "--force", str(path))

    def sync_worktrees(self, expected: dict[int, str]) -> None:
        """Give exactly these candidates a worktree."""
        if self._worktrees.is_dir():
            for path in self._worktrees.iterdir():
                if not path.name.isdigit() or int(path.name) not in expected:
                    with contextlib.suppress(GitCommandError, EvolveError):
                        self._run("worktree", "remove", "--force", "--force", str(path))
                    shutil.rmtree(path, ignore_errors=True)
        for number, commit in expected.items():
            self.worktree(number, commit)

    # ---- the ratchet -----------------------------------------------------------------------------------

    def ratchet(self, commit: str, title: str, trailers: dict[str, str]) -> Ratchet:
        """Move the branch to a confirmed better candidate.

        Fast-forward where the branch is an ancestor of the winner; else a merge commit with the branch and the
        winner as parents, whose tree is the branch's own with the winner's script, so nothing that a person
        committed is lost. A checkout that shows the branch follows when it is clean; otherwise this defers.
        """
        tip, source = self.head()
        if self._is_ancestor(commit, tip) and source == self.source(commit):
            return Ratchet(False, tip, "unchanged")
        holder = self._checkout_of_branch()
        if holder is not None and (obstacle := self._obstacle(holder)):
            return Ratchet(
                False,
                tip,
                "deferred",
                f"{self.branch} waits for {title.split(' ')[0]}: {obstacle}. It moves once that is settled.",
            )
        if self._is_ancestor(tip, commit):
            target, kind = commit, "fast-forward"
        else:
            message = _message(f"Ratchet {self.branch} to {title}", "", trailers)
            target = self._commit_tree(
                self._tree_with(tip, self.source(commit)), [tip, commit], message
            )
            kind = "merge"
        self._move(target, tip, holder)
        return Ratchet(True, target, "merge" if kind == "merge" else "fast-forward")

    def _move(self, target: str, tip: str, holder: Path | None) -> None:
        if holder is None:
            self._update_ref(f"refs/heads/{self.branch}", target, tip)
            return
        # `merge --ff-only` moves ref, index and files together and refuses to overwrite anything.
        with git.Repo(holder) as checkout:
            try:
                checkout.git.merge("--ff-only", "--quiet", _oid(target))
            except GitCommandError as error:
                raise EvolveError(
                    f"{self.branch} could not be moved in {holder}: {_said(error)}."
                ) from None

    def _obstacle(self, holder: Path) -> str:
        with git.Repo(holder) as checkout:
            if busy := _busy_in(Path(checkout.git_dir)):
                return f"a {busy} is in progress in {holder}"
            changed = checkout.git.status("--porcelain", "--untracked-files=no").splitlines()
        return f"{holder} has uncommitted changes ({_few(changed)})" if changed else ""

    def _checkout_of_branch(self) -> Path | None:
        """The worktree that has the branch checked out, if any."""
        path: Path | None = None
        for line in self._run("worktree", "list", "--porcelain").splitlines():
            if line.startswith("worktree "):
                path = Path(line.removeprefix("worktree "))
            elif line == f"branch refs/heads/{self.branch}":
                return path
        return None

    # ---- plumbing --------------------------------------------------------------------------------------

    def _run(self, *argv: str) -> str:
        try:
            return str(self._git.execute(["git", *argv]))
        except GitCommandError as error:
            raise EvolveError(f"git {argv[0]} failed: {_said(error)}.") from None

    def _stdin(self, text: str, *argv: str) -> str:
        done = subprocess.run(
            ["git", "-c", "core.fsync=all", *argv],
            cwd=self.workspace,
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise EvolveError(
                f"git {argv[0]} failed: {done.stderr.decode(errors='replace').strip()}."
            )
        return done.stdout.decode().strip()

    def _tree_with(self, base: str, source: str) -> str:
        """The tree of `base` with the script's blob replaced, level by level; modes are kept."""
        blob = self._stdin(source, "hash-object", "-w", "--stdin")
        return self._replace(f"{_oid(base)}^{{tree}}", self.script.split("/"), blob)

    def _replace(self, tree: str, path: list[str], blob: str) -> str:
        entries = []
        for line in self._run("ls-tree", "-z", tree).split("\0"):
            if not line:
                continue
            meta, name = line.split("\t", 1)
            mode, kind, oid = meta.split(" ")
            if name == path[0]:
                oid = blob if len(path) == 1 else self._replace(oid, path[1:], blob)
            entries.append(f"{mode} {kind} {oid}\t{name}")
        return self._stdin("\0".join([*entries, ""]), "mktree", "-z")

    def _commit_tree(self, tree: str, parents: list[str], message: str) -> str:
        argv = ["commit-tree", tree]
        for parent in dict.fromkeys(parents):
            argv += ["-p", _oid(parent)]
        return self._stdin(message, *self._identity(), *argv)

    def _identity(self) -> list[str]:
        """The person's own identity, or a neutral one where git knows none."""
        known = subprocess.run(
            ["git", "var", "GIT_COMMITTER_IDENT"],
            cwd=self.workspace,
            capture_output=True,
            check=False,
        )
        if known.returncode == 0:
            return []
        return ["-c", "user.name=autoresearch", "-c", "user.email=autoresearch@localhost"]

    def _ref(self, number: int) -> str:
        return f"refs/autoresearch/{self.run}/{int(number)}"

    def _ref_value(self, number: int) -> str:
        return self._run("for-each-ref", "--format=%(objectname)", self._ref(number))

    def _update_ref(self, ref: str, new: str, old: str) -> None:
        self._stdin("", "update-ref", ref, _oid(new), _oid(old))

    def _is_ancestor(self, older: str, younger: str) -> bool:
        done = subprocess.run(
            ["git", "merge-base", "--is-ancestor", _oid(older), _oid(younger)],
            cwd=self.workspace,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _branch(self, wanted: str) -> str:
        names = self._git.for_each_ref("--format=%(refname:short)", "refs/heads").splitlines()
        if wanted == "auto":
            current = self._head_branch()
            wanted = "main" if "main" in names or current is None else current
        if not names:
            raise EvolveError(
                "This repository has no commit yet; commit your train.py first, because candidates are commits "
                "on top of it."
            )
        if wanted not in names:
            raise EvolveError(
                f"There is no branch “{wanted}”; [workspace] branch names what the best moves."
            )
        return wanted

    def _script(self, wanted: str) -> str:
        if wanted != "auto":
            return wanted
        listed = self._run(
            "ls-tree", "-r", "--name-only", f"refs/heads/{self.branch}", "--", *SCRIPTS
        )
        found = [name for name in SCRIPTS if name in listed.splitlines()]
        if not found:
            raise EvolveError(
                f"There is no train.py on {self.branch} (looked for {' and '.join(SCRIPTS)}); commit one, name "
                "it in [workspace] script, or make a workspace with `autoresearch init DIR`."
            )
        return found[0]

    def _head_branch(self) -> str | None:
        done = subprocess.run(
            ["git", "symbolic-ref", "--quiet", "--short", "HEAD"],
            cwd=self.workspace,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or None

    def _busy(self) -> str:
        return _busy_in(Path(self._run("rev-parse", "--absolute-git-dir")))

    def _dirty(self) -> list[str]:
        return self._run("status", "--porcelain", "--untracked-files=no").splitlines()


def _repository(workspace: Path) -> git.Git:
    """A command runner for the repository whose top level is `workspace`."""
    if workspace.exists() and workspace.stat().st_uid not in (os.getuid(), 0):
        raise EvolveError(f"{workspace} belongs to another user; work in a copy of your own.")
    try:
        with git.Repo(workspace, search_parent_directories=True) as repo:
            top = Path(str(repo.working_tree_dir or workspace)).resolve()
    except (InvalidGitRepositoryError, NoSuchPathError):
        raise EvolveError(
            f"{workspace} is no git repository; `git init` and commit your train.py there, or make a fresh "
            "workspace with `autoresearch init DIR`."
        ) from None
    if top != workspace:
        raise EvolveError(
            f"{workspace} is inside the repository {top}; run autoresearch there (-C {top})."
        )
    return git.Git(workspace)


def _busy_in(git_dir: Path) -> str:
    words = {
        "MERGE_HEAD": "merge",
        "CHERRY_PICK_HEAD": "cherry-pick",
        "REVERT_HEAD": "revert",
        "BISECT_LOG": "bisect",
    }
    for name in BUSY:
        if (git_dir / name).exists():
            return words.get(name, "rebase")
    return ""


def _message(title: str, body: str, trailers: dict[str, str]) -> str:
    """Title, body and trailers; the final newline matters, without it git does not see the trailers."""
    parts = [" ".join(_CONTROL.sub(" ", title).split())]
    if text := _CONTROL.sub(" ", body).strip():
        parts.append(text)
    lines = [
        f"{key}: {' '.join(_CONTROL.sub(' ', value).split())}"
        for key, value in trailers.items()
        if value
    ]
    if lines:
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _oid(value: str) -> str:
    """A full object id and nothing else: what reaches git can be no option and no expression."""
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value):
        raise EvolveError(f"“{value[:60]}” is no commit id.")
    return value


def _few(status: list[str]) -> str:
    names = [line[3:] for line in status[:3]]
    return ", ".join(names) + (f" and {len(status) - 3} more" if len(status) > 3 else "")


def _said(error: GitCommandError) -> str:
    """What git itself said, in one line."""
    text = re.sub(r"^\s*stderr: '|'\s*$", "", str(error.stderr or error)).strip()
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("fatal: ").rstrip(".") if lines else "no reason given"
