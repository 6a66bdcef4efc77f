"""The state machines of everything that has states, written down once: which step may follow which, and what stays.

`Writer` asks them before it writes, and `rules` makes triggers of them, so that no program at all can take a step
that is not here: not the engine, not a second one, not a person with sqlite3. Pure; it opens no file.

candidate: one version of train.py. A smoke run that fails takes ready → judged, a second chance judged → contender,
a training that was lost takes its candidate back to where it came from.

    ready ──► training ⇄ contender ──► judged ⟲        ready ──► dropped
      ▲          │ ▲                     │ │ ▲
      └──────────┘ └─────────────────────┘ └─┴─► training, contender, judged again

experiment: one training. Its outcome is given once and never changes; so are the figures measured with it.

    running ──► ok | crash | oom | nan | timeout | invalid | void | pruned

smoke: a few steps before the first training. As an experiment.

llm_call: one request to a language model (a proposal is the answer to one). Reserved at its upper bound before it
is sent, then closed once; what it cost is final from then on.

    reserved ──► answered | refused | failed

command: what a client asks for. Answered once.

    pending ──► done | refused

ratchet: one move of the branch to the incumbent. Written down before git is touched, ended when it is known what
became of it; there is never more than one under way in a run.

    intended ──► moved | deferred | abandoned

run: the only one that has no last state, since every run can be gone on with. What has ended is not paused.

    running ⇄ paused;  running, paused ──► stopped | finished | failed ──► running
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evolve.model import CandidateState, CommandState
from harness.spec import Outcome


class IllegalMove(RuntimeError):
    """A step that no state machine has: a fault of the program, not of a person."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The states of the rows of one table."""

    name: str  # "a candidate"
    table: str
    column: str  # that holds the state
    born: str  # the state of a new row
    moves: Mapping[str, frozenset[str]]  # every state → those that may follow it
    fixed: tuple[str, ...]  # columns that never change
    settled: tuple[str, ...] = ()  # columns that change no more once the state is a last one
    free: tuple[str, ...] = ()  # columns that may change at any time
    null: bool = False  # the column is NULL while the row is as it was born
    key: tuple[str, ...] = ("id",)

    def check(self, label: str, old: str | None, new: str) -> None:
        """Raises IllegalMove unless `new` may follow `old`; `label` names the row: `#17`, `experiment 3`."""
        before = self.born if old is None else str(old)
        if new not in self.moves[before]:
            raise IllegalMove(f"{label} cannot go from {before} to {new}")

    @property
    def last(self) -> tuple[str, ...]:
        """The states that nothing follows."""
        return tuple(state for state, following in self.moves.items() if not following)

    def state_of(self, row: str) -> str:
        """SQL for the state of `row`, which is NEW or OLD."""
        value = f"{row}.{self.column}"
        return f"coalesce({value}, '{self.born}')" if self.null else value


def _table(moves: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    return {str(old): frozenset(map(str, new)) for old, new in moves.items()}


CANDIDATE = Machine(
    name="a candidate",
    table="candidate",
    column="state",
    born=CandidateState.READY,
    moves=_table(
        {
            # a smoke run may end a candidate before its first training
            CandidateState.READY: (
                CandidateState.TRAINING,
                CandidateState.DROPPED,
                CandidateState.JUDGED,
            ),
            CandidateState.TRAINING: (
                CandidateState.READY,
                CandidateState.CONTENDER,
                CandidateState.JUDGED,
            ),
            CandidateState.CONTENDER: (CandidateState.TRAINING, CandidateState.JUDGED),
            # a re-measurement of a living candidate, or a member that becomes a contender later on
            CandidateState.JUDGED: (
                CandidateState.TRAINING,
                CandidateState.JUDGED,
                CandidateState.CONTENDER,
            ),
            CandidateState.DROPPED: (),
        }
    ),
    fixed=(
        *("run", "id", "operator", "proposer", "title", "hypothesis", "category", "commit_oid"),
        *("source_sha", "code_hash", "lines", "created", "generation", "prompt_version", "model"),
        *("changes", "parents", "recommendation", "loss_form"),
    ),
    free=(
        *("alive", "verdict", "verdict_reason", "judged", "provisional", "priority", "pinned"),
        *("banned", "children", "scores", "outcome", "peak_memory_mb", "voided", "sealed_gain"),
        *("sealed_gap", "fitness", "island", "chances", "boosted", "wanted", "approved", "touched"),
    ),
    key=("run", "id"),
)
_ENDINGS: dict[str, Iterable[str]] = {"running": tuple(Outcome), **dict.fromkeys(Outcome, ())}
EXPERIMENT = Machine(
    name="an experiment",
    table="experiment",
    column="outcome",
    born="running",
    moves=_table(_ENDINGS),
    fixed=("id", "run", "candidate", "purpose", "seed", "directory", "started", "wished"),
    settled=(
        *("finished", "reason", "val_bpb", "val_nats", "setup_seconds", "train_seconds"),
        *("eval_seconds", "total_seconds", "train_tokens", "eval_tokens", "tokens_per_second"),
        *("weights_sha256", "peak_memory_mb", "mfu_percent", "steps", "params_m", "sandbox"),
        *("fingerprint", "traceback", "log_tail", "sealed_bpb", "audit", "fitness", "epochs"),
        *("host_memory_mb", "device_memory_mb", "pruning", "killed", "cause"),
    ),
    free=("discounted",),  # whether a score still counts is said later
    null=True,
)
SMOKE = Machine(
    name="a smoke run",
    table="smoke",
    column="outcome",
    born="running",
    moves=_table(_ENDINGS),
    fixed=("id", "run", "candidate", "directory", "started"),
    settled=("finished", "reason", "seconds", "peak_memory_mb", "traceback"),
    null=True,
)
CALL = Machine(
    name="a call",
    table="llm_call",
    column="status",
    born="reserved",
    moves=_table(
        {
            "reserved": ("answered", "refused", "failed"),
            **{"answered": (), "refused": (), "failed": ()},
        }
    ),
    fixed=("id", "run", "time", "model", "operator", "request", "request_sha", "brief"),
    settled=(
        *("response", "stop_reason", "input_tokens", "output_tokens", "cache_read_tokens"),
        *("cache_write_tokens", "dollars", "seconds", "error", "category"),
    ),
    free=("candidate", "outcome"),  # what an answer led to is known later
)
COMMAND = Machine(
    name="a request",
    table="command",
    column="state",
    born=CommandState.PENDING,
    moves=_table(
        {
            CommandState.PENDING: (CommandState.DONE, CommandState.REFUSED),
            **{CommandState.DONE: (), CommandState.REFUSED: ()},
        }
    ),
    fixed=("id", "time", "who", "verb", "args"),
    settled=("answer", "answered"),
)
RATCHET = Machine(
    name="a move of the branch",
    table="ratchet",
    column="state",
    born="intended",
    moves=_table(
        {
            "intended": ("moved", "deferred", "abandoned"),
            **{"moved": (), "deferred": (), "abandoned": ()},
        }
    ),
    fixed=("id", "run", "time", "candidate", "tip", "target", "kind"),
    settled=("reason", "ended"),
)
_ENDED = ("stopped", "finished", "failed")
RUN = Machine(
    name="a run",
    table="run",
    column="state",
    born="running",
    moves=_table(
        {
            "running": ("running", "paused", *_ENDED),
            "paused": ("running", "paused", *_ENDED),
            **dict.fromkeys(_ENDED, ("running", *_ENDED)),
        }
    ),
    fixed=("id", "name", "created", "branch", "base_commit", "settings"),
    free=("reason", "fingerprint", "incumbent", "promotion", "sigma", "dollars", "finished"),
)
MACHINES = (CANDIDATE, EXPERIMENT, SMOKE, CALL, COMMAND, RATCHET, RUN)

# What is only ever added to: table → its key.
APPEND_ONLY: dict[str, tuple[str, ...]] = {
    "event": ("id",),
    "parent": ("run", "candidate", "position"),
    "curve": ("experiment", "position"),
    "setting_change": ("id",),
    "scratchpad": ("id",),
    "prompt": ("version", "operator"),
}


# ---- as triggers -------------------------------------------------------------------------------------------


def rules() -> dict[str, str]:
    """The triggers that hold all of this in force: name → statement."""
    found: dict[str, str] = {}
    for machine in MACHINES:
        found |= _begins(machine) | _moves(machine) | _stays(machine)
        found |= _never_deleted(machine.table) | _never_replaced(machine.table, machine.key)
    for table, key in APPEND_ONLY.items():
        found |= _never_deleted(table) | _never_replaced(table, key)
        found |= _rule(
            f"{table}_stays", f"BEFORE UPDATE ON {table}", f"a row of {table} never changes"
        )
    return found


def _rule(name: str, event: str, words: str) -> dict[str, str]:
    name = f"rule_{name}"
    return {name: f"CREATE TRIGGER {name} {event} BEGIN SELECT RAISE(ABORT, '{words}'); END"}


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


def _begins(machine: Machine) -> dict[str, str]:
    return _rule(
        f"{machine.table}_begins",
        f"BEFORE INSERT ON {machine.table} WHEN {machine.state_of('NEW')} != '{machine.born}'",
        f"illegal beginning of {machine.name}",
    )


def _moves(machine: Machine) -> dict[str, str]:
    legal = " OR ".join(
        f"({machine.state_of('OLD')} = '{old}' AND {machine.state_of('NEW')} IN ({_quoted(new)}))"
        for old, new in machine.moves.items()
        if new
    )
    return _rule(
        f"{machine.table}_moves",
        f"BEFORE UPDATE OF {machine.column} ON {machine.table} WHEN NOT ({legal})",
        f"illegal move of {machine.name}",
    )


def _stays(machine: Machine) -> dict[str, str]:
    words = f"what {machine.name} was begun with never changes"
    found = _rule(
        f"{machine.table}_stays",
        f"BEFORE UPDATE OF {', '.join(machine.fixed)} ON {machine.table} WHEN {_differs(machine.fixed)}",
        words,
    )
    if machine.settled:
        over = f"{machine.state_of('OLD')} IN ({_quoted(machine.last)})"
        found |= _rule(
            f"{machine.table}_final",
            f"BEFORE UPDATE OF {', '.join(machine.settled)} ON {machine.table} "
            f"WHEN {over} AND ({_differs(machine.settled)})",
            f"what {machine.name} came to never changes",
        )
    return found


def _differs(columns: Iterable[str]) -> str:
    return " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in columns)


def _never_deleted(table: str) -> dict[str, str]:
    return _rule(
        f"{table}_lasts", f"BEFORE DELETE ON {table}", f"a row of {table} is never deleted"
    )


def _never_replaced(table: str, key: tuple[str, ...]) -> dict[str, str]:
    """REPLACE is a deletion too, and SQLite tells no trigger of it."""
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    known = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608 - our own words
    return _rule(
        f"{table}_is_new",
        f"BEFORE INSERT ON {table} WHEN {known}",
        f"a row of {table} is never replaced",
    )
