"""Rows of the journal as the frozen values of `model`, and back. Pure."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from evolve.model import (
    Candidate,
    CandidateState,
    Command,
    CommandState,
    Event,
    Experiment,
    LlmCall,
    Operator,
    Purpose,
    RatchetStep,
    Run,
    Smoke,
    Verdict,
)
from harness.spec import AuditReport, Cause, CurvePoint, Outcome, Result

CANDIDATE = """SELECT id, operator, proposer, parents, title, hypothesis, category, commit_oid, source_sha, code_hash,
    lines, created, state, alive, verdict, verdict_reason, provisional, generation, prompt_version, model,
    priority, changes, scores, outcome, children, pinned, banned, voided, sealed_gain, sealed_gap,
    fitness, island, recommendation, chances, loss_form, boosted, wanted, approved
    FROM candidate"""
# of `roster.Row`, in its order; the parents are a JSON list of at most two
ROSTER = """SELECT id, CAST(substr(parents, 2) AS INTEGER) AS first,
    CASE instr(parents, ',') WHEN 0 THEN 0 ELSE CAST(substr(parents, instr(parents, ',') + 1) AS INTEGER) END AS other,
    operator, state, verdict, outcome, alive + 2 * pinned + 4 * banned + 8 * (voided != '') AS flags, scores, fitness,
    children, generation, created, category, CASE model WHEN '' THEN proposer ELSE model END AS maker, prompt_version
    FROM candidate"""
_EXPERIMENT = """SELECT id, candidate, purpose, seed, started, finished, outcome, reason, val_bpb, train_seconds,
    total_seconds, train_tokens, tokens_per_second, peak_memory_mb, mfu_percent, steps, params_m, sandbox,
    sealed_bpb, audit, discounted, fitness, epochs, pruning, host_memory_mb, device_memory_mb,
    wished, killed, cause"""
EXPERIMENT = f"{_EXPERIMENT}, traceback, log_tail FROM experiment"
EXPERIMENT_BRIEF = f"{_EXPERIMENT}, '' AS traceback, '' AS log_tail FROM experiment"
SMOKE = """SELECT id, candidate, directory, started, finished, outcome, reason, seconds, peak_memory_mb, traceback
    FROM smoke"""
EVENT = "SELECT id, time, kind, text, candidate, data FROM event"
COMMAND = "SELECT id, time, who, verb, args, state, answer FROM command"
CALL = """SELECT id, time, model, operator, status, input_tokens, output_tokens, cache_read_tokens,
    cache_write_tokens, dollars, seconds, candidate, error, category FROM llm_call"""
RATCHET = "SELECT id, time, candidate, tip, target, kind, state, reason, ended FROM ratchet"
CHANGE = "SELECT id, time, who, key, old, new, applied_from FROM setting_change"
NOTE = "SELECT id, time, source, who, settled, text FROM scratchpad"
TEMPLATE = "SELECT version, operator, time, text FROM prompt"
RUN = """SELECT id, name, created, state, reason, branch, base_commit, settings, fingerprint, incumbent, sigma,
    dollars, finished FROM run"""

_OPERATORS = {str(word): word for word in Operator}
_STATES = {str(word): word for word in CandidateState}
_VERDICTS: dict[str | None, Verdict | None] = {None: None, **{str(word): word for word in Verdict}}
_OUTCOMES: dict[str | None, Outcome | None] = {None: None, **{str(word): word for word in Outcome}}


def run(row: sqlite3.Row) -> Run:
    """A row with the columns of `RUN`."""
    given = dict(row)
    given["settings"] = json.loads(row["settings"])
    given["fingerprint"] = json.loads(row["fingerprint"])
    return Run(**given)


def candidate(row: sqlite3.Row) -> Candidate:
    """A row with the columns of `CANDIDATE`. Read by the ten thousand, so it looks words up instead of parsing."""
    given = dict(row)
    given["commit"] = given.pop("commit_oid")
    given["operator"] = _OPERATORS[row["operator"]]
    given["state"] = _STATES[row["state"]]
    given["verdict"] = _VERDICTS[row["verdict"]]
    given["outcome"] = _OUTCOMES[row["outcome"]]
    for name in ("parents", "changes", "scores", "fitness"):
        text = row[name]
        given[name] = () if text == "[]" else tuple(json.loads(text))
    for name in ("alive", "provisional", "pinned", "banned", "approved"):
        given[name] = row[name] == 1
    return Candidate(**given)


def experiment(row: sqlite3.Row, curve: tuple[CurvePoint, ...] = ()) -> Experiment:
    """A row with the columns of `EXPERIMENT` or `EXPERIMENT_BRIEF`."""
    given = dict(row)
    given["purpose"] = Purpose(row["purpose"])
    given["outcome"] = None if row["outcome"] is None else Outcome(row["outcome"])
    given["audit"] = AuditReport(**json.loads(row["audit"])) if row["audit"] else None
    given["pruning"] = json.loads(row["pruning"]) if row["pruning"] else None
    given["wished"] = row["wished"] == 1
    given["cause"] = Cause(row["cause"])
    return Experiment(**given, curve=curve)


def smoke(row: sqlite3.Row) -> Smoke:
    """A row with the columns of `SMOKE`."""
    return Smoke(**{**dict(row), "outcome": _OUTCOMES[row["outcome"]]})


def event(row: sqlite3.Row) -> Event:
    """A row with the columns of `EVENT`."""
    return Event(**{**dict(row), "data": json.loads(row["data"])})


def command(row: sqlite3.Row) -> Command:
    """A row with the columns of `COMMAND`."""
    given = dict(row)
    given["args"] = json.loads(row["args"])
    given["state"] = CommandState(row["state"])
    return Command(**given)


def call(row: sqlite3.Row) -> LlmCall:
    """A row with the columns of `CALL`."""
    return LlmCall(**dict(row))


def ratchet(row: sqlite3.Row) -> RatchetStep:
    """A row with the columns of `RATCHET`."""
    return RatchetStep(**dict(row))


def result_columns(result: Result) -> dict[str, Any]:
    """What the journal keeps of a harness's result, by column of `experiment`."""
    summary = result.summary
    steps = _number(summary, "num_steps")
    peak = result.peak_memory_mb
    return {
        "outcome": str(result.outcome),
        "reason": result.reason,
        "cause": str(result.cause),
        "val_bpb": result.val_bpb,
        "val_nats": result.val_nats,
        "sealed_bpb": result.sealed_bpb if result.outcome is Outcome.OK else None,
        "audit": as_json(asdict(result.audit)) if result.audit else "",
        "setup_seconds": result.setup_seconds,
        "train_seconds": result.train_seconds,
        "eval_seconds": result.eval_seconds,
        "total_seconds": result.total_seconds,
        "train_tokens": result.train_tokens,
        "eval_tokens": result.eval_tokens,
        "epochs": result.epochs,
        "tokens_per_second": result.tokens_per_second,
        "weights_sha256": result.weights_sha256,
        "host_memory_mb": result.host_memory_mb,
        "device_memory_mb": result.device_memory_mb,
        "peak_memory_mb": peak if peak is not None else _number(summary, "peak_vram_mb"),
        "mfu_percent": _number(summary, "mfu_percent"),
        "steps": None if steps is None else int(steps),
        "params_m": _number(summary, "num_params_M"),
        "sandbox": result.sandbox,
        "fingerprint": as_json(result.fingerprint),
        "traceback": result.traceback,
        "log_tail": result.log_tail,
    }


def _number(summary: dict[str, str], key: str) -> float | None:
    """A number that the candidate printed about itself, if it is one; shown, never decided upon."""
    try:
        value = float(summary[key].replace(",", ""))
    except (KeyError, ValueError):
        return None
    return value if abs(value) < 1e15 else None  # neither nan nor inf nor nonsense


def as_json(value: object) -> str:
    """Compact JSON for a column."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
