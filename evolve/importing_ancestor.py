"""The ancestor's results.tsv and its branch as the rows of a finished run.

Its rule was greedy: one training each, and what scored below the best so far was kept. So a row is a candidate, its parent is
what was kept last before it, keep is promoted, discard is rejected, crash is failed; and nothing was confirmed, which the run
says of itself. Commits are found by their seven digits; one that git has lost keeps those, with zeros behind them.
Only what the table and git know is written: other figures are empty or 0. It writes nothing.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from evolve.export.tables import TABLES, Table
from evolve.importing_rows import Row
from evolve.model import EvolveError, UsageError
from evolve.results import HEADER
from evolve.rows import as_json
from evolve.text import check_run_name, one_line

_WORDS = {"keep": "promoted", "discard": "rejected", "crash": "failed"}
_SHORT = re.compile(r"[0-9a-f]{4,40}")
_MOST = 100_000  # rows
_HONEST = "one training each by the ancestor's greedy rule: nothing in it was confirmed"
SEED = 42  # that the ancestor's train.py sets


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    commit: str  # as it stands there
    val_bpb: float | None  # None of a crash
    memory_gb: float
    status: str  # keep, discard, crash
    description: str


@dataclass(frozen=True, slots=True)
class Commit:
    """What git knows of one."""

    oid: str
    time: float  # unix seconds
    source: str | None  # of train.py


def lines_of(text: str, place: Path) -> tuple[Line, ...]:
    """The table's rows. Raises EvolveError with the number of a line that is none."""
    rows = csv.reader(io.StringIO(text), "excel-tab", quoting=csv.QUOTE_NONE)
    if tuple(next(rows, ())) != HEADER:
        raise EvolveError(f"{place} is no results.tsv: its first line is not {' '.join(HEADER)}.")
    lines = [_line(row, f"Line {at} of {place}") for at, row in enumerate(rows, 2) if row]
    if not lines:
        raise EvolveError(f"{place} has no rows; there is nothing to import.")
    if len(lines) > _MOST:
        raise EvolveError(f"{place} has more than {_MOST} rows.")
    return tuple(lines)


def rows_of_table(
    place: Path, workspace: Path, branch: str, name: str
) -> Iterator[tuple[Table, Row]]:
    """The rows of a run, in the order of `TABLES`. Raises UsageError for a file or a branch that is not there."""
    try:
        lines = lines_of(place.read_text(encoding="utf-8", errors="replace"), place)
        touched = place.stat().st_mtime
    except FileNotFoundError:
        raise UsageError(f"{place} does not exist; name a results.tsv.") from None
    branch, known = _commits(workspace, branch, lines)
    name = check_run_name(name or re.sub(r"[^a-z0-9_-]+", "-", branch.rpartition("/")[2].lower()).strip("-") or "ancestor")  # fmt: skip
    return _rows(lines, known, branch, name, touched)


# ---- private -------------------------------------------------------------------------------------------------


def _line(row: list[str], where: str) -> Line:
    if len(row) != len(HEADER):
        raise EvolveError(f"{where} has {len(row)} cells instead of {len(HEADER)}.")
    commit, score, memory, status, description = row
    status = status.strip().lower()
    if status not in _WORDS:
        raise EvolveError(f"{where} says “{one_line(status, 30)}” instead of keep, discard or crash.")  # fmt: skip
    if not _SHORT.fullmatch(commit.strip().lower()):
        raise EvolveError(f"{where} begins with “{one_line(commit, 30)}”, which is no commit.")
    value, gigabytes = _number(score), _number(memory)
    if status != "crash" and not value:
        raise EvolveError(f"{where} has the score “{one_line(score, 30)}”, which is none.")
    return Line(commit.strip().lower(), value if status != "crash" else None, gigabytes or 0.0, status, one_line(description))  # fmt: skip


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < 1e9 else None


def _commits(
    workspace: Path, branch: str, lines: tuple[Line, ...]
) -> tuple[str, dict[str, Commit]]:
    """The branch, and what git knows of each commit in the table; nothing where there is no repository."""
    if not (workspace / ".git").exists():
        if branch:
            raise UsageError(f"{workspace} is no git repository, so it has no branch {branch}.")
        return "main", {}
    from evolve.gitrun import GitRunner, check_oid

    git = GitRunner(workspace)
    branch = branch or (git.ask("symbolic-ref", "--short", "HEAD") or "").strip() or "HEAD"
    end = (
        "--verify",
        "--quiet",
        "--end-of-options",
    )  # what follows is a revision, whatever it looks like
    tip = git.ask("rev-parse", *end, f"{branch}^{{commit}}")
    if tip is None:
        raise UsageError(f"There is no branch {one_line(branch, 60)} in {workspace}; name another one with --branch.")  # fmt: skip
    oids = git.run("rev-list", check_oid(tip.strip())).split()
    known: dict[str, Commit] = {}
    for line in lines:
        if line.commit in known:
            continue
        oid = next((oid for oid in oids if oid.startswith(line.commit)), None)
        # What was discarded is on no branch, but may be among git's objects still.
        oid = oid or (git.ask("rev-parse", *end, f"{line.commit}^{{commit}}") or "").strip()  # fmt: skip
        if oid:
            known[line.commit] = _commit(git, oid)
    return branch, known


def _commit(git: Any, oid: str) -> Commit:
    from evolve.gitrun import check_oid

    when = float(git.run("show", "--no-patch", "--format=%ct", check_oid(oid)).strip())
    if git.ask("cat-file", "-e", f"{check_oid(oid)}:train.py") is None:
        return Commit(oid, when, None)
    return Commit(oid, when, git.read("cat-file", "blob", f"{check_oid(oid)}:train.py").decode("utf-8", "replace"))  # fmt: skip


def _rows(
    lines: tuple[Line, ...], known: Mapping[str, Commit], branch: str, name: str, touched: float
) -> Iterator[tuple[Table, Row]]:
    times = _times(lines, known, touched)
    tables: dict[str, list[dict[str, Any]]] = {table.name: [] for table in TABLES}
    best: int | None = None
    for number, (line, when) in enumerate(zip(lines, times, strict=True), 1):
        parents = [] if number == 1 else [best or 1]
        verdict = _WORDS[line.status]
        if verdict == "promoted" and best is None:
            verdict = "baseline"
        said = _said(number, line, verdict)
        tables["candidates"].append(_candidate(number, line, known.get(line.commit), when, parents, verdict, said))  # fmt: skip
        tables["experiments"].append(_experiment(number, line, when))
        tables["events"].append(_event(number, when, said))
        if line.status == "keep":
            best = number
    children = [parent for row in tables["candidates"] for parent in row["parents"]]
    generation: dict[int, int] = {}
    for row in tables["candidates"]:
        generation[row["id"]] = 1 + max((generation[p] for p in row["parents"]), default=-1)
        row |= {"children": children.count(row["id"]), "generation": generation[row["id"]]}
    first = tables["candidates"][0]["commit"]
    tables["run"].append(
        {
            "name": name, "created": times[0], "state": "finished", "branch": one_line(branch, 200), "base_commit": first,
            "reason": f"Imported from the ancestor's results.tsv: {len(lines)} rows, {_HONEST}.",
            "settings": as_json({"acceptance": {"policy": "greedy"}, "workspace": {"script": "train.py", "branch": one_line(branch, 200)}}),
            "fingerprint": as_json({"source": "results.tsv"}), "incumbent": best, "promotion": best or 0,
            "sigma": None, "dollars": 0.0, "finished": times[-1],
        }
    )  # fmt: skip
    tables["facts"].append({"key": f"policy of {name}", "value": "greedy"})
    for table in TABLES:
        for cells in tables[table.name]:
            yield table, tuple(cells.get(column.name) for column in table.columns)


def _times(lines: tuple[Line, ...], known: Mapping[str, Commit], touched: float) -> list[float]:
    """When each was made, never backwards: git's times; where it has none, the one before; where it has no first one, the file's."""
    times: list[float] = []
    found = (known[line.commit].time for line in lines if line.commit in known)
    last = next(found, touched)
    for line in lines:
        last = max(last, known[line.commit].time if line.commit in known else last)
        times.append(last)
    return times


def _said(number: int, line: Line, verdict: str) -> str:
    match verdict:
        case "baseline":
            return f"#{number} is the baseline: {line.val_bpb:.6f} bpb."
        case "promoted":
            return f"#{number} promoted: {line.val_bpb:.6f} in one training was kept by the ancestor's greedy rule; not confirmed."
        case "rejected":
            return f"#{number} rejected: {line.val_bpb:.6f} in one training was not below the best so far."
        case _:
            return f"#{number} failed: it crashed, says results.tsv."


def _candidate(
    number: int,
    line: Line,
    commit: Commit | None,
    when: float,
    parents: list[int],
    verdict: str,
    said: str,
) -> dict[str, Any]:
    source = commit.source if commit is not None else None
    scores = [] if line.val_bpb is None else [line.val_bpb]
    return {
        "id": number, "operator": "mutate" if parents else "seed", "proposer": "agent", "model": "",
        "prompt_version": "", "category": "other", "title": line.description, "hypothesis": "", "recommendation": "",
        "changes": [], "parents": parents, "island": 0,
        "commit": commit.oid if commit is not None else line.commit.ljust(40, "0"),
        "source_sha": sha256(source.encode()).hexdigest() if source is not None else "",
        "code_hash": "", "lines": len(source.splitlines()) if source is not None else 0,
        "created": when, "state": "judged", "alive": verdict in ("baseline", "promoted"), "verdict": verdict,
        "verdict_reason": said.partition(": ")[2], "judged": number, "provisional": True,
        "outcome": "crash" if line.val_bpb is None else "ok", "scores": scores, "fitness_scores": scores,
        "peak_memory_mb": line.memory_gb * 1024 if line.memory_gb else None, "sealed_gain": None, "sealed_gap": None,
        "voided": "", "priority": number, "chances": 0, "loss_form": "", "pinned": False, "banned": False,
        "approved": False, "boosted": 0, "wanted": 0,
    }  # fmt: skip


def _experiment(number: int, line: Line, when: float) -> dict[str, Any]:
    words = (
        "cause",
        "discounted",
        "sandbox",
        "weights_sha256",
        "audit",
        "pruning",
        "killed",
        "traceback",
        "log_tail",
    )
    counts = ("train_tokens", "eval_tokens", "epochs")
    seconds = (
        "setup_seconds",
        "train_seconds",
        "eval_seconds",
        "total_seconds",
        "tokens_per_second",
    )
    return {
        **dict.fromkeys(words, ""), **dict.fromkeys(counts, 0), **dict.fromkeys(seconds, 0.0),
        "id": number, "candidate": number, "purpose": "baseline" if number == 1 else "screen", "seed": SEED,
        "started": when, "finished": when, "outcome": "crash" if line.val_bpb is None else "ok",
        "reason": "As results.tsv has it.", "val_bpb": line.val_bpb, "fitness": line.val_bpb,
        "peak_memory_mb": line.memory_gb * 1024 if line.memory_gb else None, "fingerprint": "{}", "wished": False,
    }  # fmt: skip


def _event(number: int, when: float, said: str) -> dict[str, Any]:
    return {"id": number, "time": when, "kind": "verdict", "candidate": number, "text": said, "data": "{}", "before_run": False}  # fmt: skip
