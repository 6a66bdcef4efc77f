"""A move of the branch that was torn: told apart from a person's edits to the byte, and put in order.

`git merge --ff-only` writes files, then the index, then the ref; a kill in between leaves a checkout that looks
edited. The journal says which two commits were involved. A path is ours to put back only where git's index has the
version of one of the two, and the file is missing or holds the beginning of one of the two as git checks it out
(git writes a file from its first byte on). Nothing is lost then: every byte is in a commit. Anything else is a
person's, and is not touched.
"""

from __future__ import annotations

import stat
from pathlib import Path

from evolve.gitrun import GitRunner, check_oid

_ABSENT = ""
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}  # a path is a path
_UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}
Entry = str  # "mode oid" of a path, or "" where it is absent


def put_back(git: GitRunner, tip: str, target: str) -> list[str]:
    """In a checkout, give the paths that a torn move from `tip` to `target` left behind the version of HEAD.

    Returns those paths. An operation that a person has under way keeps everything as it is.
    """
    if unfinished(git):
        return []
    done = []
    for path, entries in _changed(git, tip, target).items():
        head, index = _in_head(git, path), _in_index(git, path)
        if head not in entries or index not in entries:
            continue
        if not _is_beginning(git, path, (tip, target), entries):
            continue
        file = git.folder / path
        if index == _ABSENT and head == _ABSENT:
            if file.exists():
                file.unlink()
                done.append(path)
        elif _differs(git, path, head != index):
            source = ("--source=HEAD", "--staged", "--worktree", "--quiet")
            git.run("restore", *source, "--", path, env=_LITERAL)
            done.append(path)
    return done


def unfinished(git: GitRunner) -> str:
    """The operation that a person has begun and not finished in a checkout, or `""`."""
    folder = Path(git.run("rev-parse", "--absolute-git-dir"))
    return next((word for name, word in _UNFINISHED.items() if (folder / name).exists()), "")


# ---- private ---------------------------------------------------------------------------------------------


def _changed(git: GitRunner, tip: str, target: str) -> dict[str, tuple[Entry, Entry]]:
    """The paths in which two commits differ, with their entries there."""
    raw = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev")
    fields = git.run("diff-tree", *raw, check_oid(tip), check_oid(target)).split("\0")
    found = {}
    for words, path in zip(fields[::2], fields[1::2], strict=False):
        old_mode, new_mode, old, new, _ = words.lstrip(":").split(" ")
        found[path] = (_entry(old_mode, old), _entry(new_mode, new))
    return found


def _entry(mode: str, oid: str) -> Entry:
    return _ABSENT if mode == "000000" else f"{mode} {oid}"


def _in_head(git: GitRunner, path: str) -> Entry:
    listed = git.run("ls-tree", "-z", "HEAD", "--", path, env=_LITERAL)
    mode, _, oid = listed.partition("\t")[0].split(" ") if listed else ("000000", "", "")
    return _entry(mode, oid)


def _in_index(git: GitRunner, path: str) -> Entry:
    """As staged; a conflict is no version at all."""
    listed = git.run("ls-files", "--stage", "-z", "--", path, env=_LITERAL)
    if not listed:
        return _ABSENT
    mode, oid, stage = listed.partition("\t")[0].split(" ")
    return _entry(mode, oid) if stage == "0" else "conflict"


def _is_beginning(
    git: GitRunner, path: str, commits: tuple[str, str], entries: tuple[Entry, Entry]
) -> bool:
    """Is the file missing, or the beginning of one of the two versions?"""
    file = git.folder / path
    if not _is_inside(git.folder, file):
        return False
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return False
        there = file.read_bytes()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return any(
        git.read("cat-file", "--filters", f"{check_oid(commit)}:{path}").startswith(there)
        for commit, entry in zip(commits, entries, strict=True)
        if entry.startswith("100")
    )


def _is_inside(folder: Path, file: Path) -> bool:
    """No link on the way leads out of the checkout."""
    return file.parent.resolve().is_relative_to(folder.resolve())


def _differs(git: GitRunner, path: str, staged: bool) -> bool:
    """Does the checkout show another version than HEAD?"""
    return staged or bool(git.run("status", "--porcelain", "-z", "--", path, env=_LITERAL))
