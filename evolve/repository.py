"""A person's repository, found and judged: is this a place for a run, which branch moves, where is the script.

Reads only. Every refusal is one sentence that says what to do.
"""

from __future__ import annotations

from pathlib import Path

from evolve.gitlocks import Locks
from evolve.gitrun import GitRunner
from evolve.model import EvolveError
from evolve.places import STATE
from evolve.syntax import parse

SCRIPTS = ("trainer/train.py", "train.py")  # where `script = "auto"` looks
_LFS = "version https://git-lfs.github.com/spec/"  # how a pointer of Git LFS begins


def open_repository(workspace: Path) -> GitRunner:
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


def with_locks(git: GitRunner, branch: str) -> GitRunner:
    """The same runner for whoever moves this branch: it knows which stale locks may go."""
    common = (git.folder / git.run("rev-parse", "--git-common-dir")).resolve()
    return GitRunner(git.folder, Locks(common, git.folder / STATE, branch))


def head_branch(git: GitRunner) -> str | None:
    """The branch that is checked out; None on a detached HEAD."""
    return git.ask("symbolic-ref", "--quiet", "--short", "HEAD")


def choose_branch(git: GitRunner, wanted: str) -> str:
    """The branch that a run moves; "auto" is main, or the one checked out."""
    listed = git.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()
    if not listed:
        raise EvolveError(
            "This repository has no commit yet; commit your train.py first, because candidates are commits "
            "on top of it."
        )
    if wanted == "auto":
        wanted = "main" if "main" in listed else head_branch(git) or "main"
    if wanted not in listed:
        raise EvolveError(
            f"There is no branch “{wanted}”; [workspace] branch names the one that the best moves."
        )
    return wanted


def choose_script(git: GitRunner, branch: str, wanted: str) -> str:
    """Where the script is on the branch; "auto" looks in the usual places."""
    places = SCRIPTS if wanted == "auto" else (wanted,)
    listed = git.run("ls-tree", "-r", "-z", "--name-only", f"refs/heads/{branch}").split("\0")
    found = [name for name in places if name in listed]
    if found:
        return found[0]
    here = [name for name in places if (git.folder / name).is_file()]
    if here:
        raise EvolveError(
            f"{here[0]} is not committed on {branch}; `git add {here[0]}` and commit it."
        )
    raise EvolveError(
        f"There is no train.py on {branch} (looked for {' and '.join(places)}); commit one, name it in "
        "[workspace] script, or make a workspace with `autoresearch init DIR`."
    )


def check_script(git: GitRunner, branch: str, script: str, commit: str, source: str) -> None:
    """Refuse a script from which no candidate can be made."""
    mode = git.run("ls-tree", commit, "--", script).split(" ")[0]
    if not mode.startswith("100"):
        raise EvolveError(f"{script} is no ordinary file in git; commit the file itself.")
    if source.startswith(_LFS):
        raise EvolveError(
            f"{script} is kept in Git LFS, so git has a pointer instead of the text; take it out of .gitattributes, "
            f"`git add --renormalize {script}` and commit."
        )
    try:
        parse(source)
    except SyntaxError as error:
        line = f" (line {error.lineno})" if error.lineno else ""
        raise EvolveError(
            f"{script} on {branch} does not parse{line}: {error.msg}. Mend and commit it first."
        ) from None
    except (ValueError, RecursionError) as error:
        raise EvolveError(
            f"{script} on {branch} does not parse: {error}. Mend and commit it first."
        ) from None
