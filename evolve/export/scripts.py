"""The scripts of many candidates at once, by a few calls of git instead of several for each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from evolve.model import Candidate, EvolveError

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.gitrun import GitRunner

_PAGE = 200  # scripts that git is asked for at once; 60 kB each


def scripts(gathered: Gathered, numbers: Collection[int]) -> dict[int, str]:
    """Candidate to the text of its train.py; those that git does not have, and all of a journal alone, are left out."""
    if gathered.workspace is None or not numbers:
        return {}
    from evolve.gitrun import GitRunner, check_oid
    from evolve.repository import SCRIPTS

    wanted = gathered.run.settings.get("workspace", {}).get("script", "auto")
    paths = SCRIPTS if wanted == "auto" else (wanted,)
    missing = {n: gathered.candidate(n) for n in sorted(numbers)}
    found: dict[int, str] = {}
    try:
        git = GitRunner(gathered.workspace)
        for path in paths:
            for some in _pages(missing):
                feed = "".join(f"{check_oid(c.commit)}:{path}\n" for c in some)
                for candidate, text in zip(some, _blobs(git, feed), strict=True):
                    if text is not None and _is(candidate, text, last=path == paths[-1]):
                        found[candidate.id] = text
            missing = {n: c for n, c in missing.items() if n not in found}
    except EvolveError:
        return found  # no repository here: a report without diffs is still one
    return found


def _pages(candidates: dict[int, Candidate]) -> Iterator[list[Candidate]]:
    every = list(candidates.values())
    for start in range(0, len(every), _PAGE):
        yield every[start : start + _PAGE]


def _is(candidate: Candidate, text: str, *, last: bool) -> bool:
    """A repository may hold both names that a script can have; its hash says which one is meant."""
    return last or sha256(text.encode()).hexdigest() == candidate.source_sha


def _blobs(git: GitRunner, feed: str) -> Iterator[str | None]:
    """The answers of `git cat-file --batch`, in order: texts, None for what is not there or no file."""
    answer = git.read("cat-file", "--batch", feed=feed)
    at = 0
    for _ in feed.splitlines():
        end = answer.index(b"\n", at)
        words = answer[at:end].split()
        at = end + 1
        if len(words) != 3 or not words[2].isdigit():  # "<name> missing"
            yield None
            continue
        size = int(words[2])
        text = answer[at : at + size]
        at += size + 1
        yield text.decode("utf-8", "replace") if words[1] == b"blob" else None
