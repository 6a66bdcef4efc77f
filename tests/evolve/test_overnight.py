"""A replayed night: whatever the language model does, the slot is busy, the money is kept and nothing is lost.

The night itself is in `night`: a real engine, real SDK, real git and journal; about a third of the model's calls go
wrong. It is played once, and each test looks at one promise.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import statistics
import subprocess
from pathlib import Path

import pytest

from tests.evolve.fake_anthropic import Answer
from tests.evolve.night import CAP, KEY, Night, live

CANDIDATES = 100

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return live(tmp_path_factory.mktemp("night"), CANDIDATES)


def fingerprint(body: object) -> str:
    """Of a request, without the key that a parent's title may have brought into it."""
    text = json.dumps(body, ensure_ascii=False, sort_keys=True).replace(KEY, "…")
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_night_ends_by_its_rule_and_not_by_a_fault(night: Night) -> None:
    assert night.code == 0
    assert [row["state"] for row in night.rows("SELECT state FROM run")] == ["finished"]
    (judged,) = night.rows("SELECT count(*) AS n FROM candidate WHERE judged IS NOT NULL")
    assert judged["n"] >= CANDIDATES
    assert not [event.text for event in night.events if event.kind == "error"]


def test_every_kind_of_fault_has_come(night: Night) -> None:
    """Else the other tests prove little."""
    kinds = {name for name, _ in night.model.given}
    assert len(kinds) >= 12, kinds
    wrong = sum(name != "good" for name, _ in night.model.given)
    assert wrong / len(night.model.given) > 0.2
    made = night.rows("SELECT count(*) AS n FROM candidate WHERE proposer = 'claude'")
    assert made[0]["n"] > CANDIDATES / 3


def test_the_slot_is_never_idle(night: Night) -> None:
    """A second between two trainings at most, on a box that does nothing else; this one may be crowded.

    Trainings are so short that nearly every one waits for its child to be made: the gap is the time of that.
    """
    slower = [max(1.0, crowd) for crowd in night.slot.crowd]
    gaps = [gap / factor for gap, factor in zip(night.slot.gaps, slower, strict=True)]
    assert max(gaps) < 2.0, sorted(night.slot.gaps)[-5:]
    assert statistics.median(gaps) < 0.2


def test_no_code_is_trained_as_two_candidates_and_none_is_its_parent(night: Night) -> None:
    hashes = [row["code_hash"] for row in night.rows("SELECT code_hash FROM candidate")]
    assert len(set(hashes)) == len(hashes) > CANDIDATES
    shas = [row["source_sha"] for row in night.rows("SELECT source_sha FROM candidate")]
    assert len(set(shas)) == len(shas)
    assert len(set(night.slot.sources)) <= len(shas)


def test_no_moment_had_more_dollars_than_the_cap(night: Night) -> None:
    """Looked at whenever the server heard a request, which is when most is committed."""
    assert 0 < max(night.model.committed) <= CAP
    (run,) = night.rows("SELECT dollars FROM run")
    (calls,) = night.rows("SELECT total(dollars) AS paid FROM llm_call")
    assert run["dollars"] == pytest.approx(calls["paid"])
    assert not night.rows("SELECT id FROM llm_call WHERE status = 'reserved'")


def test_every_request_and_every_answer_is_in_the_journal(night: Night) -> None:
    calls: dict[str, list[sqlite3.Row]] = {}
    for call in night.rows("SELECT * FROM llm_call ORDER BY id"):
        calls.setdefault(fingerprint(json.loads(call["request"])), []).append(call)
    for request, (kind, given) in zip(night.model.requests, night.model.given, strict=True):
        sent = {key: value for key, value in request.body.items() if key != "stream"}
        call = calls[fingerprint(sent)].pop(0)
        assert (call["status"] == "refused") == (kind == "refusal")
        if call["status"] == "answered" and call["stop_reason"] != "overdrawn":
            assert isinstance(given, Answer)
            said = given.text.replace(KEY, "…").encode("utf-8", "replace").decode()
            assert call["response"] == said, kind
        if call["status"] == "refused":
            assert call["category"] == "frontier_llm"
    left = [call for same in calls.values() for call in same]
    # The run may have ended between a reservation and the request.
    assert len(left) <= 2
    assert all("stopped before" in call["error"] for call in left)


def test_a_refused_request_was_never_sent_to_the_same_model_again(night: Night) -> None:
    refused: set[tuple[str, str]] = set()
    for call in night.rows("SELECT model, request_sha, status FROM llm_call ORDER BY id"):
        assert (call["model"], call["request_sha"]) not in refused
        if call["status"] == "refused":
            refused.add((call["model"], call["request_sha"]))
    assert refused
    assert night.rows("SELECT 1 FROM llm_call WHERE model = 'claude-haiku-5-5'")


def test_whatever_came_to_nothing_is_told(night: Night) -> None:
    told = "\n".join(event.text for event in night.events)
    by_call = {event.data.get("call") for event in night.events if event.kind == "llm"}
    for call in night.rows("SELECT * FROM llm_call ORDER BY id"):
        assert call["id"] in by_call
        is_child = call["operator"] != "scratchpad"
        if is_child and call["status"] == "answered" and call["candidate"] is None:
            assert call["outcome"], call["id"]
            corrected = night.rows(f"SELECT id FROM llm_call WHERE id = {call['id'] + 1}")
            assert call["outcome"][:80] in told or corrected
    assert "answered again after" in told  # recovery is told, too


def test_the_key_is_nowhere(night: Night) -> None:
    """Echoed by the server in errors, titles, comments; looked for in every byte that the run has left."""
    secret = KEY[:20].encode()
    for path in night.workspace.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    objects = subprocess.run(
        ["git", "-C", str(night.workspace), "cat-file", "--batch", "--batch-all-objects"],
        capture_output=True,
        check=True,
    ).stdout
    assert b"val_bpb" in objects
    assert secret not in objects
    assert KEY[:20] not in "".join(f"{event.text} {event.data}" for event in night.events)
    echoes = [r for r in night.model.requests if KEY in r.headers["authorization"]]
    assert echoes


def test_nothing_hostile_reached_git_or_a_table(night: Night, tmp_path: Path) -> None:
    for row in night.rows("SELECT title, hypothesis, category FROM candidate"):
        assert row["title"].isprintable()
        assert len(row["title"]) <= 72
        assert row["hypothesis"].isprintable() or not row["hypothesis"]
        assert "/" not in row["category"]
    refs = subprocess.run(
        ["git", "-C", str(night.workspace), "for-each-ref", "--format=%(refname)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    allowed = ("refs/heads/main", "refs/autoresearch/", "refs/autoresearch-lost/")
    assert all(ref.startswith(allowed) for ref in refs)
