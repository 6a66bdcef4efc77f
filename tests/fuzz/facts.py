"""What a journal has promised: rows, or parts of rows, that never change once a client could read them.

Read with SQL of its own, so that a fault in the engine's or the client's reading hides nothing. A fact is a digest
under a name; `Facts` remembers every one that was ever seen and says which are gone or different.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

Found = dict[tuple[str, str], str]  # (kind, key) -> digest
LOOK = 0.02  # seconds between looks at a journal
_RESULT = (
    "finished, outcome, reason, val_bpb, val_nats, setup_seconds, train_seconds, eval_seconds, total_seconds, "
    "train_tokens, eval_tokens, weights_sha256, sandbox, fingerprint, traceback, log_tail, sealed_bpb, audit, fitness"
)
_PAID = (
    "status, response, stop_reason, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, dollars, "
    "seconds, error, category"
)


@dataclass(frozen=True)
class Promise:
    """A part of a table's rows that never changes once `when` is true of a row."""

    kind: str
    table: str
    key: str
    columns: str
    when: str = "1"


PROMISES = (
    Promise("run", "run", "id", "name, created, branch, base_commit, settings, fingerprint"),
    Promise(
        "candidate",
        "candidate",
        "run || '/' || id",
        "operator, proposer, title, hypothesis, category, commit_oid, source_sha, code_hash, lines, created, "
        "generation, prompt_version, model, changes, parents, island",
    ),
    Promise("parent", "parent", "run || '/' || candidate || '/' || position", "parent"),
    Promise("experiment", "experiment", "id", "run, candidate, purpose, seed, directory, started"),
    Promise("result", "experiment", "id", _RESULT, "finished IS NOT NULL"),
    Promise("curve", "curve", "experiment || '/' || position", "fraction, seconds, tokens, loss"),
    Promise("smoke", "smoke", "id", "run, candidate, directory, started"),
    Promise("smoke result", "smoke", "id", "finished, outcome, reason", "finished IS NOT NULL"),
    Promise("command", "command", "id", "time, who, verb, args"),
    Promise("answer", "command", "id", "state, answer, answered", "answered IS NOT NULL"),
    Promise("call", "llm_call", "id", "run, time, model, operator, request, request_sha, brief"),
    Promise("paid call", "llm_call", "id", _PAID, "status != 'reserved'"),
    Promise("use of a call", "llm_call", "id", "candidate", "candidate IS NOT NULL"),
    Promise("setting", "setting_change", "id", "run, time, who, key, old, new, applied_from"),
    Promise("event", "event", "id", "run, time, kind, text, candidate, data"),
    Promise("scratchpad", "scratchpad", "id", "run, time, source, who, settled, text"),
    Promise("prompt", "prompt", "version || '/' || operator", "time, text"),
)


def read_only(journal: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(
        f"file:{quote(str(journal))}?mode=ro", uri=True, isolation_level=None, timeout=20
    )


def observe(db: sqlite3.Connection) -> Found:
    """Every fact of the journal at one instant."""
    found: Found = {}
    db.execute("BEGIN")
    try:
        for promise in PROMISES:
            sql = (
                f"SELECT {promise.key}, {promise.columns} FROM {promise.table} WHERE {promise.when}"
            )
            for key, *values in db.execute(sql):
                digest = hashlib.blake2b(repr(values).encode(), digest_size=12).hexdigest()
                found[promise.kind, str(key)] = digest
    finally:
        db.execute("COMMIT")
    return found


@dataclass
class Facts:
    """All that was ever seen of one journal."""

    known: Found = field(default_factory=dict)

    def take(self, found: Found) -> list[str]:
        """Remember what is new; returns a sentence for each fact that is gone or has changed."""
        wrong = []
        for (kind, key), digest in self.known.items():
            if (now := found.get((kind, key))) != digest:
                wrong.append(f"The {kind} {key} {'is gone' if now is None else 'has changed'}.")
        self.known = found | self.known
        return wrong


class Witness:
    """Reads a journal all the time, as a client of its own. Use as a context manager."""

    def __init__(self, journal: Path) -> None:
        self.facts = Facts()
        self.problems: list[str] = []
        self.looks = 0
        self._journal = journal
        self._busy = threading.Lock()  # held while a connection is open
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Without a connection of ours, so that whoever opens the journal next has to recover it."""
        with self._busy:
            yield

    def look(self) -> None:
        """Look now, at everything."""
        with self._busy, closing(read_only(self._journal)) as db:
            self._take(db)

    def _take(self, db: sqlite3.Connection) -> None:
        self.looks += 1
        self.problems += self.facts.take(observe(db))

    def _watch(self) -> None:
        version = -1
        while not self._ended.is_set():
            if not self._journal.exists():
                time.sleep(LOOK)
                continue
            with self._busy, closing(read_only(self._journal)) as db:
                begun = time.monotonic()
                # A connection a second or so: often enough closed, so that a recovery is nobody's exception.
                while not self._ended.is_set() and time.monotonic() - begun < 1.0:
                    try:
                        now = int(db.execute("PRAGMA data_version").fetchone()[0])
                        if now != version and db.execute("PRAGMA user_version").fetchone()[0]:
                            self._take(db)
                            version = now
                    except sqlite3.OperationalError as error:
                        if "locked" not in str(error) and "no such table" not in str(error):
                            self.problems.append(f"A client could not read the journal: {error}")
                    time.sleep(LOOK)
                version = -1
            time.sleep(LOOK)
