"""Main's way as a series of patches for `git am`, with a summary: a folder to carry a run's gains into another repository.

A patch is what lies between the scripts of two steps of main, to the byte; what was tried in between is named in its message.
Applied to the commit at which the run began, or to any that holds the same script, they give the script that main holds.
"""

from __future__ import annotations

import base64
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from email.header import Header
from email.utils import formatdate
from hashlib import sha1, sha256
from itertools import pairwise
from typing import TYPE_CHECKING

from evolve.export.escaping import utf8
from evolve.export.keeping import kept_of
from evolve.export.scripts import scripts
from evolve.export.steps import Stage, gain_of, stages
from evolve.export.stepwords import summary
from evolve.model import EvolveError
from evolve.text import one_line, paragraphs

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.export.gather import Gathered

WHO = "autoresearch <autoresearch@localhost>"
_CONTEXT = 3  # lines around a change, as git has them
_PLAIN = re.compile(
    rb"[\t\n\x20-\x7e\x80-\xff]*"
)  # mails may lose carriage returns and other control characters
_SLUG = re.compile(r"[^a-z0-9]+")
_NO_END = b"\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the script lies in the repository."""

    path: str  # "trainer/train.py"
    mode: str  # "100644"
    long_names: bool = False  # a repository of SHA-256


def write_folder(gathered: Gathered, folder: Path) -> None:
    """0001-….patch and so on, summary.md, and README.md. Raises EvolveError where git does not have the scripts."""
    series = stages(gathered)
    texts = _texts(gathered, series)
    place = _place(gathered)
    kept = kept_of(series, [texts[stage.candidate.id] for stage in series])
    changed = [
        (before, stage)
        for before, stage in pairwise(series)
        if texts[before.candidate.id] != texts[stage.candidate.id]
    ]
    files: dict[int, str] = {}
    for at, (before, stage) in enumerate(changed, 1):
        name = f"{at:04d}-{_slug(stage.candidate.title)}.patch"
        old, new = texts[before.candidate.id], texts[stage.candidate.id]
        mail = _mail(gathered, stage, f"[PATCH {at}/{len(changed)}]", diff(old, new, place))
        (folder / name).write_bytes(mail)
        files[stage.place] = name
    (folder / "README.md").write_bytes(utf8(summary(gathered, series, kept, files, place.path)))


def diff(old: str, new: str, place: Place) -> bytes:
    """What `git diff --full-index` says of two texts of one file; lines end with a line feed and nothing else."""
    before, after = _lines(utf8(old)), _lines(utf8(new))
    path = place.path
    head = (
        f"diff --git a/{path} b/{path}\nindex {_oid(old, place)}..{_oid(new, place)} {place.mode}\n"
    )
    head += f"--- a/{path}\n+++ b/{path}\n"
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    hunks = (_hunk(before, after, group) for group in matcher.get_grouped_opcodes(_CONTEXT))
    return head.encode() + b"".join(hunks)


# ---- the texts -----------------------------------------------------------------------------------------------


def _texts(gathered: Gathered, series: Sequence[Stage]) -> dict[int, str]:
    wanted = [stage.candidate.id for stage in series]
    found = scripts(gathered, wanted)
    if missing := [number for number in wanted if number not in found]:
        words = ", ".join(f"#{number}" for number in missing[:3])
        raise EvolveError(
            f"git does not have the script of {words} here; export from the workspace of the run."
        )
    return found


def _place(gathered: Gathered) -> Place:
    """Where the script lay when the run began."""
    from evolve.gitrun import GitRunner, check_oid
    from evolve.repository import SCRIPTS

    wanted = gathered.run.settings.get("workspace", {}).get("script", "auto")
    if gathered.workspace is not None:
        git, base = GitRunner(gathered.workspace), gathered.run.base_commit
        for path in SCRIPTS if wanted == "auto" else (wanted,):
            listed = git.ask("ls-tree", "-z", check_oid(base), "--", path)
            if listed:
                return Place(path, listed.split(" ")[0], long_names=len(base) == 64)
    raise EvolveError(
        f"git does not have the commit {gathered.run.base_commit[:12]}, at which the run began; export from its workspace."
    )


def _oid(text: str, place: Place) -> str:
    data = utf8(text)
    by = sha256 if place.long_names else sha1
    return by(b"blob %d\0" % len(data) + data).hexdigest()


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one, as git has it."""
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _hunk(before: Sequence[bytes], after: Sequence[bytes], group: Sequence[tuple[str, int, int, int, int]]) -> bytes:  # fmt: skip
    old, new = (group[0][1], group[-1][2]), (group[0][3], group[-1][4])
    out = [f"@@ -{_range(*old)} +{_range(*new)} @@\n".encode()]
    for tag, i1, i2, j1, j2 in group:
        if tag == "equal":
            out += _signed(b" ", before[i1:i2])
            continue
        out += _signed(b"-", before[i1:i2])
        out += _signed(b"+", after[j1:j2])
    return b"".join(out)


def _range(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


def _signed(sign: bytes, lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield sign + line if line.endswith(b"\n") else sign + line + b"\n" + _NO_END


# ---- the mails -----------------------------------------------------------------------------------------------


def _mail(gathered: Gathered, stage: Stage, numbering: str, patch: bytes) -> bytes:
    """One mail as `git format-patch` makes them. What mails do not carry unharmed goes as base64."""
    # Not "#17 …": an editor session of git would take that line for a comment. And "[x]" at its start git takes away.
    subject = f"candidate #{stage.candidate.id}: {one_line(stage.candidate.title, 100)}"
    body = utf8(f"{_message(gathered, stage)}\n---\n\n") + patch + b"-- \nautoresearch\n\n"
    plain = _PLAIN.fullmatch(body) is not None and b"\nFrom " not in body
    if not plain:
        body = base64.encodebytes(body)
    header = (
        f"From {stage.candidate.commit} Mon Sep 17 00:00:00 2001\n"
        f"From: {WHO}\n"
        f"Date: {formatdate(stage.step.time)}\n"
        f"Subject: {numbering} {_encoded(subject)}\n"
        "MIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\n"
        f"Content-Transfer-Encoding: {'8bit' if plain else 'base64'}\n\n"
    )
    return header.encode() + body


def _encoded(subject: str) -> str:
    """A header in ASCII; words that look encoded are encoded themselves."""
    if subject.isascii() and "=?" not in subject:
        return subject
    return Header(subject, "utf-8", maxlinelen=76, header_name="Subject").encode(linesep="\n")


def _message(gathered: Gathered, stage: Stage) -> str:
    """What a commit of this step says; nothing of a candidate's text begins a line, so none poses as a header or a diff."""
    candidate, run = stage.candidate, gathered.run
    told = [f"Step {stage.place} of main in the run {run.name}, after #{stage.follows}."]
    if candidate.hypothesis.strip():
        told.append(_indented(candidate.hypothesis))
    if candidate.changes:
        told.append("Changes:\n" + "\n".join(f"  {one_line(c, 100)}" for c in candidate.changes))
    if candidate.verdict_reason:
        told.append("Verdict:\n" + _indented(candidate.verdict_reason))
    trailers = {
        "Candidate": f"#{candidate.id} of {run.name}",
        "Commit": candidate.commit,
        "Operator": str(candidate.operator),
        "Proposer": candidate.model or candidate.proposer,
        "Category": candidate.category,
        "Squashed": ", ".join(f"#{number}" for number in stage.squashed),
        "Gain": gain_of(stage),
        "Seeds": ", ".join(str(seed) for seed in sorted(gathered.scores.get(candidate.id, {}))),
    }
    told.append("\n".join(f"{key}: {one_line(words)}" for key, words in trailers.items() if words))
    return "\n\n".join(told) + "\n"


def _indented(text: str) -> str:
    lines = (textwrap.wrap(line, 76, break_on_hyphens=False) for line in paragraphs(text[:8000]).split("\n"))  # fmt: skip
    return "\n".join(f"  {part}" for wrapped in lines for part in (wrapped or [""])).rstrip()


def _slug(title: str) -> str:
    return _SLUG.sub("-", title.lower()).strip("-")[:52].strip("-") or "step"
