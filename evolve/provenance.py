"""Where a candidate came from and what it left: its script in git, the calls that made it, its worktree, its log.

For clients. Everything here only reads, and imports git when a script is first asked for. Texts come back without
credentials; control characters are taken out where they are shown, so that a program gets the exact text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.concealing import conceal, conceal_keys
from evolve.model import Candidate, EvolveError, LlmCall, Run
from evolve.places import EXPERIMENTS, WORKTREES
from harness.rundir import LOG

if TYPE_CHECKING:
    from evolve.reader import Reader

LOG_SHOWN = 64 << 10  # bytes of the end of a log that are read unless more is asked for


@dataclass(frozen=True, slots=True)
class Turn:
    """One part of a conversation with a language model."""

    role: str  # "system", "user", "assistant"
    text: str


@dataclass(frozen=True, slots=True)
class Asking:
    """One call that a candidate came of, with what was sent and what came back."""

    call: LlmCall
    turns: tuple[Turn, ...]  # as they were sent: the system text first
    options: str  # what else was in the request: "max_tokens 32000, effort medium"
    answer: str  # to the character; "" when none came


@dataclass(frozen=True, slots=True)
class LogText:
    """The end of what a candidate printed in its last training, or in its smoke run before the first one."""

    text: str
    path: Path
    total: int  # bytes of the whole file
    kind: str  # "training", "smoke run"
    cut: bool  # something is missing at the front


def script(workspace: Path, run: Run, candidate: Candidate) -> str:
    """The text of a candidate's train.py. Raises EvolveError when git no longer has it."""
    from evolve.gitrun import GitRunner, check_oid
    from evolve.repository import SCRIPTS

    git = GitRunner(workspace)
    commit = check_oid(candidate.commit)
    wanted = run.settings.get("workspace", {}).get("script", "auto")
    found: list[str] = []
    for path in SCRIPTS if wanted == "auto" else (wanted,):
        if git.ask("cat-file", "-e", f"{commit}:{path}") is None:
            continue
        text = git.read("cat-file", "blob", f"{commit}:{path}").decode("utf-8", "replace")
        if sha256(text.encode()).hexdigest() == candidate.source_sha:
            return text
        found.append(text)
    if found:
        return found[0]
    if git.ask("rev-parse", "--git-dir") is None:
        raise EvolveError(f"{workspace} is no git repository any more; bring its .git folder back.")
    if git.ask("cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise EvolveError(
            f"git has no commit {commit[:12]} here: the repository was made anew, or its objects were removed. "
            "Bring the repository back; the journal keeps scores and texts, but no scripts."
        )
    raise EvolveError(f"The commit {commit[:12]} of {candidate.label} holds no script {wanted}.")


def worktree(state: Path, candidate: Candidate) -> Path | None:
    """The candidate's worktree, when there is one that shows its commit; only the population has them."""
    from evolve.worktrees import shown_commit

    path = state / WORKTREES / str(candidate.id)
    return path if shown_commit(path) == candidate.commit else None


def askings(journal: Reader, number: int) -> tuple[Asking, ...]:
    """The calls that a candidate came of, oldest first."""
    scrub = scrubber(journal)
    return tuple(_asking(journal, call, scrub) for call in journal.calls_of(number))


def log(journal: Reader, state: Path, number: int, most: int = LOG_SHOWN) -> LogText | None:
    """The last `most` bytes of what a candidate printed last, from a whole line on; None when there is no file."""
    kind, folder = "training", journal.last_directory(number)
    if folder is None:
        smokes = journal.smokes(number)
        if not smokes:
            return None
        kind, folder = "smoke run", smokes[-1].directory
    path = state / EXPERIMENTS / folder / LOG
    try:
        text, total = _tail(path, most)
    except FileNotFoundError:
        return None
    return LogText(scrubber(journal)(text), path, total, kind, cut=total > most)


# ---- private ---------------------------------------------------------------------------------------------


def scrubber(journal: Reader) -> Callable[[str], str]:
    """Takes out the credentials that this process knows, and whatever looks like one.

    Requests and answers were scrubbed before they were stored; this is the second lock on that door, and the
    only one for a log.
    """
    run = journal.current_run()
    llm = {} if run is None else run.settings.get("llm", {})
    names = (llm.get("api_key_env", "ANTHROPIC_API_KEY"), llm.get("auth_token_env", ""))
    secrets = tuple(os.environ.get(name) for name in names if name)
    return lambda text: conceal_keys(conceal(text, secrets))


def _asking(journal: Reader, call: LlmCall, scrub: Callable[[str], str]) -> Asking:
    request, response = journal.call_text(call.id)
    turns, options = read_request(request)
    said = tuple(Turn(turn.role, scrub(turn.text)) for turn in turns)
    return Asking(call, said, options, scrub(response))


def read_request(request: str) -> tuple[tuple[Turn, ...], str]:
    """The turns and the other options of a request's JSON. What is no such JSON comes back as one turn."""
    try:
        body = json.loads(request)
        turns = [Turn("system", _joined(body["system"]))] if body.get("system") else []
        turns += [Turn(str(m["role"]), _joined(m["content"])) for m in body["messages"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (Turn("request", request),), ""
    rest = {k: v for k, v in body.items() if k not in ("system", "messages", "model")}
    return tuple(turns), ", ".join(_option(name, value) for name, value in rest.items())


def _joined(content: str | Iterable[dict[str, Any]]) -> str:
    """The text of a message, whether it was sent as a string or as blocks."""
    return content if isinstance(content, str) else "".join(str(b["text"]) for b in content)


def _option(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(_option(str(key), inner) for key, inner in value.items())
    return f"{name} {value}"


def _tail(path: Path, most: int) -> tuple[str, int]:
    """The last bytes of a file as text, without a first line that begins in its middle, and its size."""
    with path.open("rb") as file:
        total = file.seek(0, os.SEEK_END)
        start = max(0, total - most)
        file.seek(start)
        data = file.read(most)
    if start:
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", "replace"), total
