"""The journal's tables, and the ladder from one version of them to the next.

Constraints stand here; which step may follow which stands in `machines`, whose rules are put into a file anew whenever
an engine opens it. It opens no file and reads or writes no fact.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from evolve.machines import CANDIDATE, RATCHET
from evolve.model import (
    CandidateState,
    CommandState,
    Operator,
    Purpose,
    Verdict,
)
from harness.spec import Outcome

VERSION = 4


def _one_of(column: str, words: Iterable[StrEnum | str]) -> str:
    return f"CHECK ({column} IN ({', '.join(repr(str(word)) for word in words)}))"


def _move_trigger() -> str:
    legal = " OR ".join(
        f"(OLD.state = '{old}' AND NEW.state IN ({', '.join(repr(str(n)) for n in sorted(new))}))"
        for old, new in CANDIDATE.moves.items()
        if new
    )
    return f"""CREATE TRIGGER candidate_move BEFORE UPDATE OF state ON candidate
        WHEN NOT ({legal}) BEGIN SELECT RAISE(ABORT, 'illegal move of a candidate'); END"""


_VERSION_1 = (
    f"""CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created REAL NOT NULL,
        state TEXT NOT NULL {_one_of("state", ("running", "paused", "stopped", "finished", "failed"))},
        reason TEXT NOT NULL,
        branch TEXT NOT NULL,
        base_commit TEXT NOT NULL,
        settings TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        incumbent INTEGER,
        promotion INTEGER NOT NULL DEFAULT 0, -- the event with which the incumbent changed last
        sigma REAL,
        dollars REAL NOT NULL DEFAULT 0,
        finished REAL,
        FOREIGN KEY (id, incumbent) REFERENCES candidate (run, id)
    ) STRICT""",
    f"""CREATE TABLE candidate (
        run INTEGER NOT NULL REFERENCES run (id),
        id INTEGER NOT NULL CHECK (id > 0),
        operator TEXT NOT NULL {_one_of("operator", Operator)},
        proposer TEXT NOT NULL,
        title TEXT NOT NULL,
        hypothesis TEXT NOT NULL,
        category TEXT NOT NULL,
        commit_oid TEXT NOT NULL CHECK (length(commit_oid) IN (40, 64)),
        source_sha TEXT NOT NULL,
        code_hash TEXT NOT NULL,
        lines INTEGER NOT NULL,
        created REAL NOT NULL,
        state TEXT NOT NULL {_one_of("state", CandidateState)},
        alive INTEGER NOT NULL DEFAULT 0,
        verdict TEXT {_one_of("verdict", Verdict)},
        verdict_reason TEXT NOT NULL DEFAULT '',
        judged INTEGER, -- the event of the first verdict after a training
        provisional INTEGER NOT NULL DEFAULT 1,
        generation INTEGER NOT NULL,
        prompt_version TEXT NOT NULL,
        model TEXT NOT NULL,
        priority INTEGER NOT NULL,
        changes TEXT NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0,
        banned INTEGER NOT NULL DEFAULT 0,
        -- kept here too, so that a list of candidates is one query:
        parents TEXT NOT NULL,
        children INTEGER NOT NULL DEFAULT 0,
        scores TEXT NOT NULL DEFAULT '[]',
        outcome TEXT {_one_of("outcome", Outcome)},
        peak_memory_mb REAL,
        PRIMARY KEY (run, id)
    ) STRICT""",
    "CREATE INDEX candidate_state ON candidate (run, state, priority, id)",
    "CREATE INDEX candidate_living ON candidate (run, id) WHERE alive",
    "CREATE INDEX candidate_verdict ON candidate (run, verdict)",
    "CREATE INDEX candidate_judged ON candidate (run, judged) WHERE judged IS NOT NULL",
    "CREATE INDEX candidate_operator ON candidate (run, operator)",
    _move_trigger(),
    """CREATE TABLE parent (
        run INTEGER NOT NULL,
        candidate INTEGER NOT NULL,
        position INTEGER NOT NULL,
        parent INTEGER NOT NULL CHECK (parent < candidate),
        PRIMARY KEY (run, candidate, position),
        FOREIGN KEY (run, candidate) REFERENCES candidate (run, id),
        FOREIGN KEY (run, parent) REFERENCES candidate (run, id)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX parent_of ON parent (run, parent)",
    f"""CREATE TABLE experiment (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        candidate INTEGER NOT NULL,
        purpose TEXT NOT NULL {_one_of("purpose", Purpose)},
        seed INTEGER NOT NULL,
        directory TEXT NOT NULL, -- under .autoresearch/experiments
        started REAL NOT NULL,
        finished REAL,
        outcome TEXT {_one_of("outcome", Outcome)},
        reason TEXT NOT NULL DEFAULT '',
        val_bpb REAL,
        val_nats REAL,
        setup_seconds REAL NOT NULL DEFAULT 0,
        train_seconds REAL NOT NULL DEFAULT 0,
        eval_seconds REAL NOT NULL DEFAULT 0,
        total_seconds REAL NOT NULL DEFAULT 0,
        train_tokens INTEGER NOT NULL DEFAULT 0,
        eval_tokens INTEGER NOT NULL DEFAULT 0,
        tokens_per_second REAL NOT NULL DEFAULT 0,
        weights_sha256 TEXT NOT NULL DEFAULT '',
        peak_memory_mb REAL,
        mfu_percent REAL,
        steps INTEGER,
        params_m REAL,
        sandbox TEXT NOT NULL DEFAULT '',
        fingerprint TEXT NOT NULL DEFAULT '{{}}',
        traceback TEXT NOT NULL DEFAULT '',
        log_tail TEXT NOT NULL DEFAULT '',
        FOREIGN KEY (run, candidate) REFERENCES candidate (run, id),
        -- a failure never becomes a number:
        CHECK ((outcome = 'ok') = (val_bpb IS NOT NULL) OR outcome IS NULL AND val_bpb IS NULL),
        CHECK ((outcome IS NULL) = (finished IS NULL))
    ) STRICT""",
    "CREATE INDEX experiment_candidate ON experiment (run, candidate, id)",
    "CREATE INDEX experiment_purpose ON experiment (run, purpose, candidate)",
    # one exclusive slot:
    "CREATE UNIQUE INDEX experiment_running ON experiment (run) WHERE finished IS NULL",
    """CREATE TRIGGER experiment_is_final BEFORE UPDATE ON experiment WHEN OLD.finished IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'a finished experiment never changes'); END""",
    """CREATE TABLE curve (
        experiment INTEGER NOT NULL REFERENCES experiment (id),
        position INTEGER NOT NULL,
        fraction REAL NOT NULL,
        seconds REAL NOT NULL,
        tokens INTEGER NOT NULL,
        loss REAL NOT NULL,
        PRIMARY KEY (experiment, position)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        run INTEGER REFERENCES run (id),
        time REAL NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        candidate INTEGER,
        data TEXT NOT NULL
    ) STRICT""",
    f"""CREATE TABLE command (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        who TEXT NOT NULL,
        verb TEXT NOT NULL,
        args TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending' {_one_of("state", CommandState)},
        answer TEXT NOT NULL DEFAULT '',
        answered REAL
    ) STRICT""",
    "CREATE INDEX command_pending ON command (id) WHERE state = 'pending'",
    f"""CREATE TABLE llm_call (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (id),
        time REAL NOT NULL,
        model TEXT NOT NULL,
        operator TEXT NOT NULL,
        status TEXT NOT NULL {_one_of("status", ("reserved", "answered", "refused", "failed"))},
        request TEXT NOT NULL,
        response TEXT NOT NULL DEFAULT '',
        stop_reason TEXT NOT NULL DEFAULT '',
        input_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        cache_read_tokens INTEGER NOT NULL DEFAULT 0,
        cache_write_tokens INTEGER NOT NULL DEFAULT 0,
        dollars REAL NOT NULL CHECK (dollars >= 0), -- committed while reserved, paid afterwards
        seconds REAL NOT NULL DEFAULT 0,
        candidate INTEGER,
        error TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX llm_call_run ON llm_call (run, id)",
    "CREATE INDEX llm_call_reserved ON llm_call (run, dollars) WHERE status = 'reserved'",
    """CREATE TABLE setting_change (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (id),
        time REAL NOT NULL,
        who TEXT NOT NULL,
        key TEXT NOT NULL,
        old TEXT NOT NULL,
        new TEXT NOT NULL,
        applied_from INTEGER NOT NULL -- the first candidate that it may have shaped
    ) STRICT""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)

# The facts of a finished experiment; whether its score still counts (`discounted`) is not among them.
_FINAL = (
    "id, run, candidate, purpose, seed, directory, started, finished, outcome, reason, val_bpb, val_nats, "
    "setup_seconds, train_seconds, eval_seconds, total_seconds, train_tokens, eval_tokens, tokens_per_second, "
    "weights_sha256, peak_memory_mb, mfu_percent, steps, params_m, sandbox, fingerprint, traceback, log_tail, "
    "sealed_bpb, audit"
)
_VERSION_2 = (
    # a failure never becomes a number, here neither:
    "ALTER TABLE experiment ADD COLUMN sealed_bpb REAL CHECK (sealed_bpb IS NULL OR outcome = 'ok')",
    "ALTER TABLE experiment ADD COLUMN audit TEXT NOT NULL DEFAULT ''",  # JSON; '' = none
    "ALTER TABLE experiment ADD COLUMN discounted TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE candidate ADD COLUMN voided TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE candidate ADD COLUMN sealed_gain REAL",
    "ALTER TABLE candidate ADD COLUMN sealed_gap REAL",
    "DROP TRIGGER experiment_is_final",
    f"""CREATE TRIGGER experiment_is_final BEFORE UPDATE OF {_FINAL} ON experiment WHEN OLD.finished IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'a finished experiment never changes'); END""",
)

_VERSION_3 = (
    # what selection goes by: val_bpb, or what the weights of [metric] make of a training
    "ALTER TABLE experiment ADD COLUMN fitness REAL CHECK (fitness IS NULL OR outcome = 'ok')",
    "ALTER TABLE experiment ADD COLUMN epochs INTEGER NOT NULL DEFAULT 0",  # 0 = not known
    "ALTER TABLE experiment ADD COLUMN host_memory_mb REAL",  # measured, at its largest
    "ALTER TABLE experiment ADD COLUMN device_memory_mb REAL",
    "ALTER TABLE experiment ADD COLUMN pruning TEXT NOT NULL DEFAULT ''",  # JSON; '' = the rule had no say
    "ALTER TABLE candidate ADD COLUMN fitness TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE candidate ADD COLUMN island INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE candidate ADD COLUMN chances INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE candidate ADD COLUMN recommendation TEXT NOT NULL DEFAULT ''",
    # which quantity a script prints as its loss; '' = not known:
    "ALTER TABLE candidate ADD COLUMN loss_form TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX candidate_loss_form ON candidate (run, loss_form, id)",
    # what people ask for while the search runs
    "ALTER TABLE experiment ADD COLUMN wished INTEGER NOT NULL DEFAULT 0",
    f"ALTER TABLE experiment ADD COLUMN killed TEXT NOT NULL DEFAULT '' {_one_of('killed', ('', 'drop', 'again'))}",
    "ALTER TABLE candidate ADD COLUMN boosted INTEGER NOT NULL DEFAULT 0 CHECK (boosted >= 0)",
    "ALTER TABLE candidate ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0 CHECK (wanted >= 0)",
    "ALTER TABLE candidate ADD COLUMN approved INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX candidate_wanted ON candidate (run, id) WHERE wanted",
    "UPDATE experiment SET fitness = val_bpb",
    "UPDATE candidate SET fitness = scores",
    "ALTER TABLE llm_call ADD COLUMN request_sha TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE llm_call ADD COLUMN category TEXT NOT NULL DEFAULT ''",  # of a refusal
    "ALTER TABLE llm_call ADD COLUMN brief TEXT NOT NULL DEFAULT ''",  # JSON: whose child the answer is
    "ALTER TABLE llm_call ADD COLUMN outcome TEXT NOT NULL DEFAULT ''",  # why an answer led to no candidate
    "CREATE INDEX llm_call_refused ON llm_call (request_sha, model) WHERE status = 'refused'",
    # whose calls they were, and figures by model, without reading the texts:
    "CREATE INDEX llm_call_candidate ON llm_call (run, candidate, id) WHERE candidate IS NOT NULL",
    """CREATE INDEX llm_call_figures ON llm_call (run, model, status, input_tokens, cache_read_tokens,
        cache_write_tokens, output_tokens, dollars, seconds)""",
    f"""CREATE TABLE smoke (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        candidate INTEGER NOT NULL,
        directory TEXT NOT NULL, -- under .autoresearch/experiments
        started REAL NOT NULL,
        finished REAL,
        outcome TEXT {_one_of("outcome", Outcome)},
        reason TEXT NOT NULL DEFAULT '',
        seconds REAL NOT NULL DEFAULT 0,
        peak_memory_mb REAL,
        traceback TEXT NOT NULL DEFAULT '',
        FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
    ) STRICT""",
    "CREATE INDEX smoke_candidate ON smoke (run, candidate, id)",
    f"""CREATE TABLE scratchpad (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL REFERENCES run (id),
        time REAL NOT NULL,
        source TEXT NOT NULL {_one_of("source", ("model", "builtin", "human"))},
        who TEXT NOT NULL,
        settled INTEGER NOT NULL, -- children with a verdict when it was written
        text TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX scratchpad_run ON scratchpad (run, id)",
    # proposals that were refused unseen, by their first parent:
    "CREATE INDEX event_refused ON event (run, candidate, id) WHERE kind = 'refused'",
    """CREATE TABLE prompt (
        version TEXT NOT NULL, -- first 12 hex digits of the template's SHA-256
        operator TEXT NOT NULL,
        time REAL NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (version, operator)
    ) STRICT, WITHOUT ROWID""",
    # which rows a client has not seen yet: each write of a candidate gives it the next stamp
    "ALTER TABLE candidate ADD COLUMN touched INTEGER NOT NULL DEFAULT 0",
    "UPDATE candidate SET touched = id",
    "CREATE INDEX candidate_touched ON candidate (run, touched)",
    # what clients count and look up at each change, without a look at the rows themselves:
    "DROP INDEX candidate_judged",
    "CREATE INDEX candidate_judged ON candidate (run, judged)",
    "DROP INDEX candidate_verdict",
    "CREATE INDEX candidate_verdict ON candidate (run, verdict, outcome, voided)",
    "CREATE INDEX experiment_run ON experiment (run)",
    "CREATE INDEX experiment_pruned ON experiment (run) WHERE outcome = 'pruned' OR pruning != ''",
    *(
        f"""CREATE TRIGGER candidate_{name} AFTER {event} BEGIN
            UPDATE candidate SET touched = 1 + (SELECT max(touched) FROM candidate WHERE run = NEW.run)
            WHERE run = NEW.run AND id = NEW.id; END"""  # noqa: S608 - our own words
        for name, event in (
            ("begins", "INSERT ON candidate"),
            ("changes", "UPDATE ON candidate WHEN NEW.touched = OLD.touched"),
        )
    ),
    # a rejected contender may become one again, and a smoke run may end a candidate before any training:
    "DROP TRIGGER candidate_move",
    _move_trigger(),
)

_VERSION_4 = (
    # Which step may follow which is held in force by the rules of `machines` from here on. A recording that was made
    # lighter may lack the old ones.
    "DROP TRIGGER IF EXISTS candidate_move",
    "DROP TRIGGER IF EXISTS experiment_is_final",
    # a move of the branch, written down before git is touched
    f"""CREATE TABLE ratchet (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        time REAL NOT NULL,
        candidate INTEGER NOT NULL,
        tip TEXT NOT NULL CHECK (length(tip) IN (40, 64)), -- where the branch stood
        target TEXT NOT NULL CHECK (length(target) IN (40, 64)), -- where it is to stand
        kind TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'intended' {_one_of("state", RATCHET.moves)},
        reason TEXT NOT NULL DEFAULT '', -- why it was not moved, in words
        ended REAL,
        CHECK ((state = 'intended') = (ended IS NULL)),
        FOREIGN KEY (run, candidate) REFERENCES candidate (run, id)
    ) STRICT""",
    "CREATE UNIQUE INDEX ratchet_open ON ratchet (run) WHERE state = 'intended'",
    "CREATE INDEX ratchet_run ON ratchet (run, id)",
    # one smoke run at a time; of several that an engine of before left open, the last one may go on
    """UPDATE smoke SET finished = started, outcome = 'void', reason = 'It was never ended.'
        WHERE finished IS NULL AND id NOT IN (SELECT max(id) FROM smoke GROUP BY run)""",
    "CREATE UNIQUE INDEX smoke_running ON smoke (run) WHERE finished IS NULL",
    # what a void training was lost to, a word of `harness.spec.Cause`
    "ALTER TABLE experiment ADD COLUMN cause TEXT NOT NULL DEFAULT ''",
)

# What brings a file from version n to n + 1; a released step never changes again.
LADDER: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4)
